//! Where the server is, and who asks: what a URL says.

use std::fmt;

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;

/// Servers of which one is enough, and who asks them.
#[derive(Clone)]
pub(crate) struct Address {
    /// Without credentials.
    pub(crate) servers: Vec<ServerAddr>,
    pub(crate) login: Option<Login>,
}

/// Who asks, as a URL can tell it.
#[derive(Clone)]
pub(crate) enum Login {
    User { name: String, password: String },
    Token(String),
}

/// Why a URL is no address of a server. It never holds the URL, in which credentials may stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The scheme is none that is known.
    #[error("expected a URL with `nats://` or `tls://`, got the scheme {0:?}")]
    Scheme(String),
    /// `tls://` without the feature.
    #[error("for `tls://` build realtime-nats with its feature `tls`")]
    NoTls,
    /// No server, or one that is none.
    #[error(
        "expected `[user:password@|token@]host[:port]` after the scheme, several hosts separated by `,`"
    )]
    Server,
    /// Credentials that are no text.
    #[error("expected credentials that are UTF-8 when percent-decoded")]
    Credentials,
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, UrlError> {
        // Without a scheme it may begin with anything, a password too.
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme(String::new()))?;
        match scheme {
            "nats" => {}
            "tls" if cfg!(feature = "tls") => {}
            "tls" => return Err(UrlError::NoTls),
            other => return Err(UrlError::Scheme(other.chars().take(32).collect())),
        }
        let (credentials, hosts) = match rest.rsplit_once('@') {
            Some((credentials, hosts)) => (Some(credentials), hosts),
            None => (None, rest),
        };
        let servers = hosts.strip_suffix('/').unwrap_or(hosts).split(',');
        let servers: Result<Vec<_>, _> = servers.map(|host| server(scheme, host)).collect();
        Ok(Self { servers: servers?, login: credentials.map(login).transpose()? })
    }
}

fn server(scheme: &str, host: &str) -> Result<ServerAddr, UrlError> {
    if host.is_empty() || host.contains(['/', '?', '#', '@']) {
        return Err(UrlError::Server);
    }
    // The client's error is not passed on: it must not hold any part of the URL.
    let server: ServerAddr = format!("{scheme}://{host}").parse().map_err(|_| UrlError::Server)?;
    if server.host().is_empty() {
        return Err(UrlError::Server);
    }
    Ok(server)
}

fn login(credentials: &str) -> Result<Login, UrlError> {
    let text = |part: &str| {
        let decoded = percent_decode_str(part).decode_utf8();
        decoded.map(|text| text.into_owned()).map_err(|_| UrlError::Credentials)
    };
    Ok(match credentials.split_once(':') {
        Some((name, password)) => Login::User { name: text(name)?, password: text(password)? },
        None => Login::Token(text(credentials)?),
    })
}

/// Credentials stay out of it.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places =
            self.servers.iter().map(|server| format!("{}:{}", server.host(), server.port()));
        f.debug_list().entries(places).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        for (url, expected) in [
            ("nats://h", r#"["h:4222"]"#),
            ("nats://u:p@h:1/", r#"["h:1"]"#),
            ("nats://[::1]:7", r#"["::1:7"]"#),
            ("nats://token@a:1,b", r#"["a:1", "b:4222"]"#),
        ] {
            assert_eq!(format!("{:?}", Address::parse(url).unwrap()), expected, "{url}");
        }
        let address = Address::parse("nats://us%40r:p%2F%3A@h").unwrap();
        let Some(Login::User { name, password }) = address.login else { panic!("no user") };
        assert_eq!((&*name, &*password), ("us@r", "p/:"));
        let address = Address::parse("nats://s%25t@h").unwrap();
        assert!(matches!(address.login, Some(Login::Token(token)) if token == "s%t"));
    }

    #[test]
    fn says_what_is_wrong_and_never_a_password() {
        for url in [
            "",
            "secret@h",
            "http://u:secret@h",
            "ws://u:secret@h",
            "nats://u:secret@",
            "nats://u:secret@h:port",
            "nats://u:secret@a,,b",
            "nats://u:secret@h/2",
            "nats://u:secret%ff@h",
        ] {
            let error = Address::parse(url).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(!text.contains("secret"), "{url}: {text}");
        }
        assert!(!format!("{:?}", Address::parse("nats://u:secret@h").unwrap()).contains("secret"));
        let tls = Address::parse("tls://h");
        assert_eq!(tls.is_ok(), cfg!(feature = "tls"), "{tls:?}");
    }
}
