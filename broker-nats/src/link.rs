//! A connection to the server: [`NatsLink`].

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex},
};

use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use realtime_bridge::{At, EngineError, Feed, Hello, History, Interest, Link};
use realtime_core::{Data, Event, TopicName, TopicPattern};
use tokio::sync::{mpsc, oneshot};

use crate::{
    api::{Api, Failure, number, text},
    consumer::Consumer,
    gathered::Gathered,
    history::{self, Wanted},
    inbound::{CHANNEL, Change, Inbound, Slot},
    loss::{Loss, lock},
    message,
    prefix::Prefix,
    stream::{self, Settings},
    subject,
};

/// One connection to a NATS server, for everything.
///
/// Dropping it closes the connection.
pub struct NatsLink {
    prefix: Prefix,
    stream: String,
    epoch: u64,
    /// The subject of this instance's marks in the stream.
    marks: String,
    /// How many bytes of events a history has at most, one event over.
    history_bytes: u64,
    client: Arc<Slot>,
    loss: Arc<Loss>,
    changes: mpsc::Sender<Change>,
}

/// Changes of interest that may wait for their turn; who has more waits.
const CHANGES: usize = 16;

impl NatsLink {
    /// Has the stream be there, and marks come.
    pub(crate) async fn over(
        client: Client,
        loss: Arc<Loss>,
        prefix: &Prefix,
        settings: Settings,
        hello: &Hello,
        feed: Feed,
    ) -> Result<(Self, At), EngineError> {
        let name = &hello.instance;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
            let why = "the name of an instance must be letters and digits";
            return Err(EngineError::Refused(why.to_owned()));
        }
        let api = Api::new(client.clone());
        let at = tokio::select! {
            biased;
            why = loss.told() => Err(why),
            at = stream::open(&api, prefix, settings, hello) => at,
        }?;
        let slot = Arc::new(Mutex::new(Some(client.clone())));
        let inbound = Inbound {
            client,
            feed,
            loss: Arc::clone(&loss),
            slot: Arc::clone(&slot),
            live: prefix.live(),
            marks: prefix.live_marks(name),
            prefix: prefix.clone(),
            epoch: at.epoch,
            gathered: Gathered::new(CHANNEL),
            passed_over: 0,
        };
        let (changes, taken) = mpsc::channel(CHANGES);
        // It ends when the link is dropped, with which `changes` goes.
        tokio::spawn(tokio::task::unconstrained(inbound.run(taken)));
        let link = Self {
            prefix: prefix.clone(),
            stream: prefix.stream(at.epoch),
            epoch: at.epoch,
            marks: prefix.stored_marks(name),
            history_bytes: hello.retention.bytes.max(1),
            client: slot,
            loss,
            changes,
        };
        let subscribed = link.change(vec![prefix.live_marks(name)], true).await;
        subscribed.map_err(|error| link.loss.get().unwrap_or(error))?;
        Ok((link, at))
    }

    fn api(&self) -> Result<Api, EngineError> {
        lock(&self.client).clone().map(Api::new).ok_or_else(|| {
            EngineError::Unreachable(
                "the connection is closed; what came did not fit, or it is lost".into(),
            )
        })
    }

    /// What `future` comes to, unless the connection is lost before.
    async fn unless_lost<T>(
        &self,
        future: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, EngineError> {
        let done = tokio::select! {
            biased;
            done = future => done,
            why = self.loss.told() => {
                // Not its own error: what was asked for may have been done.
                return Err(EngineError::Unreachable(why.to_string()));
            }
        };
        done.map_err(|failure| {
            let is_gone = failure == Failure::NoStream;
            let error = failure.into_error();
            if is_gone {
                // The next connection makes another.
                self.loss.set(error.clone());
            }
            error
        })
    }

    async fn store(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<At, EngineError> {
        let api = self.api()?;
        let stored = self.unless_lost(api.store(subject, headers, payload)).await?;
        let sequence = number(&stored, &["seq"])?;
        let stream = text(&stored, "stream")?;
        let epoch = self.prefix.epoch(stream).ok_or_else(|| {
            EngineError::Protocol(format!("the stream {stream:?} has stored what is none of its"))
        })?;
        if epoch != self.epoch {
            self.loss.set(made_anew());
        }
        Ok(At { epoch, sequence })
    }

    /// Changes what comes. When it returns, the server that stores does it, wherever it stands.
    async fn change(&self, subjects: Vec<String>, wanted: bool) -> Result<(), EngineError> {
        let api = self.api()?;
        let (done, told) = oneshot::channel();
        let closed = || EngineError::Unreachable("the connection is closed".to_owned());
        self.changes.send(Change { subjects, wanted, done }).await.map_err(|_| closed())?;
        let told = async { told.await.map_err(|_| Failure::Other(closed())) };
        self.unless_lost(told).await?;
        if wanted {
            // A server does what one connection asks in its order, and so do servers among each other: the
            // one that answers this, which is the one that stores, has heard of the subscriptions.
            self.unless_lost(stream::info(&api, &self.stream)).await?;
        }
        Ok(())
    }

    fn subjects(&self, interests: &[Interest]) -> Vec<String> {
        let live = self.prefix.live();
        let subjects = interests.iter().map(|interest| match interest {
            Interest::Topic(topic) => subject::of_topic(&live, topic),
            Interest::Pattern(pattern) => subject::of_pattern(&live, pattern),
        });
        subjects.collect()
    }

    async fn newest_topics(
        &self,
        api: &Api,
        pattern: &TopicPattern,
        after: u64,
        limit: usize,
    ) -> Result<Vec<TopicName>, Failure> {
        let stored = self.prefix.stored();
        let subject = subject::of_pattern(&stored, pattern);
        let mut consumer = Consumer::newest(api, &self.stream, &subject).await?;
        let mut found = HashSet::new();
        while found.len() <= limit {
            let page = consumer.page().await.map_err(Failure::Other)?;
            if page.is_empty() {
                break;
            }
            let newer = page.into_iter().filter(|(_, place)| place.sequence > after);
            // What is no topic's subject, somebody else has published to.
            found.extend(newer.filter_map(|(it, _)| subject::topic(&stored, it.subject.as_str())));
        }
        consumer.forget().await;
        Ok(found.into_iter().take(limit.saturating_add(1)).collect())
    }
}

impl Link for NatsLink {
    async fn publish(&self, topic: &TopicName, event: &Event) -> Result<At, EngineError> {
        let payload = match event.data() {
            Data::Text(text) => text.clone().into_bytes(),
            Data::Binary(bytes) => bytes.clone(),
        };
        let subject = subject::of_topic(&self.prefix.stored(), topic);
        self.store(&subject, message::headers(event), payload).await
    }

    async fn subscribe(&self, interests: &[Interest]) -> Result<(), EngineError> {
        self.change(self.subjects(interests), true).await
    }

    async fn unsubscribe(&self, interests: &[Interest]) -> Result<(), EngineError> {
        self.change(self.subjects(interests), false).await
    }

    async fn mark(&self, token: u64) -> Result<(), EngineError> {
        // Marks stay until they are past their age. Were older ones removed, the stream would begin later
        // than what has gone of any topic, and more would be told to be missing than is.
        self.store(&self.marks, HeaderMap::new(), token.to_string().into()).await.map(|_| ())
    }

    async fn read(
        &self,
        topic: &TopicName,
        after: u64,
        limit: usize,
    ) -> Result<History, EngineError> {
        let api = self.api()?;
        let subject = subject::of_topic(&self.prefix.stored(), topic);
        let bytes = self.history_bytes;
        let wanted = Wanted { topic, subject: &subject, after, limit, bytes };
        self.unless_lost(history::read(&api, &self.stream, self.epoch, wanted)).await
    }

    async fn topics(
        &self,
        pattern: &TopicPattern,
        after: u64,
        limit: usize,
    ) -> Result<Vec<TopicName>, EngineError> {
        let api = self.api()?;
        self.unless_lost(self.newest_topics(&api, pattern, after, limit)).await
    }
}

impl fmt::Debug for NatsLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsLink").field("stream", &self.stream).finish_non_exhaustive()
    }
}

fn made_anew() -> EngineError {
    EngineError::Unreachable("the stream has been made anew".to_owned())
}
