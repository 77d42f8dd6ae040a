//! How to reach the server: [`RedisEngine`].

use realtime_bridge::{At, Engine, EngineError, Feed, Hello};

use crate::{
    address::{Address, UrlError},
    link::RedisLink,
    locate::locate,
    prefix::{Prefix, PrefixError},
};

/// A Redis (7.0 or later) or Valkey server, below the [`Bridge`](realtime_bridge::Bridge) that
/// [`Redis`](crate::Redis) makes of it.
#[derive(Clone, Debug)]
pub struct RedisEngine {
    address: Address,
    prefix: Prefix,
}

impl RedisEngine {
    /// The server at `url`, see [`Redis::connect`](crate::Redis::connect).
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn connect(url: &str) -> Result<Self, UrlError> {
        Ok(Self { address: Address::parse(url)?, prefix: Prefix::default() })
    }

    /// The same with another prefix, see [`Redis::prefix`](crate::Redis::prefix).
    ///
    /// # Errors
    /// [`PrefixError`].
    pub fn prefix(mut self, prefix: &str) -> Result<Self, PrefixError> {
        self.prefix = Prefix::new(prefix)?;
        Ok(self)
    }
}

impl Engine for RedisEngine {
    type Link = RedisLink;

    async fn connect(&self, hello: &Hello, feed: Feed) -> Result<(RedisLink, At), EngineError> {
        let server = locate(&self.address, &self.prefix).await?;
        RedisLink::connect(server, &self.prefix, hello, feed).await
    }
}
