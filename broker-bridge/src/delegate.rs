//! A type with a bridge inside is a broker.

/// Implements [`Broker`](realtime_core::Broker) for a type whose method gives its
/// [`Bridge`](crate::Bridge).
#[macro_export]
macro_rules! broker_by_bridge {
    ($type:ty, $bridge:ident) => {
        impl $crate::core::Broker for $type {
            fn epoch(&self) -> u64 {
                $crate::core::Broker::epoch(self.$bridge())
            }

            fn start(&self, inlet: $crate::core::Inlet) -> Result<(), $crate::core::BrokerError> {
                $crate::core::Broker::start(self.$bridge(), inlet)
            }

            fn publish(
                &self,
                topic: &$crate::core::TopicName,
                event: $crate::core::Event,
                now: std::time::Instant,
            ) -> $crate::core::Published {
                $crate::core::Broker::publish(self.$bridge(), topic, event, now)
            }

            fn interest(&self, topic: &$crate::core::TopicName, interested: bool) {
                $crate::core::Broker::interest(self.$bridge(), topic, interested);
            }

            fn pattern_interest(&self, pattern: &$crate::core::TopicPattern, interested: bool) {
                $crate::core::Broker::pattern_interest(self.$bridge(), pattern, interested);
            }

            fn is_shared(&self) -> bool {
                true
            }

            fn read(&self, topic: &$crate::core::TopicName, after: u64, limit: usize) {
                $crate::core::Broker::read(self.$bridge(), topic, after, limit);
            }

            fn find(&self, pattern: &$crate::core::TopicPattern, after: u64, limit: usize) {
                $crate::core::Broker::find(self.$bridge(), pattern, after, limit);
            }

            fn catch_up(&self) {
                $crate::core::Broker::catch_up(self.$bridge());
            }

            fn disconnect(&self, subject: &str, reason: &str) {
                $crate::core::Broker::disconnect(self.$bridge(), subject, reason);
            }

            fn occupancy(
                &self,
                topic: &$crate::core::TopicName,
                here: usize,
            ) -> $crate::core::Counting {
                $crate::core::Broker::occupancy(self.$bridge(), topic, here)
            }

            fn health(&self) -> $crate::core::BrokerHealth {
                $crate::core::Broker::health(self.$bridge())
            }

            fn stats(&self) -> $crate::core::BrokerStats {
                $crate::core::Broker::stats(self.$bridge())
            }

            fn close(&self) -> $crate::core::Closing {
                $crate::core::Broker::close(self.$bridge())
            }
        }
    };
}
