//! How to reach the server: [`NatsEngine`].

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, ServerAddr};
use realtime_bridge::{At, Engine, EngineError, Feed, Hello};

use crate::{
    address::{Address, Login, UrlError},
    inbound::CHANNEL,
    link::NatsLink,
    loss::Loss,
    prefix::{Prefix, PrefixError},
    stream::Settings,
};

/// What the bridge makes a broker of: [`Nats`](crate::Nats) without it.
#[derive(Clone)]
pub struct NatsEngine {
    address: Address,
    prefix: Prefix,
    settings: Settings,
    key: Option<Key>,
    roots: Option<PathBuf>,
    certificate: Option<(PathBuf, PathBuf)>,
}

/// Who asks, where a URL does not say it.
#[derive(Clone)]
enum Key {
    File(PathBuf),
    Seed(String),
}

/// A gibibyte: hours of a busy hub, and what a small server's disk has.
const MAX_BYTES: u64 = 1 << 30;
/// Two of them without an answer end a connection.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Before the client would connect again by itself. By then it has been given up.
const NEVER_AGAIN: Duration = Duration::from_secs(2);

impl NatsEngine {
    /// The server at `url`, see [`Nats::connect`](crate::Nats::connect).
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn connect(url: &str) -> Result<Self, UrlError> {
        Ok(Self {
            address: Address::parse(url)?,
            prefix: Prefix::default(),
            settings: Settings { max_bytes: MAX_BYTES, replicas: 1 },
            key: None,
            roots: None,
            certificate: None,
        })
    }

    /// The same with another prefix, see [`Nats::prefix`](crate::Nats::prefix).
    ///
    /// # Errors
    /// [`PrefixError`].
    pub fn prefix(mut self, prefix: &str) -> Result<Self, PrefixError> {
        self.prefix = Prefix::new(prefix)?;
        Ok(self)
    }

    /// The same with another size of the stream, see [`Nats::max_bytes`](crate::Nats::max_bytes).
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.settings.max_bytes = bytes.clamp(1, u64::MAX >> 1);
        self
    }

    /// The same with other replicas, see [`Nats::replicas`](crate::Nats::replicas).
    #[must_use]
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.settings.replicas = replicas;
        self
    }

    /// The same with credentials, see [`Nats::credentials_file`](crate::Nats::credentials_file).
    #[must_use]
    pub fn credentials_file(mut self, path: impl AsRef<Path>) -> Self {
        self.key = Some(Key::File(path.as_ref().to_owned()));
        self
    }

    /// The same with a key, see [`Nats::nkey`](crate::Nats::nkey).
    #[must_use]
    pub fn nkey(mut self, seed: impl Into<String>) -> Self {
        self.key = Some(Key::Seed(seed.into()));
        self
    }

    /// The same with other roots, see [`Nats::root_certificates`](crate::Nats::root_certificates).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn root_certificates(mut self, path: impl AsRef<Path>) -> Self {
        self.roots = Some(path.as_ref().to_owned());
        self
    }

    /// The same with a certificate, see [`Nats::client_certificate`](crate::Nats::client_certificate).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn client_certificate(
        mut self,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Self {
        self.certificate = Some((certificate.as_ref().to_owned(), key.as_ref().to_owned()));
        self
    }

    async fn options(
        &self,
        hello: &Hello,
        loss: &Arc<Loss>,
    ) -> Result<ConnectOptions, EngineError> {
        let noticed = Arc::clone(loss);
        let (lost, was_asked) = (Arc::clone(loss), AtomicBool::new(false));
        let mut options = ConnectOptions::new()
            .name(format!("{} {}", self.prefix.as_str(), hello.instance))
            .subscription_capacity(CHANNEL)
            .ping_interval(PING_INTERVAL)
            .request_timeout(None)
            .ignore_discovered_servers()
            .max_reconnects(1)
            // The one place that the client surely comes by when it has lost the connection.
            .reconnect_delay_callback(move |_| {
                if !was_asked.swap(true, Relaxed) {
                    return Duration::ZERO;
                }
                let why = "the server or the network has closed the connection";
                lost.set(EngineError::Unreachable(why.to_owned()));
                NEVER_AGAIN
            })
            .event_callback(move |event| {
                if let Some(error) = failure(&event) {
                    noticed.set(error);
                }
                std::future::ready(())
            });
        options = match &self.address.login {
            Some(Login::User { name, password }) => {
                options.user_and_password(name.clone(), password.clone())
            }
            Some(Login::Token(token)) => options.token(token.clone()),
            None => options,
        };
        options = match &self.key {
            Some(Key::File(path)) => options.credentials_file(path).await.map_err(|error| {
                let text = format!("the file with credentials can't be used: {:?}", error.kind());
                EngineError::Refused(text)
            })?,
            Some(Key::Seed(seed)) => options.nkey(seed.clone()),
            None => options,
        };
        if let Some(roots) = &self.roots {
            options = options.add_root_certificates(roots.clone());
        }
        if let Some((certificate, key)) = &self.certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        Ok(options)
    }

    async fn dial(
        &self,
        server: &ServerAddr,
        hello: &Hello,
    ) -> Result<(Client, Arc<Loss>), EngineError> {
        let loss = Arc::<Loss>::default();
        let options = self.options(hello, &loss).await?;
        match options.connect(server.clone()).await {
            Ok(client) => Ok((client, loss)),
            Err(error) => Err(refusal(&error)),
        }
    }
}

// The broker that a hub takes is the bridge over this engine.
impl Engine for NatsEngine {
    type Link = NatsLink;

    async fn connect(&self, hello: &Hello, feed: Feed) -> Result<(NatsLink, At), EngineError> {
        let mut why = EngineError::Unreachable("no server is named".to_owned());
        for server in &self.address.servers {
            match self.dial(server, hello).await {
                Ok((client, loss)) => {
                    return NatsLink::over(client, loss, &self.prefix, self.settings, hello, feed)
                        .await;
                }
                Err(error) => why = error,
            }
        }
        Err(why)
    }
}

/// Credentials stay out of it.
impl fmt::Debug for NatsEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsEngine")
            .field("address", &self.address)
            .field("prefix", &self.prefix.as_str())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What a connection was refused for.
fn refusal(error: &ConnectError) -> EngineError {
    use std::error::Error as _;
    // Its source says what the system or the server said; neither knows our credentials.
    let text = error.source().map_or_else(|| error.to_string(), |why| format!("{error}: {why}"));
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation
        | ConnectErrorKind::Authentication
        | ConnectErrorKind::ServerParse
        | ConnectErrorKind::Tls => EngineError::Refused(text),
        _ if text.to_ascii_lowercase().contains("authentication") => EngineError::Refused(text),
        _ => EngineError::Unreachable(text),
    }
}

/// What an event of the client means, if it means that the connection is of no use any more.
fn failure(event: &async_nats::Event) -> Option<EngineError> {
    use async_nats::{Event, ServerError};
    match event {
        Event::ServerError(ServerError::AuthorizationViolation) => {
            Some(EngineError::Refused("authorization violation".to_owned()))
        }
        Event::ServerError(error) => {
            let text = error.to_string();
            let is_forbidden = text.to_ascii_lowercase().contains("permissions violation");
            let error = if is_forbidden { EngineError::Refused } else { EngineError::Unreachable };
            Some(error(text))
        }
        Event::SlowConsumer(_) => {
            Some(EngineError::Unreachable("more has come than could be taken".to_owned()))
        }
        Event::Disconnected | Event::Closed => {
            let why = "the server or the network has closed the connection";
            Some(EngineError::Unreachable(why.to_owned()))
        }
        _ => None,
    }
}
