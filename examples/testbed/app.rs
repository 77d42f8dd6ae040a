//! What the server does, whatever serves it.

use std::{error::Error, time::SystemTime};

use realtime::{
    BrokerHealth, DrainReport, Event, Hub, Identity, Limits, Nats, PublishError, Rate, Redis,
    Retention, Start, Subscribe,
    ws::{Message, Socket},
};

use crate::options::{Broker, Options};

/// The topic of `/ws`, and of `/events` without a `topic`.
pub(crate) const BENCH: &str = "bench";

/// More than a process may open descriptors for.
pub(crate) const MAX_CONNECTIONS: usize = 1_000_000;

/// The largest message that `/echo` takes.
const ECHO_BYTES: usize = 64 * 1024 * 1024;

/// More than anybody sends: tools are to meet only the limits that they ask for.
const UNLIMITED: Rate = Rate::per_second(u32::MAX);

pub(crate) fn hub(options: &Options) -> Result<Hub, Box<dyn Error>> {
    let mut hub = Hub::builder();
    let prefix = &options.prefix;
    match &options.broker {
        Some(Broker::Redis(url)) => hub = hub.broker(Redis::connect(url)?.prefix(prefix)?),
        Some(Broker::Nats(url)) => hub = hub.broker(Nats::connect(url)?.prefix(prefix)?),
        None => {}
    }
    let retention = Retention::default();
    let hub = hub
        .retention(retention.events(options.retain.unwrap_or(retention.events)))
        .overflow(options.overflow)
        .origin(options.origin.clone())
        .trusted_proxies(options.trusted_proxies.clone())
        .limits(|limits| {
            limits.connections = options.max_connections.unwrap_or(MAX_CONNECTIONS as u64);
            limits.connections_per_ip = options.max_per_ip.unwrap_or(u32::MAX);
            limits.connections_per_subject = u32::MAX;
            limits.handshakes_per_ip = options.handshakes_per_second.unwrap_or(UNLIMITED);
            limits.messages = options.messages_per_second.unwrap_or(UNLIMITED);
            limits.inbound_bytes = UNLIMITED;
            limits.message_bytes = options.max_message.unwrap_or(limits.message_bytes);
        });
    let hub = options.times.apply(hub);
    Ok(match &options.authentication {
        Some(authentication) => hub.authentication(authentication.clone()).build()?,
        None => hub.build()?,
    })
}

/// `GET /healthz`: this process serves, whatever its broker does; a second line says how that is, if it has
/// one.
pub(crate) fn health(hub: &Hub) -> String {
    let broker = match hub.broker_health() {
        BrokerHealth::Well if hub.broker_stats().connected == 0 => return "ok\n".to_owned(),
        BrokerHealth::Well => "well".to_owned(),
        BrokerHealth::CatchingUp => "catching up".to_owned(),
        BrokerHealth::Unavailable { since, reason } => {
            format!("unavailable for {} s: {reason}", since.elapsed().as_secs())
        }
        _ => "unknown".to_owned(),
    };
    format!("ok\nbroker {broker}\n")
}

/// `GET /ws`: publishes what the client sends.
pub(crate) async fn publish_all(mut socket: Socket) -> Result<(), PublishError> {
    while let Some(message) = socket.recv().await {
        socket.publish(BENCH, message.into()).await?;
    }
    Ok(())
}

/// `GET /messages?topic=T&pattern=P` takes whatever the client sends, and does nothing with it.
pub(crate) async fn ignore(mut socket: Socket) {
    while socket.recv().await.is_some() {}
}

/// `GET /echo`: sends back what the client sends.
pub(crate) async fn echo(mut socket: Socket) {
    while let Some(message) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

/// `GET /whoami` as a WebSocket: with `?hello=1` sends whose connection it is, then what the client
/// sends.
pub(crate) async fn whoami(mut socket: Socket, hello: bool) {
    let hello = hello.then(|| Message::text(describe(socket.identity().as_ref())));
    if let Some(hello) = hello
        && socket.send(hello).await.is_err()
    {
        return;
    }
    echo(socket).await;
}

/// `GET /whoami` as an event stream: a topic of its own, with `?hello=1` whose connection it is as
/// its first event.
pub(crate) async fn whoami_stream(
    hub: &Hub,
    identity: Option<&Identity>,
    query: Option<&str>,
) -> Result<Subscribe, PublishError> {
    let topic = format!("whoami.{:016x}", fastrand::u64(..));
    if says_hello(query) {
        hub.publish(&topic, Event::text(describe(identity))).await?;
    }
    Ok(Subscribe::to(&topic).start(Start::Last(1)))
}

/// Whether `GET /whoami?hello=1` was asked for.
pub(crate) fn says_hello(query: Option<&str>) -> bool {
    parameters(query, "hello").any(|hello| hello == "1")
}

/// `{"subject":"…","expires_at":…}`, both `null` without an identity.
fn describe(identity: Option<&Identity>) -> String {
    let expires_at = identity
        .and_then(Identity::expiry)
        .and_then(|at| Some(at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs()));
    let subject = identity.map(Identity::subject);
    serde_json::json!({ "subject": subject, "expires_at": expires_at }).to_string()
}

/// The limits of `/echo`: protocol suites send large messages, and many fragments.
pub(crate) fn echo_limits(limits: &mut Limits) {
    // Unless `--max-message` says otherwise.
    if limits.message_bytes == Limits::default().message_bytes {
        limits.message_bytes = ECHO_BYTES;
    }
    limits.message_fragments = 1 << 20;
    limits.inbox_bytes = ECHO_BYTES;
    limits.outbox_bytes = ECHO_BYTES;
}

/// The topics of `GET /events?topic=T&topic=U&pattern=V.*`, and of `/messages`.
pub(crate) fn topics(query: Option<&str>) -> Subscribe {
    let topics: Subscribe = parameters(query, "topic").collect();
    let subscribe = parameters(query, "pattern").fold(topics, Subscribe::and_pattern);
    let is_empty = parameters(query, "topic").chain(parameters(query, "pattern")).next().is_none();
    if is_empty { BENCH.into() } else { subscribe }
}

/// `POST /publish?topic=T&event=NAME&key=K`: publishes the body; answers with the position, or with
/// a status and what is wrong.
pub(crate) async fn publish(
    hub: &Hub,
    query: Option<&str>,
    body: Vec<u8>,
) -> Result<String, (u16, String)> {
    let bad_request = |error: String| (400, format!("{error}\n"));
    let topic = parameters(query, "topic").next().unwrap_or_else(|| BENCH.to_owned());
    let mut event = match String::from_utf8(body) {
        Ok(text) => Event::text(text),
        Err(binary) => Event::binary(binary.into_bytes()),
    };
    if let Some(name) = parameters(query, "event").next() {
        event = event.named(name).map_err(|error| bad_request(error.to_string()))?;
    }
    if let Some(key) = parameters(query, "key").next() {
        event = event.keyed(key).map_err(|error| bad_request(error.to_string()))?;
    }
    match hub.publish(topic, event).await {
        Ok(position) => Ok(serde_json::json!({
            "id": position.to_string(),
            "epoch": format!("{:x}", position.epoch()),
            "sequence": position.sequence(),
        })
        .to_string()),
        Err(error @ PublishError::TooLarge { .. }) => Err((413, format!("{error}\n"))),
        Err(error @ PublishError::Broker(_)) => Err((503, format!("{error}\n"))),
        Err(error) => Err(bad_request(error.to_string())),
    }
}

/// `GET /stats`: the hub's, under `broker` what came from there, and `tasks`, which are alive on the runtime of the thread that answers; on
/// actix, where each thread has one of its own and most tasks are not counted, that says little.
pub(crate) fn stats(hub: &Hub) -> String {
    let mut stats = serde_json::json!(hub.stats());
    let runtime = tokio::runtime::Handle::try_current();
    stats["broker"] = serde_json::json!(hub.broker_stats());
    stats["tasks"] = runtime.map(|it| it.metrics().num_alive_tasks()).ok().into();
    stats.to_string()
}

/// The most that `POST /publish` reads.
pub(crate) fn max_body(hub: &Hub) -> usize {
    hub.config().limits.event_bytes
}

/// What became of the connections, as one line.
pub(crate) fn report(report: &DrainReport) -> String {
    serde_json::json!({
        "closed": report.closed,
        "forced": report.forced,
        "took_ms": u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
    })
    .to_string()
}

fn parameters(query: Option<&str>, name: &str) -> impl Iterator<Item = String> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .filter(move |(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}
