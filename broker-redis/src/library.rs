//! Our functions on the server: loading them, and the first call.

use std::time::Duration;

use realtime_bridge::{At, EngineError, Hello};
use redis::{RedisError, Value, aio::MultiplexedConnection, cmd};

use crate::{
    failure::{self, failure, number},
    prefix::Prefix,
};

/// The library, as the server gets it.
const LIBRARY: &str = include_str!("functions.lua");
/// The one name that all versions of the library share; the newest that is there has it.
const SHARED: &str = "redis.register_function('realtime_publish', publish)\n";
/// What `functions.lua` calls its REVISION.
const REVISION: u64 = 1;

/// Numbers that a server and its Lua take exactly, and beyond what anybody keeps.
const MAX_EVENTS: usize = 1 << 31;
const MAX_BYTES: u64 = 1 << 52;

/// Says `hello` to the server and tells where its sequence is. Loads the functions before, when they are
/// missing or older.
pub(crate) async fn greet(
    connection: &mut MultiplexedConnection,
    prefix: &Prefix,
    hello: &Hello,
) -> Result<At, EngineError> {
    let there = match call(connection, prefix, hello).await {
        Ok(answer) => {
            let (at, revision) = understood(&answer)?;
            if revision >= REVISION {
                return Ok(at);
            }
            There::Older
        }
        Err(error) if failure::is_missing_function(&error) => There::Nothing,
        Err(error) if failure::is_unknown_command(&error) => {
            return Err(too_old(connection).await);
        }
        Err(error) => return Err(failure(&error)),
    };
    load(connection, there).await?;
    let answer = call(connection, prefix, hello).await.map_err(|error| failure(&error))?;
    understood(&answer).map(|(at, _)| at)
}

async fn call(
    connection: &mut MultiplexedConnection,
    prefix: &Prefix,
    hello: &Hello,
) -> Result<Value, RedisError> {
    let (epoch, sequence) = match hello.seen {
        Some(seen) => (seen.epoch.to_string(), seen.sequence),
        None => (String::new(), 0),
    };
    cmd("FCALL")
        .arg("realtime1_hello")
        .arg(1)
        .arg(prefix.as_str())
        .arg(epoch)
        .arg(sequence)
        .arg(hello.retention.events.clamp(1, MAX_EVENTS))
        .arg(milliseconds(hello.retention.age))
        .arg(hello.retention.bytes.clamp(1, MAX_BYTES))
        .query_async(connection)
        .await
}

/// At least one, and no more than a server takes for an expiry.
fn milliseconds(age: Duration) -> u64 {
    const CENTURY: u64 = 100 * 366 * 24 * 3600 * 1000;
    u64::try_from(age.as_millis()).unwrap_or(CENTURY).clamp(1, CENTURY)
}

fn understood(answer: &Value) -> Result<(At, u64), EngineError> {
    let numbers = match answer {
        Value::Array(parts) => (number(parts.first()), number(parts.get(1)), number(parts.get(2))),
        _ => (None, None, None),
    };
    match numbers {
        (Some(epoch), Some(sequence), Some(revision)) => Ok((At { epoch, sequence }, revision)),
        _ => Err(failure::unexpected("realtime1_hello", "epoch, sequence and revision")),
    }
}

/// What the server has of the library.
#[derive(Clone, Copy, PartialEq)]
enum There {
    Nothing,
    Older,
}

async fn load(connection: &mut MultiplexedConnection, there: There) -> Result<(), EngineError> {
    let mut loaded = load_as(connection, LIBRARY, there).await;
    // A later version of the library is there as well and has the shared name.
    if matches!(&loaded, Err(error) if says(error, "realtime_publish already exists")) {
        loaded = load_as(connection, &LIBRARY.replace(SHARED, ""), there).await;
    }
    match loaded {
        // Another instance was faster.
        Err(error) if says(&error, "'realtime1' already exists") => Ok(()),
        loaded => loaded.map_err(|error| failure(&error)),
    }
}

fn says(error: &RedisError, text: &str) -> bool {
    error.detail().is_some_and(|detail| detail.contains(text))
}

async fn load_as(
    connection: &mut MultiplexedConnection,
    library: &str,
    there: There,
) -> Result<(), RedisError> {
    let mut load = cmd("FUNCTION");
    load.arg("LOAD");
    if there == There::Older {
        load.arg("REPLACE");
    }
    load.arg(library).query_async(connection).await
}

/// What the server is that does not know functions.
async fn too_old(connection: &mut MultiplexedConnection) -> EngineError {
    let info: String = cmd("INFO").arg("server").query_async(connection).await.unwrap_or_default();
    let field = |name| info.lines().find_map(|line| line.strip_prefix(name));
    let came = match (field("valkey_version:"), field("redis_version:")) {
        (Some(version), _) => format!("Valkey {version}"),
        (None, Some(version)) => format!("Redis {version}"),
        (None, None) => "a server that does not say what it is".to_owned(),
    };
    EngineError::Refused(format!("{}, got {came}: it knows no functions", failure::NEEDED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_what_is_said_of_it_here() {
        assert!(LIBRARY.starts_with("#!lua name=realtime1\n"));
        assert_eq!(LIBRARY.matches(SHARED).count(), 1);
        assert!(LIBRARY.contains(&format!("\nlocal REVISION = {REVISION}\n")));
    }

    #[test]
    fn any_age_is_an_expiry() {
        assert_eq!(milliseconds(Duration::ZERO), 1);
        assert_eq!(milliseconds(Duration::from_secs(2)), 2000);
        assert!(milliseconds(Duration::MAX) < u64::MAX / 4);
    }
}
