//! An instance as these tests play it: a link, and what comes into its feed.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use realtime_bridge::{
    At, Engine, EngineError, Fed, Feed, Fetched, Hello, History, Interest, Link, Record,
};
use realtime_core::{Event, Retention, TopicName, TopicPattern};
use realtime_nats::{NatsEngine, NatsLink};
use realtime_testkit::{DEADLINE, servers::NatsServer};
use tokio::time::timeout;

pub(crate) struct Instance {
    pub(crate) link: NatsLink,
    pub(crate) at: At,
    fetched: Fetched,
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

pub(crate) fn pattern(pattern: &str) -> TopicPattern {
    TopicPattern::new(pattern).unwrap()
}

pub(crate) fn hello() -> Hello {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    Hello::new(format!("instance{}", COUNT.fetch_add(1, Relaxed)), Retention::default())
}

pub(crate) fn seen(at: At) -> Hello {
    let mut hello = hello();
    hello.seen = Some(at);
    hello
}

pub(crate) fn keeping(retention: Retention) -> Hello {
    let mut hello = hello();
    hello.retention = retention;
    hello
}

pub(crate) async fn connect(url: &str, hello: &Hello) -> Result<Instance, EngineError> {
    connect_to(&NatsEngine::connect(url).unwrap(), hello).await
}

pub(crate) async fn connect_to(nats: &NatsEngine, hello: &Hello) -> Result<Instance, EngineError> {
    let (feed, fetched) = Feed::new(10_000, 256 * 1024 * 1024);
    let (link, at) = bounded("connecting", nats.connect(hello, feed)).await?;
    Ok(Instance { link, at, fetched })
}

/// What `future` comes to, or a failure that says what took too long.
pub(crate) async fn bounded<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what} takes too long"))
}

impl Instance {
    pub(crate) async fn of(server: &NatsServer) -> Self {
        Self::saying(server, &hello()).await
    }

    pub(crate) async fn saying(server: &NatsServer, hello: &Hello) -> Self {
        connect(&server.url(), hello).await.unwrap()
    }

    pub(crate) async fn publish(&self, name: &str, event: impl Into<EventOf>) -> At {
        self.try_publish(name, event).await.unwrap()
    }

    pub(crate) async fn try_publish(
        &self,
        name: &str,
        event: impl Into<EventOf>,
    ) -> Result<At, EngineError> {
        let EventOf(event) = event.into();
        bounded("publishing", self.link.publish(&topic(name), &event)).await
    }

    pub(crate) async fn follow(&self, name: &str) {
        self.subscribe(&[Interest::Topic(topic(name))]).await;
    }

    pub(crate) async fn follow_pattern(&self, it: &str) {
        self.subscribe(&[Interest::Pattern(pattern(it))]).await;
    }

    pub(crate) async fn subscribe(&self, interests: &[Interest]) {
        bounded("subscribing", self.link.subscribe(interests)).await.unwrap();
    }

    pub(crate) async fn unsubscribe(&self, interests: &[Interest]) {
        bounded("unsubscribing", self.link.unsubscribe(interests)).await.unwrap();
    }

    pub(crate) async fn read(&self, name: &str, after: u64, limit: usize) -> History {
        bounded("reading", self.link.read(&topic(name), after, limit)).await.unwrap()
    }

    pub(crate) async fn topics(&self, it: &str, after: u64, limit: usize) -> Vec<String> {
        let topics = bounded("listing", self.link.topics(&pattern(it), after, limit)).await;
        let mut names: Vec<String> = topics.unwrap().iter().map(ToString::to_string).collect();
        names.sort();
        names
    }

    /// The next of the feed; nothing once it has ended.
    pub(crate) async fn next(&mut self) -> Option<Fed> {
        bounded("waiting for the feed", self.fetched.next()).await
    }

    pub(crate) async fn event(&mut self) -> Record {
        match self.next().await {
            Some(Fed::Event(record)) => record,
            other => panic!("expected an event, got {other:?}"),
        }
    }

    pub(crate) async fn lost(&mut self) -> EngineError {
        match self.next().await {
            Some(Fed::Lost(error)) => error,
            other => panic!("expected the loss of the connection, got {other:?}"),
        }
    }

    /// Where the sequence is, and that nothing else is in the feed before.
    pub(crate) async fn mark(&mut self) -> At {
        let (records, at) = self.until_mark().await;
        assert!(records.is_empty(), "expected nothing, got {records:?}");
        at
    }

    /// What comes before a mark that is asked for now, and the mark's place.
    pub(crate) async fn until_mark(&mut self) -> (Vec<Record>, At) {
        let token = u64::from(u32::MAX) + 7;
        bounded("asking for a mark", self.link.mark(token)).await.unwrap();
        let mut records = Vec::new();
        loop {
            match self.next().await {
                Some(Fed::Event(record)) => records.push(record),
                Some(Fed::Mark { token: came, at }) => {
                    assert_eq!(came, token);
                    return (records, at);
                }
                other => panic!("expected events and a mark, got {other:?}"),
            }
        }
    }
}

/// An event, or the text of one.
pub(crate) struct EventOf(Event);

impl From<&str> for EventOf {
    fn from(text: &str) -> Self {
        Self(Event::text(text))
    }
}

impl From<&Event> for EventOf {
    fn from(event: &Event) -> Self {
        Self(event.clone())
    }
}

pub(crate) fn texts(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.event.data().as_text().unwrap()).collect()
}

pub(crate) fn sequences(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.at.sequence).collect()
}

/// So short that a test can wait until it is over.
pub(crate) const SHORT: Duration = Duration::from_millis(160);
