//! The stream of a hub: found, made, and made to keep enough.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use realtime_bridge::{At, EngineError, Hello};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    api::{Api, Failure, NAME_IN_USE, OVERLAP, number, text, unexpected},
    prefix::Prefix,
    time,
};

/// What a stream is made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) max_bytes: u64,
    pub(crate) replicas: usize,
}

/// How often it is looked again: somebody else may make, change or delete the stream at the same time.
const ATTEMPTS: usize = 16;
/// Longer than a server takes to make a stream.
const SETTLES: Duration = Duration::from_millis(100);
/// The server takes no shorter age.
const MIN_AGE: Duration = Duration::from_millis(100);

/// Has the hub's stream be there and keep enough, and tells where its sequence is.
pub(crate) async fn open(
    api: &Api,
    prefix: &Prefix,
    settings: Settings,
    hello: &Hello,
) -> Result<At, EngineError> {
    let mut why = None;
    for _ in 0..ATTEMPTS {
        let Some(epoch) = find(api, prefix).await? else {
            why = create(api, prefix, settings, hello).await?;
            // Others that are being made at the same time are there by then.
            sleep(SETTLES).await;
            continue;
        };
        let stream = prefix.stream(epoch);
        let info = match info(api, &stream).await {
            Err(Failure::NoStream) => continue,
            info => info.map_err(Failure::into_error)?,
        };
        let at = At { epoch, sequence: number(&info, &["state", "last_seq"])? };
        if hello.seen.is_some_and(|seen| seen.epoch == epoch && seen.sequence > at.sequence) {
            // The server has lost what somebody has seen, and would give its numbers to other events.
            delete(api, &stream).await?;
            continue;
        }
        let Some(wanted) = wanted(&info, prefix, hello)? else { return Ok(at) };
        match api.ask(&format!("STREAM.UPDATE.{stream}"), &wanted).await {
            Ok(_) | Err(Failure::NoStream) => {}
            Err(failure) => return Err(failure.into_error()),
        }
    }
    Err(why.unwrap_or_else(|| {
        let why = "the stream is changed as fast as it is looked at, as when another program wants it \
                   to keep less";
        EngineError::Unreachable(why.to_owned())
    }))
}

/// What the server tells of a stream.
pub(crate) async fn info(api: &Api, stream: &str) -> Result<Value, Failure> {
    api.ask(&format!("STREAM.INFO.{stream}"), &json!({})).await
}

/// The epoch of the hub's stream.
///
/// Servers look for streams with the same subjects, but newer ones may miss one that is made at the same
/// time. Of several the first made stays, and whoever sees the others removes them.
async fn find(api: &Api, prefix: &Prefix) -> Result<Option<u64>, EngineError> {
    let subject = format!("{}>", prefix.stored());
    let found = api.ask("STREAM.NAMES", &json!({ "subject": subject })).await;
    let found = found.map_err(Failure::into_error)?;
    let names = match found.get("streams") {
        None | Some(Value::Null) => return Ok(None),
        Some(names) => names.as_array().ok_or_else(|| unexpected("streams"))?,
    };
    let mut streams = Vec::new();
    for name in names {
        let name = name.as_str().ok_or_else(|| unexpected("names of streams"))?;
        let Some(epoch) = prefix.epoch(name) else {
            return Err(EngineError::Refused(format!(
                "the stream {name:?} has the subjects {subject:?} already: delete it, or choose another prefix"
            )));
        };
        if names.len() == 1 {
            return Ok(Some(epoch));
        }
        match info(api, name).await {
            Ok(info) => {
                let made = time::nanoseconds(text(&info, "created")?);
                streams.push((made.ok_or_else(|| unexpected("a time"))?, epoch));
            }
            Err(Failure::NoStream) => {}
            Err(failure) => return Err(failure.into_error()),
        }
    }
    streams.sort_unstable();
    for (_, epoch) in streams.iter().skip(1) {
        delete(api, &prefix.stream(*epoch)).await?;
    }
    Ok(streams.first().map(|(_, epoch)| *epoch))
}

async fn delete(api: &Api, stream: &str) -> Result<(), EngineError> {
    match api.ask(&format!("STREAM.DELETE.{stream}"), &json!({})).await {
        Ok(_) | Err(Failure::NoStream) => Ok(()),
        Err(failure) => Err(failure.into_error()),
    }
}

/// Makes a stream of a new epoch. Tells why not, where somebody else may have been faster.
async fn create(
    api: &Api,
    prefix: &Prefix,
    settings: Settings,
    hello: &Hello,
) -> Result<Option<EngineError>, EngineError> {
    let stream = prefix.stream(new_epoch(hello));
    let config = json!({
        "name": stream,
        "description": "realtime: events of a hub, and its instances' marks",
        "subjects": subjects(prefix),
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_age": nanoseconds(age(hello)),
        "max_bytes": settings.max_bytes,
        "max_msgs": -1,
        "max_consumers": -1,
        "num_replicas": settings.replicas,
        "republish": republish(prefix),
    });
    match api.ask(&format!("STREAM.CREATE.{stream}"), &config).await {
        Ok(_) => Ok(None),
        Err(Failure::Server { code: OVERLAP | NAME_IN_USE, text }) => {
            Ok(Some(EngineError::Refused(text)))
        }
        Err(failure) => Err(failure.into_error()),
    }
}

/// Time, so that it is above all earlier ones, with something by chance below a millisecond.
fn new_epoch(hello: &Hello) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX >> 8);
    let epoch = (now << 8) | u64::from(fastrand::u8(..));
    epoch.max(hello.seen.map_or(0, |seen| seen.epoch.saturating_add(1)))
}

fn subjects(prefix: &Prefix) -> Value {
    let name = prefix.as_str();
    json!([format!("{name}.t.>"), format!("{name}.m.*")])
}

fn republish(prefix: &Prefix) -> Value {
    let name = prefix.as_str();
    json!({ "src": format!("{name}.>"), "dest": format!("{name}.live.>") })
}

fn age(hello: &Hello) -> Duration {
    hello.retention.age.max(MIN_AGE)
}

fn nanoseconds(age: Duration) -> u64 {
    // The server's number has a sign.
    u64::try_from(age.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX >> 1)
}

/// The configuration that the stream must have instead of its own.
fn wanted(info: &Value, prefix: &Prefix, hello: &Hello) -> Result<Option<Value>, EngineError> {
    let config = info.get("config").and_then(Value::as_object);
    let config = config.ok_or_else(|| unexpected("config"))?;
    let mut wanted = config.clone();
    let mut want = |name: &str, value: Value| {
        wanted.insert(name.to_owned(), value);
    };
    let age = nanoseconds(age(hello));
    let kept = config.get("max_age").and_then(Value::as_u64).unwrap_or(0);
    if kept != 0 && kept < age {
        want("max_age", age.into());
    }
    // What `read` says of completeness holds where only the oldest events of all go.
    if config.get("max_msgs_per_subject").and_then(Value::as_i64).is_some_and(|max| max > 0) {
        want("max_msgs_per_subject", (-1).into());
    }
    if config.get("discard").is_some_and(|discard| discard != "old") {
        want("discard", "old".into());
    }
    if config.get("allow_rollup_hdrs") == Some(&Value::Bool(true)) {
        want("allow_rollup_hdrs", false.into());
    }
    let republished = config.get("republish");
    let same = |name: &str| republished.and_then(|it| it.get(name)) == republish(prefix).get(name);
    let without_payload = republished.and_then(|it| it.get("headers_only")) == Some(&true.into());
    if !same("src") || !same("dest") || without_payload {
        want("republish", republish(prefix));
    }
    let has = config.get("subjects").and_then(Value::as_array);
    let all = subjects(prefix);
    let is_there = |subject: &Value| has.is_some_and(|has| has.contains(subject));
    if !all.as_array().is_some_and(|all| all.iter().all(is_there)) {
        want("subjects", all);
    }
    Ok((wanted != *config).then_some(Value::Object(wanted)))
}
