//! What comes live, on its way into the feed: [`Inbound`].

use std::{
    future::poll_fn,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_nats::{Client, Message, Subscriber};
use realtime_bridge::{At, EngineError, Fed, Feed, Record};
use tokio::sync::{mpsc, oneshot};

use crate::{
    gathered::{Broken, Gathered},
    loss::{Loss, lock},
    message::{self, Malformed, Place},
    prefix::Prefix,
    subject,
};

/// How long what has been taken waits for what the server stored before it and republishes after it: it
/// republishes what comes over several connections in no order of its own.
const HELD_FOR: Duration = Duration::from_millis(20);

/// How many messages the client's channel of a subscription has room for. Filled only while the task here
/// gets no time at all; then the connection is given up.
pub(crate) const CHANNEL: usize = 65_536;
/// Rounds before others get a turn.
const ROUNDS: usize = 16;

/// The client, until the connection is lost or given up.
pub(crate) type Slot = Mutex<Option<Client>>;

/// What is to be subscribed to, or not any more; answered once the server has been told.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) subjects: Vec<String>,
    pub(crate) wanted: bool,
    pub(crate) done: oneshot::Sender<()>,
}

/// The task that has the subscriptions: it alone pushes into the feed.
pub(crate) struct Inbound {
    pub(crate) client: Client,
    pub(crate) feed: Feed,
    pub(crate) loss: Arc<Loss>,
    pub(crate) slot: Arc<Slot>,
    pub(crate) live: String,
    pub(crate) marks: String,
    pub(crate) prefix: Prefix,
    pub(crate) epoch: u64,
    pub(crate) gathered: Gathered<Subscriber>,
    pub(crate) passed_over: u64,
}

/// A message with its sequence.
type Numbered = (u64, Message);

/// Why it ends.
enum End {
    /// To be told.
    Lost(EngineError),
    /// Nobody hears it any more.
    Closed,
}

impl Inbound {
    /// Runs until the link is dropped, the connection is lost, or the feed takes no more.
    ///
    /// To be run where no task's budget ends a poll early (`tokio::task::unconstrained`).
    pub(crate) async fn run(mut self, mut changes: mpsc::Receiver<Change>) {
        let end = self.pump(&mut changes).await;
        drop(lock(&self.slot).take());
        if let End::Lost(error) = end {
            // For calls that still wait for an answer.
            self.loss.set(error.clone());
            // Where this does not fit either, that the feed has ended says it.
            let _ = self.feed.push(Fed::Lost(error));
        } else {
            self.loss.set(EngineError::Unreachable("the connection has been given up".to_owned()));
        }
    }

    async fn pump(&mut self, changes: &mut mpsc::Receiver<Change>) -> End {
        // Taken in the round before, or later ones than that which are kept.
        let mut current: Vec<Numbered> = Vec::new();
        // When those that wait since the longest were taken, and since when nothing is let go of.
        let mut held_since = tokio::time::Instant::now();
        let mut taken: Vec<Message> = Vec::new();
        let mut newest = 0;
        for round in 1_usize.. {
            if let Some(error) = self.loss.get() {
                return End::Lost(error);
            }
            if !current.is_empty() && held_since.elapsed() < HELD_FOR {
                tokio::time::sleep_until(held_since + HELD_FOR).await;
            }
            match self.wait(changes, current.is_empty()).await {
                Some(Ok(change)) => self.change(change).await,
                Some(Err(end)) => return end,
                None => {}
            }
            if let Err(broken) = self.gathered.round(&mut taken) {
                return End::Lost(broken.into());
            }
            let complete = current.last().map(|(sequence, _)| *sequence);
            held_since = tokio::time::Instant::now();
            for message in taken.drain(..) {
                match self.place(&message) {
                    Ok(Some(sequence)) => current.push((sequence, message)),
                    Ok(None) => {}
                    Err(error) => return End::Lost(error),
                }
            }
            current.sort_by_key(|(sequence, _)| *sequence);
            let ready = current.partition_point(|(sequence, _)| Some(*sequence) <= complete);
            for (sequence, message) in current.drain(..ready) {
                if sequence == newest {
                    // For its topic and for a pattern.
                    continue;
                }
                if sequence < newest {
                    let why = format!("{sequence} has come after {newest}");
                    return End::Lost(EngineError::Protocol(why));
                }
                newest = sequence;
                if !self.pass_on(sequence, &message) {
                    return End::Closed;
                }
            }
            if round.is_multiple_of(ROUNDS) {
                tokio::task::yield_now().await;
            }
        }
        End::Closed
    }

    /// Waits, if there is nothing to be done, until there is.
    async fn wait(
        &self,
        changes: &mut mpsc::Receiver<Change>,
        is_idle: bool,
    ) -> Option<Result<Change, End>> {
        if !is_idle {
            return match changes.try_recv() {
                Ok(change) => Some(Ok(change)),
                Err(mpsc::error::TryRecvError::Empty) => None,
                Err(mpsc::error::TryRecvError::Disconnected) => Some(Err(End::Closed)),
            };
        }
        tokio::select! {
            biased;
            change = changes.recv() => Some(change.ok_or(End::Closed)),
            error = self.loss.told() => Some(Err(End::Lost(error))),
            () = poll_fn(|cx| self.gathered.poll_rung(cx)) => None,
        }
    }

    async fn change(&mut self, change: Change) {
        for subject in change.subjects {
            if change.wanted && !self.gathered.contains(&subject) {
                match self.client.subscribe(subject.clone()).await {
                    Ok(messages) => self.gathered.insert(subject, messages),
                    Err(error) => self.loss.set(EngineError::Unreachable(error.to_string())),
                }
            } else if !change.wanted
                && let Some(mut messages) = self.gathered.remove(&subject)
            {
                // That fails where the connection is lost, which shows elsewhere.
                let _ = messages.unsubscribe().await;
            }
        }
        // Who asked may have given up.
        let _ = change.done.send(());
    }

    /// The sequence of a message; nothing when it is none of ours.
    fn place(&mut self, message: &Message) -> Result<Option<u64>, EngineError> {
        let (sequence, epoch) = match Place::of(message) {
            Ok(place) => (place.sequence, self.prefix.epoch(place.stream)),
            Err(malformed) => {
                self.pass_over(malformed);
                return Ok(None);
            }
        };
        if epoch == Some(self.epoch) {
            return Ok(Some(sequence));
        }
        Err(EngineError::Unreachable("the stream has been made anew".to_owned()))
    }

    /// False when the feed takes no more.
    fn pass_on(&mut self, sequence: u64, message: &Message) -> bool {
        match self.read(sequence, message) {
            Ok(fed) => self.feed.push(fed),
            Err(malformed) => {
                self.pass_over(malformed);
                true
            }
        }
    }

    fn read(&self, sequence: u64, message: &Message) -> Result<Fed, Malformed> {
        let at = At { epoch: self.epoch, sequence };
        if message.subject.as_str() == self.marks {
            let token = std::str::from_utf8(&message.payload).ok().and_then(message::decimal);
            return Ok(Fed::Mark { token: token.ok_or(Malformed::Mark)?, at });
        }
        let topic = subject::topic(&self.live, message.subject.as_str());
        let topic = topic.ok_or(Malformed::Subject)?;
        let previous = Place::of(message)?.previous;
        let event = message::event(message)?;
        // It has just been published.
        Ok(Fed::Event(Record { topic, at, previous, event, age: Duration::ZERO }))
    }

    /// Somebody else has published it. Its place in the sequence, if it has one, shows as missing.
    fn pass_over(&mut self, malformed: Malformed) {
        self.passed_over += 1;
        let times = self.passed_over;
        // At 1, 2, 4, 8, …: whoever sends it may send it without end.
        if times.is_power_of_two() {
            tracing::warn!(times, reason = %malformed, "passed over a message that is none of ours");
        }
    }
}

impl From<Broken> for EngineError {
    fn from(broken: Broken) -> Self {
        Self::Unreachable(match broken {
            Broken::Overflow => "more has come than could be taken".to_owned(),
            Broken::Ended => "the connection has ended".to_owned(),
        })
    }
}
