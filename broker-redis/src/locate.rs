//! Finding the one server that has a hub's keys: [`locate`].

use realtime_bridge::EngineError;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, RedisConnectionInfo, Value,
    aio::MultiplexedConnection, cmd,
};

use crate::{
    address::{Address, beside, host},
    failure::{self, failure, number},
    prefix::Prefix,
};

/// The server to talk to.
pub(crate) async fn locate(
    address: &Address,
    prefix: &Prefix,
) -> Result<ConnectionInfo, EngineError> {
    let (seeds, service) = match address {
        Address::Server(server) => return Ok(server.clone()),
        Address::Sentinel { seeds, service } => (seeds, Some(service)),
        Address::Cluster { seeds } => (seeds, None),
    };
    let mut last = EngineError::Refused("the URL names no server".to_owned());
    for seed in seeds {
        let asked = match service {
            Some(service) => master(seed, service).await,
            None => owner(seed, prefix).await,
        };
        match asked {
            Ok(server) => return Ok(server),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A connection to `server`.
///
/// It never reconnects and never repeats a command, and waits as long as it is let: whoever calls bounds
/// that by dropping the future.
pub(crate) async fn connect(
    server: ConnectionInfo,
    config: AsyncConnectionConfig,
) -> Result<MultiplexedConnection, EngineError> {
    #[cfg(feature = "tls")]
    provide_cryptography();
    let config = config.set_connection_timeout(None).set_response_timeout(None);
    let client = Client::open(server).map_err(|error| failure(&error))?;
    let connected = client.get_multiplexed_async_connection_with_config(&config).await;
    connected.map_err(|error| failure(&error))
}

/// rustls panics when a program has two providers and has chosen none.
#[cfg(feature = "tls")]
fn provide_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have been faster.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}

/// Asks a sentinel. The URL's credentials are the master's: sentinels get none.
async fn master(seed: &ConnectionInfo, service: &str) -> Result<ConnectionInfo, EngineError> {
    let sentinel = seed.clone().set_redis_settings(RedisConnectionInfo::default());
    let mut connection = connect(sentinel, AsyncConnectionConfig::new()).await?;
    let mut ask = cmd("SENTINEL");
    ask.arg("GET-MASTER-ADDR-BY-NAME").arg(service);
    let answer = ask.query_async(&mut connection).await.map_err(|error| failure(&error))?;
    let (host, port): (String, u16) = match answer {
        Value::Nil => {
            let why = format!("the sentinel knows no master {service:?}");
            return Err(EngineError::Unreachable(why));
        }
        answer => redis::from_redis_value(answer)
            .map_err(|_| failure::unexpected("SENTINEL", "host and port"))?,
    };
    Ok(beside(seed, &host, port))
}

/// Asks a node of a cluster who has the slot of `prefix`.
async fn owner(seed: &ConnectionInfo, prefix: &Prefix) -> Result<ConnectionInfo, EngineError> {
    let mut connection = connect(seed.clone(), AsyncConnectionConfig::new()).await?;
    let slot = ask(&mut connection, &["KEYSLOT", prefix.as_str()]).await?;
    let slot = number(Some(&slot));
    let slot = slot.ok_or_else(|| failure::unexpected("CLUSTER KEYSLOT", "a number"))?;
    let slots = ask(&mut connection, &["SLOTS"]).await?;
    let Some((name, port)) = owner_of(slot, &slots) else {
        return Err(EngineError::Unreachable(format!("nobody in the cluster has slot {slot}")));
    };
    // A node that knows no name of its own says none.
    let name = if matches!(name, "" | "?") { host(seed) } else { name };
    Ok(beside(seed, name, port))
}

async fn ask(node: &mut MultiplexedConnection, about: &[&str]) -> Result<Value, EngineError> {
    let answer = cmd("CLUSTER").arg(about).query_async(node).await;
    answer.map_err(|error| failure(&error))
}

/// Host and port, in the answer to `CLUSTER SLOTS`: ranges with their first slot, their last, the master,
/// and replicas.
fn owner_of(slot: u64, slots: &Value) -> Option<(&str, u16)> {
    let Value::Array(ranges) = slots else { return None };
    ranges.iter().find_map(|range| {
        let Value::Array(range) = range else { return None };
        let (from, to) = (number(range.first())?, number(range.get(1))?);
        let Some(Value::Array(master)) = range.get(2).filter(|_| (from..=to).contains(&slot))
        else {
            return None;
        };
        let name = match master.first()? {
            Value::BulkString(name) => std::str::from_utf8(name).ok()?,
            Value::SimpleString(name) => name,
            _ => "",
        };
        Some((name, u16::try_from(number(master.get(1))?).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_owner_of_a_slot() {
        let node =
            |name: &str, port| Value::Array(vec![Value::BulkString(name.into()), Value::Int(port)]);
        let range = |from, to, master| {
            let replica = node("replica", 9);
            Value::Array(vec![Value::Int(from), Value::Int(to), master, replica])
        };
        let slots = Value::Array(vec![
            range(0, 99, node("a", 1)),
            range(200, 300, node("b", 2)),
            Value::Nil,
        ]);
        for (slot, expected) in [
            (0, Some(("a", 1))),
            (99, Some(("a", 1))),
            (100, None),
            (300, Some(("b", 2))),
            (301, None),
        ] {
            assert_eq!(owner_of(slot, &slots), expected, "{slot}");
        }
        assert_eq!(owner_of(0, &Value::Nil), None);
    }
}
