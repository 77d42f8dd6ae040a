//! How to reach the server: [`Redis`].

use realtime_bridge::{At, Engine, EngineError, Feed, Hello};

use crate::{
    address::{Address, UrlError},
    link::RedisLink,
    locate::locate,
    prefix::{Prefix, PrefixError},
};

/// A Redis (7.0 or later) or Valkey server that carries events between the instances of a service.
///
/// All instances with the same server and prefix are one hub. What its user has to be permitted stands in the
/// [documentation of the crate](crate).
///
/// ```
/// let redis = realtime_redis::Redis::connect("redis://127.0.0.1")?.prefix("shop")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Redis {
    address: Address,
    prefix: Prefix,
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
        Ok(Self { address: Address::parse(url)?, prefix: Prefix::default() })
    }

    /// The same with `prefix` before all keys and channels, so that several hubs can share a server: 1 to
    /// 64 letters, digits, `-`, `_`, `.` or `:`. Default: `realtime`.
    ///
    /// # Errors
    /// [`PrefixError`] when it is anything else.
    pub fn prefix(mut self, prefix: &str) -> Result<Self, PrefixError> {
        self.prefix = Prefix::new(prefix)?;
        Ok(self)
    }
}

// The broker that a hub takes is the bridge over this engine.
impl Engine for Redis {
    type Link = RedisLink;

    async fn connect(&self, hello: &Hello, feed: Feed) -> Result<(RedisLink, At), EngineError> {
        let server = locate(&self.address, &self.prefix).await?;
        RedisLink::connect(server, &self.prefix, hello, feed).await
    }
}
