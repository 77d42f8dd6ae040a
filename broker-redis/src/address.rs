//! Where the server is: what a URL says.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

/// How to find the server that has the hub's keys.
#[derive(Clone)]
pub(crate) enum Address {
    /// This one has them.
    Server(ConnectionInfo),
    /// One of these sentinels knows the master of `service`.
    Sentinel { seeds: Vec<ConnectionInfo>, service: String },
    /// One of these nodes knows who owns the slot.
    Cluster { seeds: Vec<ConnectionInfo> },
}

/// Why a URL is no address of a server. It never holds the URL, in which credentials may stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The scheme is none that is known.
    #[error(
        "expected a URL with `redis://`, `rediss://`, `redis+sentinel://` or `redis+cluster://`, \
         got the scheme {0:?}"
    )]
    Scheme(String),
    /// `rediss://` without the feature.
    #[error("for `rediss://` build realtime-redis with its feature `tls`")]
    NoTls,
    /// No server, or one that is none.
    #[error(
        "expected `[user:password@]host[:port]` after the scheme, several of them separated by `,` \
         for sentinel and cluster: {0}"
    )]
    Server(String),
    /// No service after the sentinels.
    #[error("expected the name of the master's service after the sentinels, as in `/mymaster`")]
    NoService,
    /// Another database than the first.
    #[error(
        "expected database 0, got {0:?}: channels know no databases, use a prefix to separate hubs"
    )]
    Database(String),
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| {
            // Without a scheme it may begin with anything, a password too.
            UrlError::Scheme(String::new())
        })?;
        let (kind, tls) = match scheme {
            "redis" | "valkey" => (Kind::Server, false),
            "rediss" | "valkeys" => (Kind::Server, true),
            "redis+sentinel" | "valkey+sentinel" => (Kind::Sentinel, false),
            "rediss+sentinel" | "valkeys+sentinel" => (Kind::Sentinel, true),
            "redis+cluster" | "valkey+cluster" => (Kind::Cluster, false),
            "rediss+cluster" | "valkeys+cluster" => (Kind::Cluster, true),
            other => return Err(UrlError::Scheme(other.chars().take(32).collect())),
        };
        if tls && cfg!(not(feature = "tls")) {
            return Err(UrlError::NoTls);
        }
        let scheme = if tls { "rediss" } else { "redis" };
        let (rest, fragment) = rest.split_once('#').map_or((rest, None), |(a, b)| (a, Some(b)));
        let (credentials, rest) = rest.rsplit_once('@').map_or(("", rest), |(a, b)| (a, b));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let seed = |host: &str| {
            let at = if credentials.is_empty() { "" } else { "@" };
            let fragment = fragment.map(|it| format!("#{it}")).unwrap_or_default();
            server(&format!("{scheme}://{credentials}{at}{host}/{fragment}"))
        };
        let seeds: Vec<ConnectionInfo> = hosts.split(',').map(seed).collect::<Result<_, _>>()?;
        let path = path.trim_end_matches('/');
        match kind {
            Kind::Sentinel if path.is_empty() => Err(UrlError::NoService),
            Kind::Sentinel => Ok(Self::Sentinel { seeds, service: path.to_owned() }),
            _ if !matches!(path, "" | "0") => {
                Err(UrlError::Database(path.chars().take(32).collect()))
            }
            Kind::Cluster => Ok(Self::Cluster { seeds }),
            Kind::Server => match <[ConnectionInfo; 1]>::try_from(seeds) {
                Ok([server]) => Ok(Self::Server(server)),
                Err(seeds) => Err(UrlError::Server(format!("got {} servers", seeds.len()))),
            },
        }
    }
}

enum Kind {
    Server,
    Sentinel,
    Cluster,
}

/// Credentials stay out of it.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = |seeds: &[ConnectionInfo]| {
            seeds.iter().map(|seed| seed.addr().to_string()).collect::<Vec<_>>()
        };
        match self {
            Self::Server(server) => write!(f, "Server({})", server.addr()),
            Self::Sentinel { seeds, service } => f
                .debug_struct("Sentinel")
                .field("seeds", &places(seeds))
                .field("service", service)
                .finish(),
            Self::Cluster { seeds } => {
                f.debug_struct("Cluster").field("seeds", &places(seeds)).finish()
            }
        }
    }
}

fn server(url: &str) -> Result<ConnectionInfo, UrlError> {
    let info = url.into_connection_info();
    // The client's error is not passed on: it must not hold any part of the URL, and this one never does.
    let info = info.map_err(|_| UrlError::Server("one of them does not parse".to_owned()))?;
    // Messages come beside answers in the third version of the protocol only.
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(settings))
}

/// The server at `host` and `port`, reached as `seed` is and with its credentials.
pub(crate) fn beside(seed: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let host = host.to_owned();
    let address = match seed.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            let (insecure, tls_params) = (*insecure, tls_params.clone());
            ConnectionAddr::TcpTls { host, port, insecure, tls_params }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    seed.clone().set_addr(address)
}

/// The host of a server.
pub(crate) fn host(server: &ConnectionInfo) -> &str {
    match server.addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        for (url, expected) in [
            ("redis://h", "Server(h:6379)"),
            ("valkey://u:p@h:1/0", "Server(h:1)"),
            ("redis://[::1]:7", "Server(::1:7)"),
            ("redis+cluster://a:1,b:2", "Cluster { seeds: [\"a:1\", \"b:2\"] }"),
            (
                "redis+sentinel://:p@a:1,b/main",
                "Sentinel { seeds: [\"a:1\", \"b:6379\"], service: \"main\" }",
            ),
        ] {
            assert_eq!(format!("{:?}", Address::parse(url).unwrap()), expected, "{url}");
        }
        let Address::Server(server) = Address::parse("redis://us%40r:p%2F%3A@h").unwrap() else {
            panic!("no server");
        };
        let settings = server.redis_settings();
        assert_eq!((settings.username(), settings.password()), (Some("us@r"), Some("p/:")));
        assert_eq!(settings.protocol(), ProtocolVersion::RESP3);
    }

    #[test]
    fn says_what_is_wrong_and_never_a_password() {
        for url in [
            "",
            "secret@h",
            "http://u:secret@h",
            "redis://u:secret@",
            "redis://u:secret@h:port",
            "redis://u:secret@a,b",
            "redis://u:secret@h/2",
            "redis://u:secret%ff@h",
            "redis+sentinel://u:secret@h",
            "redis+cluster://u:secret@h:1,,h:2",
            "redis+cluster://u:secret@h/3",
        ] {
            let error = Address::parse(url).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(!text.contains("secret"), "{url}: {text}");
        }
        assert!(!format!("{:?}", Address::parse("redis://u:secret@h").unwrap()).contains("secret"));
        let tls = Address::parse("rediss://h");
        assert_eq!(tls.is_ok(), cfg!(feature = "tls"), "{tls:?}");
    }
}
