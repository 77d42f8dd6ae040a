//! A well-behaved client: comes back from where it was, and looks whether anything is missing.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;

use super::{
    Field,
    source::{Got, Item, Source, Transport},
    wire::{self, Window},
};

/// What one follower has seen.
#[derive(Debug, Default)]
pub struct Followed {
    pub connects: u64,
    pub events: u64,
    pub resets: u64,
    pub gaps: u64,
    /// How often the server ended it.
    pub ended: u64,
}

impl Followed {
    pub fn add(&mut self, other: &Self) {
        self.connects += other.connects;
        self.events += other.events;
        self.resets += other.resets;
        self.gaps += other.gaps;
        self.ended += other.ended;
    }
}

/// Follows numbered topics until it is to finish, and has all that was published until then.
pub fn follow(field: &Field, number: usize, mut random: Rng) -> Result<Followed, String> {
    let transport =
        if number.is_multiple_of(2) { Transport::EventStream } else { Transport::WebSocket };
    let query = match number / 2 % 3 {
        0 => "topic=numbered.0",
        1 => "topic=numbered.0&topic=numbered.1&topic=wild.0",
        _ => "pattern=numbered.*",
    };
    // Some are so slow now and then that the server lets go of them.
    let is_slow = number / 2 % 4 == 3;
    let window = if is_slow { Window::Narrow } else { Window::Normal };
    let mut seen = Seen::default();
    let mut must_end_by = None;
    loop {
        let id = seen.id.as_deref();
        let mut source = Source::open(field.addr, transport, window, query, id, &mut random)?;
        seen.followed.connects += 1;
        seen.note(format!("connects after {:?}", seen.id));
        let until = Instant::now() + Duration::from_millis(random.u64(100..5_000));
        loop {
            match source.next(&mut random)? {
                Got::Item(item) => {
                    let sees = format!("{transport:?} {number} ({query})");
                    seen.take(item).map_err(|wrong| format!("{sees}: {wrong}"))?;
                }
                Got::Nothing => {}
                Got::End => {
                    seen.followed.ended += 1;
                    seen.note("is ended".to_owned());
                    break;
                }
            }
            if field.is_finishing.load(Ordering::Relaxed) {
                if seen.has_all(field, query) {
                    wire::leave(source.into_stream(), &mut random);
                    return Ok(seen.followed);
                }
                let by = *must_end_by.get_or_insert(Instant::now() + FINISH);
                if Instant::now() > by {
                    return Err(format!(
                        "{transport:?} {number} ({query}) should have all within {} s, has {:?} of {:?}",
                        FINISH.as_secs(),
                        seen.last,
                        field.goals()
                    ));
                }
            } else if is_slow && random.u8(..) < 2 {
                thread::sleep(Duration::from_millis(random.u64(200..2_000)));
            }
            // What it has read, it has seen.
            if Instant::now() > until && source.is_empty() {
                wire::leave(source.into_stream(), &mut random);
                break;
            }
        }
        thread::sleep(Duration::from_millis(random.u64(0..300)));
    }
}

/// How long it may take to catch up when the storm is over.
const FINISH: Duration = Duration::from_secs(15);

/// How much of what happened is told when something is missing.
const TRAIL: usize = 12;

#[derive(Debug, Default)]
struct Seen {
    followed: Followed,
    id: Option<String>,
    last: HashMap<String, u64>,
    /// Topics that have gone on since the server told of a loss.
    after_loss: Option<HashSet<String>>,
    /// What happened last, but for events.
    trail: VecDeque<String>,
}

impl Seen {
    fn note(&mut self, what: String) {
        self.trail.push_back(what);
        if self.trail.len() > TRAIL {
            self.trail.pop_front();
        }
    }

    fn take(&mut self, item: Item) -> Result<(), String> {
        if let Some(id) = item.id {
            self.id = Some(id);
        }
        if item.event != "message" {
            self.note(format!("{} {} {:?} {:?}", item.event, item.data, self.id, self.last));
        }
        match &*item.event {
            "message" => self.number(&item.data),
            "realtime.ready" | "realtime.bye" => Ok(()),
            "realtime.reset" | "realtime.gap" => {
                if item.event.ends_with("gap") {
                    self.followed.gaps += 1;
                } else {
                    self.followed.resets += 1;
                }
                self.after_loss = Some(HashSet::new());
                Ok(())
            }
            other => Err(format!("an event that nobody published: {other:?} {:?}", item.data)),
        }
    }

    /// `TOPIC NUMBER ANYTHING`; what others publish has no number.
    fn number(&mut self, data: &str) -> Result<(), String> {
        let mut words = data.split(' ');
        let (Some(topic), Some(number)) = (words.next(), words.next()) else { return Ok(()) };
        if !topic.starts_with("numbered.") {
            return Ok(());
        }
        let number: u64 = number.parse().map_err(|_| format!("expected a number in {data:?}"))?;
        self.followed.events += 1;
        let last = self.last.insert(topic.to_owned(), number);
        let Some(last) = last else { return Ok(()) };
        let is_told = self.after_loss.as_mut().is_some_and(|gone_on| gone_on.insert(topic.into()));
        if number == last + 1 || is_told && number > last {
            return Ok(());
        }
        let what = if number > last { "lost without a word" } else { "doubled" };
        Err(format!(
            "{what}: {topic} {number} came after {last}; its last id is {:?}; before: {}",
            self.id,
            Vec::from(self.trail.clone()).join(", ")
        ))
    }

    fn has_all(&self, field: &Field, query: &str) -> bool {
        field.goals().iter().enumerate().all(|(number, goal)| {
            let topic = format!("numbered.{number}");
            let follows = query.contains('*') || query.contains(&topic);
            !follows || self.last.get(&topic).is_some_and(|last| last >= goal)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(event: &str, data: &str) -> Item {
        Item { id: Some("1-1".to_owned()), event: event.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn what_is_missing_or_double_is_found() {
        let mut seen = Seen::default();
        for data in ["numbered.0 5 x", "numbered.1 1", "numbered.0 6", "other"] {
            assert_eq!(seen.take(item("message", data)), Ok(()));
        }
        let lost = seen.take(item("message", "numbered.0 8"));
        assert!(lost.is_err_and(|told| told.contains("lost")));
        let doubled = seen.take(item("message", "numbered.0 8"));
        assert!(doubled.is_err_and(|told| told.contains("doubled")));
    }

    #[test]
    fn what_is_told_may_be_missing_once_for_each_topic() {
        let mut seen = Seen::default();
        for data in ["numbered.0 1", "numbered.1 1"] {
            assert_eq!(seen.take(item("message", data)), Ok(()));
        }
        assert_eq!(seen.take(item("realtime.gap", "{}")), Ok(()));
        assert_eq!(seen.take(item("message", "numbered.0 9")), Ok(()));
        assert_eq!(seen.take(item("message", "numbered.1 9")), Ok(()));
        assert!(seen.take(item("message", "numbered.0 11")).is_err());
        assert!(seen.take(item("message", "numbered.1 9")).is_err());
    }
}
