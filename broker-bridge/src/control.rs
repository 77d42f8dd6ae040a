//! What the instances of a service tell each other: [`Command`], [`Others`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use realtime_core::{Event, Occupancy};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// How often an instance says that it is there.
pub(crate) const SAYS_SO_EACH: Duration = Duration::from_secs(15);

/// After how long without a word it is taken for gone.
const GONE_AFTER: Duration = Duration::from_secs(40);

/// What one instance tells all others, in an event of its own topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Who tells it.
    pub(crate) from: String,
    pub(crate) command: Command,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Command {
    /// End the connections of a subject.
    Disconnect { subject: String, reason: String },
    /// Say how many subscribers a topic has.
    Count { topic: String, number: u64 },
    /// The answer to `Count` with that number, of the instance `to`.
    Counted { to: String, number: u64, subscribers: u64 },
    /// It is there.
    Here,
    /// It goes.
    Gone,
}

impl Told {
    pub(crate) fn event(&self) -> Event {
        // Strings and numbers always serialize.
        Event::json(self).unwrap_or_else(|_| Event::text("{}"))
    }

    /// What an event says, unless it is of a later version that says other things.
    pub(crate) fn read(event: &Event) -> Option<Self> {
        serde_json::from_slice(event.data().as_bytes()).ok()
    }
}

/// The other instances, as far as they have been heard of, and what they have been asked.
#[derive(Debug, Default)]
pub(crate) struct Others {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    heard: HashMap<String, Instant>,
    asked: u64,
    counts: HashMap<u64, Count>,
}

#[derive(Debug, Default)]
struct Count {
    subscribers: u64,
    answers: u64,
    answered: Arc<Notify>,
}

/// A question that waits for answers; taken back when it is dropped.
pub(crate) struct Asking<'a> {
    others: &'a Others,
    pub(crate) number: u64,
    answered: Arc<Notify>,
}

impl Others {
    pub(crate) fn heard(&self, instance: &str, now: Instant) {
        self.lock().heard.insert(instance.to_owned(), now);
    }

    pub(crate) fn gone(&self, instance: &str) {
        self.lock().heard.remove(instance);
    }

    pub(crate) fn answered(&self, number: u64, subscribers: u64) {
        if let Some(count) = self.lock().counts.get_mut(&number) {
            count.subscribers += subscribers;
            count.answers += 1;
            count.answered.notify_one();
        }
    }

    pub(crate) fn ask(&self) -> Asking<'_> {
        let mut state = self.lock();
        state.asked += 1;
        let number = state.asked;
        let count = state.counts.entry(number).or_default();
        let answered = Arc::clone(&count.answered);
        drop(state);
        Asking { others: self, number, answered }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asking<'_> {
    /// What has been answered, beside those `here`, and whether all have that were heard of lately.
    pub(crate) fn so_far(&self, here: u64, now: Instant) -> (Occupancy, bool) {
        let mut state = self.others.lock();
        state.heard.retain(|_, heard| now.saturating_duration_since(*heard) < GONE_AFTER);
        let others = state.heard.len() as u64;
        let (subscribers, answers) =
            state.counts.get(&self.number).map_or((0, 0), |it| (it.subscribers, it.answers));
        let silent = others.saturating_sub(answers);
        (Occupancy::new(here + subscribers, 1 + answers, silent), silent == 0)
    }

    /// Waits for another answer.
    ///
    /// Cancel safe.
    pub(crate) async fn another(&self) {
        self.answered.notified().await;
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.others.lock().counts.remove(&self.number);
    }
}
