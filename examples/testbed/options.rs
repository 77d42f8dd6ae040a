//! The command line.

use std::{str::FromStr, time::Duration};

use realtime::{Authentication, OriginPolicy, Overflow, Rate, TrustedProxies, jwt::Jwt};

use crate::times::{self, Times};

const USAGE: &str = "usage: testbed --adapter axum|actix|hyper --listen HOST:PORT [--threads N] \
    [--overflow disconnect|drop-oldest|drop-newest|conflate] [--origin any|same|URL]… \
    [--auth jwt-hs256:SECRET [--query-token] [--first-message]] [--trusted-proxy CIDR]… \
    [--max-connections N] [--max-per-ip N] [--handshakes-per-second N] \
    [--messages-per-second N] [--max-message BYTES] [--reuse-port] \
    [--broker redis://HOST:PORT|nats://HOST:PORT] [--prefix NAME] [--retain N]";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adapter {
    Axum,
    Actix,
    Hyper,
}

/// What is between several of these, by the URL of its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broker {
    Redis(String),
    Nats(String),
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) adapter: Adapter,
    pub(crate) listen: String,
    pub(crate) threads: usize,
    pub(crate) overflow: Overflow,
    pub(crate) origin: OriginPolicy,
    pub(crate) authentication: Option<Authentication>,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) max_connections: Option<u64>,
    pub(crate) max_per_ip: Option<u32>,
    pub(crate) handshakes_per_second: Option<Rate>,
    pub(crate) messages_per_second: Option<Rate>,
    pub(crate) max_message: Option<usize>,
    pub(crate) times: Times,
    pub(crate) reuse_port: bool,
    pub(crate) broker: Option<Broker>,
    /// What all of one service have in common on the broker.
    pub(crate) prefix: String,
    /// Events that are kept of each topic.
    pub(crate) retain: Option<usize>,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            adapter: Adapter::Axum,
            listen: "127.0.0.1:9001".to_owned(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            overflow: Overflow::default(),
            origin: OriginPolicy::default(),
            authentication: None,
            trusted_proxies: TrustedProxies::default(),
            max_connections: None,
            max_per_ip: None,
            handshakes_per_second: None,
            messages_per_second: None,
            max_message: None,
            times: Times::default(),
            reuse_port: false,
            broker: None,
            prefix: "testbed".to_owned(),
            retain: None,
        };
        let (mut origins, mut proxies) = (Vec::new(), Vec::new());
        let (mut by_query, mut by_first_message) = (false, false);
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{flag} needs a value; {USAGE}"));
            match flag.as_str() {
                "--adapter" => options.adapter = adapter(&value()?)?,
                "--listen" => options.listen = value()?,
                "--threads" => options.threads = at_least_one(&flag, &value()?)?,
                "--overflow" => options.overflow = overflow(&value()?)?,
                "--origin" => origins.push(value()?),
                "--auth" => options.authentication = Some(authentication(&value()?)?),
                "--query-token" => by_query = true,
                "--first-message" => by_first_message = true,
                "--trusted-proxy" => proxies.push(value()?),
                "--max-connections" => {
                    options.max_connections = Some(at_least_one(&flag, &value()?)?);
                }
                "--max-per-ip" => options.max_per_ip = Some(at_least_one(&flag, &value()?)?),
                "--handshakes-per-second" => {
                    let per_second = at_least_one(&flag, &value()?)?;
                    options.handshakes_per_second = Some(Rate::per_second(per_second));
                }
                "--messages-per-second" => {
                    let per_second = at_least_one(&flag, &value()?)?;
                    options.messages_per_second = Some(Rate::per_second(per_second));
                }
                "--max-message" => options.max_message = Some(at_least_one(&flag, &value()?)?),
                "--reuse-port" => options.reuse_port = true,
                "--broker" => options.broker = Some(broker(&value()?)?),
                "--prefix" => options.prefix = value()?,
                "--retain" => options.retain = Some(count(&flag, &value()?)?),
                _ if options.times.take(&flag, value)? => {}
                _ => {
                    return Err(format!("unknown argument {flag}; {USAGE} {}", times::USAGE));
                }
            }
        }
        options.origin = origin(origins)?;
        options.trusted_proxies =
            TrustedProxies::new(proxies).map_err(|error| format!("--trusted-proxy: {error}"))?;
        if let Some(flag) = [("--query-token", by_query), ("--first-message", by_first_message)]
            .into_iter()
            .find_map(|(flag, is_given)| is_given.then_some(flag))
            && options.authentication.is_none()
        {
            return Err(format!("{flag} says how tokens come, which --auth has to check; {USAGE}"));
        }
        if by_query {
            options.authentication = options.authentication.map(|it| it.query("token"));
        }
        if by_first_message {
            options.authentication = options.authentication.map(Authentication::first_message);
        }
        Ok(options)
    }
}

/// `jwt-hs256:SECRET`; expiry is exact, so that tools can see it.
fn authentication(value: &str) -> Result<Authentication, String> {
    let secret = value
        .strip_prefix("jwt-hs256:")
        .ok_or(format!("--auth must be jwt-hs256:SECRET, not {value}"))?;
    let jwt = Jwt::hs256(secret).map_err(|error| format!("--auth: {error}"))?;
    Ok(Authentication::new(jwt.leeway(Duration::ZERO)).cookie("token"))
}

/// The scheme says which; credentials are not to be printed.
fn broker(url: &str) -> Result<Broker, String> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    match scheme.split('+').next() {
        Some("redis" | "rediss" | "valkey" | "valkeys") => Ok(Broker::Redis(url.to_owned())),
        Some("nats" | "tls") => Ok(Broker::Nats(url.to_owned())),
        _ => Err(format!("--broker must be redis:// or nats://HOST:PORT, not {scheme:?}")),
    }
}

fn count(flag: &str, value: &str) -> Result<usize, String> {
    let number = value.parse().ok().filter(|number| *number > 0);
    number.ok_or(format!("{flag} must be a number of at least 1, not {value}"))
}

fn adapter(value: &str) -> Result<Adapter, String> {
    match value {
        "axum" => Ok(Adapter::Axum),
        "actix" => Ok(Adapter::Actix),
        "hyper" => Ok(Adapter::Hyper),
        _ => Err(format!("--adapter must be axum, actix or hyper, not {value}")),
    }
}

fn at_least_one<T: FromStr + PartialOrd + From<u8>>(flag: &str, value: &str) -> Result<T, String> {
    let number = value.parse().ok().filter(|number| *number >= T::from(1));
    number.ok_or(format!("{flag} must be a number of at least 1, not {value}"))
}

fn overflow(value: &str) -> Result<Overflow, String> {
    match value {
        "disconnect" => Ok(Overflow::Disconnect),
        "drop-oldest" => Ok(Overflow::DropOldest),
        "drop-newest" => Ok(Overflow::DropNewest),
        "conflate" => Ok(Overflow::Conflate),
        _ => Err(format!("--overflow: unknown policy {value}; {USAGE}")),
    }
}

fn origin(origins: Vec<String>) -> Result<OriginPolicy, String> {
    if origins.iter().any(|origin| origin == "any") {
        return Ok(OriginPolicy::dangerously_allow_any_origin());
    }
    let allowed = origins.iter().filter(|origin| *origin != "same");
    OriginPolicy::allow(allowed).map_err(|error| format!("--origin: {error}"))
}
