//! What a hub is given: [`Redis`].

use std::sync::OnceLock;

use realtime_bridge::{Bridge, Options, broker_by_bridge};

use crate::{address::UrlError, engine::RedisEngine, prefix::PrefixError};

/// A Redis (7.0 or later) or Valkey server that carries events between the instances of a service.
///
/// All instances with the same server and prefix are one hub. What its user has to be permitted stands in the
/// [documentation of the crate](crate).
///
/// ```
/// use realtime_core::Hub;
/// use realtime_redis::Redis;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # let _entered = runtime.enter();
/// let hub = Hub::builder().broker(Redis::connect("redis://127.0.0.1")?.prefix("shop")?).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Redis {
    engine: RedisEngine,
    options: Options,
    bridge: OnceLock<Bridge<RedisEngine>>,
}

impl Redis {
    /// The server at `url`. Nothing is sent yet: the hub connects, and connects again.
    ///
    /// | URL | server |
    /// |---|---|
    /// | `redis://[user:password@]host[:port]` | this one |
    /// | `redis+sentinel://[user:password@]host[:port],…/service` | the master of `service`, as the sentinels say |
    /// | `redis+cluster://[user:password@]host[:port],…` | of the cluster the node that has the prefix's slot |
    ///
    /// With `rediss` for `redis` the connection is encrypted (feature `tls`). `valkey` does for `redis`.
    /// The user and the password are percent-encoded where they hold `/`, `@`, `:`, `#` or `%`; sentinels
    /// are asked without. No other database than 0 can be chosen: channels know none.
    ///
    /// # Errors
    /// [`UrlError`]; it holds no part of the URL in which credentials may stand.
    pub fn connect(url: &str) -> Result<Self, UrlError> {
        let (engine, options) = (RedisEngine::connect(url)?, Options::default());
        Ok(Self { engine, options, bridge: OnceLock::new() })
    }

    /// The same with `prefix` before all keys and channels, so that several hubs can share a server: 1 to
    /// 64 letters, digits, `-`, `_`, `.` or `:`. Default: `realtime`.
    ///
    /// # Errors
    /// [`PrefixError`] when it is anything else.
    pub fn prefix(mut self, prefix: &str) -> Result<Self, PrefixError> {
        self.engine = self.engine.prefix(prefix)?;
        Ok(self)
    }

    /// The same with other deadlines and bounds; a hub that has been built with it keeps those that
    /// it had.
    #[must_use]
    pub fn options(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    fn bridge(&self) -> &Bridge<RedisEngine> {
        self.bridge.get_or_init(|| Bridge::new(self.engine.clone(), self.options))
    }
}

broker_by_bridge!(Redis, bridge);
