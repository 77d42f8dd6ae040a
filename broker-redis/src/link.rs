//! A connection to the server: [`RedisLink`].

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use realtime_bridge::{At, EngineError, Feed, Hello, History, Interest, Link};
use realtime_core::{Event, TopicName, TopicPattern};
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionInfo, FromRedisValue, RedisError, Value,
    aio::MultiplexedConnection, cmd,
};
use tokio::sync::Mutex;

use crate::{
    failure::{self, failure, number},
    glob::glob,
    history::{PAGE_BYTES, Reading},
    inbound::{Inbound, Slot, lock},
    library,
    locate::connect,
    message::Kind,
    prefix::Prefix,
};

/// One connection to a Redis or Valkey server, for everything.
///
/// Dropping it closes the connection.
pub struct RedisLink {
    prefix: Prefix,
    instance: String,
    /// How many bytes of events a history has at most, one event over.
    history_bytes: u64,
    connection: Arc<Slot>,
    inbound: Arc<Inbound>,
    /// Held while the server is told, so that it is told in this order.
    patterns: Mutex<Patterns>,
}

/// The patterns behind each glob that is subscribed to: several may have the same.
type Patterns = HashMap<String, HashSet<TopicPattern>>;

/// Channels named in one command.
const BATCH: usize = 1000;
/// Topics told in one step.
const TOPICS: usize = 1000;
/// Steps before a walk over the topics gives up: topics that are published to meanwhile move to its end.
const MAX_STEPS: usize = 10_000;

impl RedisLink {
    /// Connects, has marks come, and says `hello`.
    pub(crate) async fn connect(
        server: ConnectionInfo,
        prefix: &Prefix,
        hello: &Hello,
        feed: Feed,
    ) -> Result<(Self, At), EngineError> {
        let name = &hello.instance;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
            let why = "the name of an instance must be letters and digits";
            return Err(EngineError::Refused(why.to_owned()));
        }
        let slot = Arc::<Slot>::default();
        let marks = prefix.marks(name);
        let inbound = Inbound::new(feed, Arc::downgrade(&slot), prefix.channels(), marks.clone());
        let inbound = Arc::new(inbound);
        let taking = Arc::clone(&inbound);
        let config = AsyncConnectionConfig::new().set_push_sender(move |push| {
            taking.take(push);
            Ok::<(), std::convert::Infallible>(())
        });
        let mut connection = connect(server, config).await?;
        connection.subscribe(marks).await.map_err(|error| failure(&error))?;
        let at = library::greet(&mut connection, prefix, hello).await?;
        *lock(&slot) = Some(connection);
        let link = Self {
            prefix: prefix.clone(),
            instance: hello.instance.clone(),
            history_bytes: hello.retention.bytes.max(1),
            connection: slot,
            inbound,
            patterns: Mutex::default(),
        };
        Ok((link, at))
    }

    fn connection(&self) -> Result<MultiplexedConnection, EngineError> {
        lock(&self.connection).clone().ok_or_else(|| {
            EngineError::Unreachable(
                "the connection is closed; what came did not fit, or it is lost".into(),
            )
        })
    }

    /// Sends a command, once.
    async fn send<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, EngineError> {
        let mut connection = self.connection()?;
        command.query_async(&mut connection).await.map_err(|error| self.failed(&error))
    }

    /// What an error means, after giving up a connection that is of no use any more.
    fn failed(&self, error: &RedisError) -> EngineError {
        let failure = failure(error);
        if failure::needs_new_connection(error) {
            self.inbound.lose(failure.clone());
        }
        failure
    }

    /// A call of one of our functions, its arguments yet to come.
    fn call(&self, function: &str) -> Cmd {
        let mut call = cmd("FCALL");
        call.arg(function).arg(1).arg(self.prefix.as_str());
        call
    }

    fn channels(&self, interests: &[Interest]) -> Vec<String> {
        let prefix = self.prefix.channels();
        let topics = interests.iter().filter_map(|interest| match interest {
            Interest::Topic(topic) => Some(topic.as_str()),
            Interest::Pattern(_) => None,
        });
        topics.map(|topic| format!("{prefix}{topic}")).collect()
    }

    fn globs<'a>(&self, interests: &'a [Interest]) -> Vec<(String, &'a TopicPattern)> {
        let prefix = self.prefix.channels();
        let patterns = interests.iter().filter_map(|interest| match interest {
            Interest::Topic(_) => None,
            Interest::Pattern(pattern) => Some(pattern),
        });
        patterns.map(|pattern| (glob(&prefix, pattern), pattern)).collect()
    }
}

impl Link for RedisLink {
    async fn publish(&self, topic: &TopicName, event: &Event) -> Result<At, EngineError> {
        let mut call = self.call("realtime1_store");
        call.arg(topic.as_str())
            .arg(event.data().as_bytes())
            .arg(Kind::of(event).as_str())
            .arg(event.name().map_or("", |name| name.as_str()))
            .arg(event.key().map_or("", |key| key.as_str()));
        let answer: Value = self.send(&call).await?;
        let numbers = match &answer {
            Value::Array(parts) => (number(parts.first()), number(parts.get(1))),
            _ => (None, None),
        };
        let (Some(epoch), Some(sequence)) = numbers else {
            return Err(failure::unexpected("realtime1_store", "epoch and sequence"));
        };
        Ok(At { epoch, sequence })
    }

    async fn subscribe(&self, interests: &[Interest]) -> Result<(), EngineError> {
        let mut patterns = self.patterns.lock().await;
        let mut connection = self.connection()?;
        for channels in self.channels(interests).chunks(BATCH) {
            connection.subscribe(channels).await.map_err(|error| self.failed(&error))?;
        }
        let mut new = Vec::new();
        for (glob, pattern) in self.globs(interests) {
            let same = patterns.entry(glob.clone()).or_insert_with(|| {
                new.push(glob);
                HashSet::new()
            });
            same.insert(pattern.clone());
        }
        for globs in new.chunks(BATCH) {
            connection.psubscribe(globs).await.map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }

    async fn unsubscribe(&self, interests: &[Interest]) -> Result<(), EngineError> {
        let mut patterns = self.patterns.lock().await;
        let mut connection = self.connection()?;
        for channels in self.channels(interests).chunks(BATCH) {
            connection.unsubscribe(channels).await.map_err(|error| self.failed(&error))?;
        }
        let mut unused = Vec::new();
        for (glob, pattern) in self.globs(interests) {
            let Some(same) = patterns.get_mut(&glob) else { continue };
            same.remove(pattern);
            if same.is_empty() {
                patterns.remove(&glob);
                unused.push(glob);
            }
        }
        for globs in unused.chunks(BATCH) {
            connection.punsubscribe(globs).await.map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }

    async fn mark(&self, token: u64) -> Result<(), EngineError> {
        let mut call = self.call("realtime1_mark");
        call.arg(&self.instance).arg(token);
        self.send(&call).await
    }

    async fn read(
        &self,
        topic: &TopicName,
        after: u64,
        limit: usize,
    ) -> Result<History, EngineError> {
        let mut reading = Reading::new(topic, after, limit, self.history_bytes);
        while !reading.is_done() {
            let mut call = self.call("realtime1_read");
            call.arg(topic.as_str())
                .arg(after)
                .arg(reading.before())
                .arg(reading.count())
                .arg(self.history_bytes.min(PAGE_BYTES));
            let answer: Value = self.send(&call).await?;
            reading.take(&answer)?;
        }
        Ok(reading.finish())
    }

    async fn topics(
        &self,
        pattern: &TopicPattern,
        after: u64,
        limit: usize,
    ) -> Result<Vec<TopicName>, EngineError> {
        let mut found = HashSet::new();
        let mut from = format!("({after}");
        for _ in 0..MAX_STEPS {
            let mut range = cmd("ZRANGE");
            range.arg(self.prefix.topics()).arg(&from).arg("+inf").arg("BYSCORE");
            range.arg("LIMIT").arg(0).arg(TOPICS).arg("WITHSCORES");
            let page: Vec<(Vec<u8>, f64)> = self.send(&range).await?;
            let is_last = page.len() < TOPICS;
            for (topic, score) in page {
                from = format!("({score}");
                // What is no topic's name, somebody else has put there.
                let Ok(topic) = String::from_utf8(topic) else { continue };
                let Ok(topic) = TopicName::new(topic) else { continue };
                if pattern.matches(&topic) {
                    found.insert(topic);
                    if found.len() > limit {
                        return Ok(found.into_iter().collect());
                    }
                }
            }
            if is_last {
                return Ok(found.into_iter().collect());
            }
        }
        let why = "topics are published to faster than they can be listed";
        Err(EngineError::Unreachable(why.to_owned()))
    }
}

impl fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLink")
            .field("prefix", &self.prefix.as_str())
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}
