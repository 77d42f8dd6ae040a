//! How to reach the server: [`Nats`].

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

/// A NATS server (2.9 or later) with JetStream that carries events between the instances of a service.
///
/// All instances with the same server, or servers of one cluster, and the same prefix are one hub. What the
/// stream keeps, and what its user has to be permitted, stands in the [documentation of the crate](crate).
///
/// ```
/// let nats = realtime_nats::Nats::connect("nats://127.0.0.1")?.prefix("shop")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Nats {
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

impl Nats {
    /// The server at `url`. Nothing is sent yet: the hub connects, and connects again.
    ///
    /// `nats://[user:password@|token@]host[:port],…`, or `tls://` for an encrypted connection (feature
    /// `tls`). Of several servers, all of one cluster, the first that answers is taken. Credentials are
    /// percent-encoded where they hold `/`, `@`, `:` or `%`.
    ///
    /// # Errors
    /// [`UrlError`]; it holds no part of the URL in which credentials may stand.
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

    /// The same with `prefix` as the first token of all subjects, and before the stream's name, so that
    /// several hubs can share a server: 1 to 64 letters, digits, `-` or `_`. Default: `realtime`.
    ///
    /// # Errors
    /// [`PrefixError`] when it is anything else.
    pub fn prefix(mut self, prefix: &str) -> Result<Self, PrefixError> {
        self.prefix = Prefix::new(prefix)?;
        Ok(self)
    }

    /// The same with a stream that takes at most so many bytes of the server's disk, from when it is made
    /// on: what is oldest goes first, even below its age. The server sets the room aside. Default: 1 GiB.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.settings.max_bytes = bytes.clamp(1, u64::MAX >> 1);
        self
    }

    /// The same with a stream that so many servers of a cluster keep, from when it is made on: 1, 3 or 5.
    /// Default: 1.
    #[must_use]
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.settings.replicas = replicas;
        self
    }

    /// The same with the credentials of a `.creds` file (a JWT and its key), read at each connection.
    #[must_use]
    pub fn credentials_file(mut self, path: impl AsRef<Path>) -> Self {
        self.key = Some(Key::File(path.as_ref().to_owned()));
        self
    }

    /// The same with the key of an NKey user: its seed, which begins with `SU`.
    #[must_use]
    pub fn nkey(mut self, seed: impl Into<String>) -> Self {
        self.key = Some(Key::Seed(seed.into()));
        self
    }

    /// The same trusting the certificate authorities in this PEM file, and no others. Default: those that
    /// the system trusts.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn root_certificates(mut self, path: impl AsRef<Path>) -> Self {
        self.roots = Some(path.as_ref().to_owned());
        self
    }

    /// The same showing the certificate in a PEM file, with its private key in another.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn client_certificate(mut self, certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        self.certificate = Some((certificate.as_ref().to_owned(), key.as_ref().to_owned()));
        self
    }

    async fn options(&self, hello: &Hello, loss: &Arc<Loss>) -> Result<ConnectOptions, EngineError> {
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
impl Engine for Nats {
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
impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats")
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
