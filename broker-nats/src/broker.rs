//! What a hub is given: [`Nats`].

use std::{path::Path, sync::OnceLock};

use realtime_bridge::{Bridge, Options, broker_by_bridge};

use crate::{address::UrlError, engine::NatsEngine, prefix::PrefixError};

/// A NATS server (2.9 or later) with JetStream that carries events between the instances of a service.
///
/// All instances with the same server, or servers of one cluster, and the same prefix are one hub. What the
/// stream keeps, and what its user has to be permitted, stands in the [documentation of the crate](crate).
///
/// ```
/// use realtime_core::Hub;
/// use realtime_nats::Nats;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # let _entered = runtime.enter();
/// let hub = Hub::builder().broker(Nats::connect("nats://127.0.0.1")?.prefix("shop")?).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Nats {
    engine: NatsEngine,
    options: Options,
    bridge: OnceLock<Bridge<NatsEngine>>,
}

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
        let (engine, options) = (NatsEngine::connect(url)?, Options::default());
        Ok(Self { engine, options, bridge: OnceLock::new() })
    }

    /// The same with `prefix` as the first token of all subjects, and before the stream's name, so that
    /// several hubs can share a server: 1 to 64 letters, digits, `-` or `_`. Default: `realtime`.
    ///
    /// # Errors
    /// [`PrefixError`] when it is anything else.
    pub fn prefix(mut self, prefix: &str) -> Result<Self, PrefixError> {
        self.engine = self.engine.prefix(prefix)?;
        Ok(self)
    }

    /// The same with a stream that takes at most so many bytes of the server's disk, from when it is made
    /// on: what is oldest goes first, even below its age. The server sets the room aside. Default: 1 GiB.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.engine = self.engine.max_bytes(bytes);
        self
    }

    /// The same with a stream that so many servers of a cluster keep, from when it is made on: 1, 3 or 5.
    /// Default: 1.
    #[must_use]
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.engine = self.engine.replicas(replicas);
        self
    }

    /// The same with the credentials of a `.creds` file (a JWT and its key), read at each connection.
    #[must_use]
    pub fn credentials_file(mut self, path: impl AsRef<Path>) -> Self {
        self.engine = self.engine.credentials_file(path);
        self
    }

    /// The same with the key of an NKey user: its seed, which begins with `SU`.
    #[must_use]
    pub fn nkey(mut self, seed: impl Into<String>) -> Self {
        self.engine = self.engine.nkey(seed);
        self
    }

    /// The same trusting the certificate authorities in this PEM file, and no others. Default: those that
    /// the system trusts.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn root_certificates(mut self, path: impl AsRef<Path>) -> Self {
        self.engine = self.engine.root_certificates(path);
        self
    }

    /// The same showing the certificate in a PEM file, with its private key in another.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn client_certificate(
        mut self,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Self {
        self.engine = self.engine.client_certificate(certificate, key);
        self
    }

    /// The same with other deadlines and bounds; a hub that has been built with it keeps those that
    /// it had.
    #[must_use]
    pub fn options(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    fn bridge(&self) -> &Bridge<NatsEngine> {
        self.bridge.get_or_init(|| Bridge::new(self.engine.clone(), self.options))
    }
}

broker_by_bridge!(Nats, bridge);
