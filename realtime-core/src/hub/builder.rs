//! The configuration of a hub, field by field.

use super::Hub;
use crate::{
    auth::{Authentication, Authorize, Authorizer},
    broker::{Broker, LocalBroker},
    client_ip::TrustedProxies,
    config::{Config, ConfigError, SseConfig, WebSocketConfig},
    drain::Drain,
    limits::Limits,
    log::Retention,
    origin::OriginPolicy,
    overflow::{LagLimit, Overflow},
};

/// Builds a [`Hub`].
///
/// ```
/// use realtime_core::{Hub, LagLimit, Overflow, Retention};
///
/// let hub = Hub::builder()
///     .overflow(Overflow::Conflate)
///     .lag(LagLimit::default().events(64))
///     .retention(Retention::default().events(10_000))
///     .build()?;
/// # Ok::<(), realtime_core::ConfigError>(())
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct HubBuilder {
    config: Config,
    broker: Option<Box<dyn Broker>>,
}

impl HubBuilder {
    /// Takes a whole configuration.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets [`Config::retention`].
    pub fn retention(mut self, retention: Retention) -> Self {
        self.config.retention = retention;
        self
    }

    /// Sets [`Config::overflow`].
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.config.overflow = overflow;
        self
    }

    /// Sets [`Config::lag`].
    pub fn lag(mut self, lag: LagLimit) -> Self {
        self.config.lag = lag;
        self
    }

    /// Changes [`Config::limits`].
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.config.limits);
        self
    }

    /// Sets [`Config::origin`].
    pub fn origin(mut self, origin: OriginPolicy) -> Self {
        self.config.origin = origin;
        self
    }

    /// Sets [`Config::trusted_proxies`].
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.config.trusted_proxies = proxies;
        self
    }

    /// Sets [`Config::authentication`].
    pub fn authentication(mut self, authentication: Authentication) -> Self {
        self.config.authentication = Some(authentication);
        self
    }

    /// Sets [`Config::authorize`].
    ///
    /// ```
    /// use realtime_core::{Action, Hub, Identity, TopicName};
    ///
    /// let hub = Hub::builder()
    ///     .authorize(|identity: Option<&Identity>, action, topic: &TopicName| {
    ///         let own = identity.map(|identity| format!("user.{}", identity.subject()));
    ///         action == Action::Subscribe && own.is_some_and(|own| topic.as_str() == own)
    ///     })
    ///     .build()?;
    /// # Ok::<(), realtime_core::ConfigError>(())
    /// ```
    pub fn authorize(mut self, authorize: impl Authorize) -> Self {
        self.config.authorize = Some(Authorizer::new(authorize));
        self
    }

    /// Changes [`Config::drain`].
    pub fn drain(mut self, change: impl FnOnce(&mut Drain)) -> Self {
        change(&mut self.config.drain);
        self
    }

    /// Changes [`Config::sse`].
    pub fn sse(mut self, change: impl FnOnce(&mut SseConfig)) -> Self {
        change(&mut self.config.sse);
        self
    }

    /// Changes [`Config::websocket`].
    pub fn websocket(mut self, change: impl FnOnce(&mut WebSocketConfig)) -> Self {
        change(&mut self.config.websocket);
        self
    }

    /// Takes a broker in place of the embedded one.
    pub fn broker(mut self, broker: impl Broker) -> Self {
        self.broker = Some(Box::new(broker));
        self
    }

    /// Builds the hub.
    ///
    /// # Errors
    /// [`ConfigError`] when a value of the configuration can't work, see [`Config::check`], or the broker
    /// can't start where it is.
    pub fn build(self) -> Result<Hub, ConfigError> {
        self.config.check()?;
        let broker = self.broker.unwrap_or_else(|| Box::new(LocalBroker::new()));
        Ok(Hub::assemble(self.config, broker)?)
    }
}
