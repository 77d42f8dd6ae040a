//! What the server sends by itself, on its way into the feed: [`Inbound`].

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use realtime_bridge::{EngineError, Fed, Feed};
use realtime_core::TopicName;
use redis::{PushInfo, PushKind, Value, aio::MultiplexedConnection};

use crate::message::{Malformed, Message, mark};

/// A connection, until it is lost or given up.
pub(crate) type Slot = Mutex<Option<MultiplexedConnection>>;

/// Takes what comes over a connection, on the task that reads it, and passes it on in that order.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// Gone once the connection is lost, or has brought more than fits: nothing may follow then.
    feed: Mutex<Option<Feed>>,
    /// Not a strong one: the connection's task holds this.
    connection: Weak<Slot>,
    channels: String,
    marks: String,
    passed_over: AtomicU64,
}

impl Inbound {
    pub(crate) fn new(feed: Feed, connection: Weak<Slot>, channels: String, marks: String) -> Self {
        let feed = Mutex::new(Some(feed));
        Self { feed, connection, channels, marks, passed_over: AtomicU64::new(0) }
    }

    /// Takes one. Never waits.
    pub(crate) fn take(&self, push: PushInfo) {
        let fed = match push.kind {
            PushKind::Message => match <[Value; 2]>::try_from(push.data) {
                Ok([channel, payload]) => self.read(&channel, &payload),
                Err(_) => Err(Malformed::Channel),
            },
            PushKind::PMessage => match <[Value; 3]>::try_from(push.data) {
                Ok([_, channel, payload]) => self.read(&channel, &payload),
                Err(_) => Err(Malformed::Channel),
            },
            PushKind::Disconnection => {
                let why = "the server or the network has closed the connection";
                return self.lose(EngineError::Unreachable(why.into()));
            }
            _ => return,
        };
        match fed {
            Ok(fed) => self.pass_on(fed),
            Err(malformed) => self.pass_over(malformed),
        }
    }

    /// Gives the connection up, for good, and says why.
    pub(crate) fn lose(&self, error: EngineError) {
        let feed = lock(&self.feed).take();
        if let Some(feed) = feed {
            // Where this does not fit either, that the feed has ended says it.
            let _ = feed.push(Fed::Lost(error));
        }
        self.close();
    }

    fn read(&self, channel: &Value, payload: &Value) -> Result<Fed, Malformed> {
        let (Value::BulkString(channel), Value::BulkString(payload)) = (channel, payload) else {
            return Err(Malformed::Channel);
        };
        if *channel == self.marks.as_bytes() {
            let (at, token) = mark(payload)?;
            return Ok(Fed::Mark { token, at });
        }
        let topic = channel.strip_prefix(self.channels.as_bytes());
        let topic = topic.and_then(|topic| std::str::from_utf8(topic).ok());
        let topic = topic.and_then(|topic| TopicName::new(topic).ok()).ok_or(Malformed::Channel)?;
        // It has just been published. Its time is by the server's clock, which may differ from ours.
        Ok(Fed::Event(Message::parse(payload)?.record(&topic, Duration::ZERO)?))
    }

    fn pass_on(&self, fed: Fed) {
        let mut feed = lock(&self.feed);
        if feed.as_ref().is_some_and(|feed| !feed.push(fed)) {
            *feed = None;
            drop(feed);
            self.close();
        }
    }

    /// Somebody else has published it. Its place in the sequence, if it has one, shows as missing.
    fn pass_over(&self, malformed: Malformed) {
        let times = self.passed_over.fetch_add(1, Relaxed) + 1;
        // At 1, 2, 4, 8, …: whoever sends it may send it without end.
        if times.is_power_of_two() {
            tracing::warn!(times, reason = %malformed, "passed over a message that is none of ours");
        }
    }

    fn close(&self) {
        if let Some(slot) = self.connection.upgrade() {
            let connection = lock(&slot).take();
            drop(connection);
        }
    }
}

/// Nothing panics under these locks; if it did, what they guard would still be whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
