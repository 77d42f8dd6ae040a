//! All that was published, and what became of it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::Result;

/// Where an event is: in which life of the broker's numbers, in the order in which we met them, and its number
/// there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub life: usize,
    pub sequence: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.life, self.sequence)
    }
}

/// What its publisher was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing yet.
    Pending,
    Acknowledged,
    /// It may have been stored, or not.
    Unknown,
}

/// One published event.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub fate: Fate,
    /// Where it is, once somebody was told.
    pub place: Option<Place>,
    pub sent: Instant,
}

/// All that was published; a number is the place in its topic's list.
#[derive(Debug)]
pub struct Ledger {
    topics: Vec<Mutex<Vec<Entry>>>,
    lives: Mutex<HashMap<String, usize>>,
}

impl Ledger {
    pub fn new(topics: usize) -> Self {
        Self { topics: (0..topics).map(|_| Mutex::default()).collect(), lives: Mutex::default() }
    }

    pub fn topics(&self) -> usize {
        self.topics.len()
    }

    /// Reads an id.
    pub fn place(&self, id: &str) -> Result<Place> {
        let wrong = || format!("an id should be EPOCH-SEQUENCE, not {id:?}");
        let (epoch, sequence) = id.split_once('-').ok_or_else(wrong)?;
        let sequence = sequence.parse().map_err(|_| wrong())?;
        let mut lives = lock(&self.lives);
        let next = lives.len();
        let life = match lives.get(epoch) {
            Some(life) => *life,
            None => *lives.entry(epoch.to_owned()).or_insert(next),
        };
        Ok(Place { life, sequence })
    }

    /// The next number of a topic.
    pub fn next(&self, topic: usize) -> u32 {
        let mut entries = self.entries(topic);
        entries.push(Entry { fate: Fate::Pending, place: None, sent: Instant::now() });
        entries.len() as u32 - 1
    }

    /// The publisher was told where it is.
    pub fn acknowledged(&self, topic: usize, number: u32, place: Place) -> Result {
        self.is_at(topic, number, place, |entry| entry.fate = Fate::Acknowledged).map(drop)
    }

    /// The publisher was not told.
    pub fn unknown(&self, topic: usize, number: u32) {
        if let Some(entry) = self.entries(topic).get_mut(number as usize) {
            entry.fate = Fate::Unknown;
        }
    }

    /// A client was given it; when it was sent.
    pub fn delivered(&self, topic: usize, number: u32, place: Place) -> Result<Instant> {
        self.is_at(topic, number, place, |_| {})
    }

    fn is_at(
        &self,
        topic: usize,
        number: u32,
        place: Place,
        change: impl FnOnce(&mut Entry),
    ) -> Result<Instant> {
        let mut entries = self.entries(topic);
        let entry = entries
            .get_mut(number as usize)
            .ok_or_else(|| format!("{} {number} at {place} was never published", name(topic)))?;
        change(entry);
        match entry.place {
            None => entry.place = Some(place),
            Some(other) if other == place => {}
            Some(other) => {
                return Err(format!("{} {number} has two ids, {other} and {place}", name(topic)));
            }
        }
        Ok(entry.sent)
    }

    pub fn entries(&self, topic: usize) -> MutexGuard<'_, Vec<Entry>> {
        lock(&self.topics[topic])
    }

    /// Events of which two have one id.
    pub fn shared_ids(&self) -> Vec<String> {
        let mut seen = HashMap::new();
        let mut shared = Vec::new();
        for topic in 0..self.topics() {
            for (number, entry) in self.entries(topic).iter().enumerate() {
                let Some(place) = entry.place else { continue };
                if let Some((other, count)) = seen.insert(place, (topic, number)) {
                    shared.push(format!(
                        "{} {count} and {} {number} are both at {place}",
                        name(other),
                        name(topic)
                    ));
                }
            }
        }
        shared
    }
}

/// Topics are in groups, so that a pattern matches several.
pub fn name(topic: usize) -> String {
    format!("{}{}", group(topic / TOPICS_PER_GROUP), topic % TOPICS_PER_GROUP)
}

/// What the topics of a group begin with.
fn group(group: usize) -> String {
    format!("chaos.{group}.")
}

pub const TOPICS_PER_GROUP: usize = 4;

/// What matches the topics of a group.
pub fn pattern(number: usize) -> String {
    format!("{}*", group(number))
}

/// What an event says.
pub fn text(topic: usize, number: u32) -> String {
    let said = format!("{} {number}", name(topic));
    let checksum = checksum(&said);
    format!("{said} {checksum:016x}")
}

/// The topic and number in a text, if it is as it was sent.
pub fn read(text: &str) -> Option<(usize, u32)> {
    let mut words = text.split(' ');
    let mut parts = words.next()?.strip_prefix("chaos.")?.split('.');
    let group: usize = parts.next()?.parse().ok()?;
    let place: usize = parts.next()?.parse().ok()?;
    let number = words.next()?.parse().ok()?;
    let topic = group * TOPICS_PER_GROUP + place;
    (self::text(topic, number) == text).then_some((topic, number))
}

/// FNV-1a.
fn checksum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_not_as_it_was_sent_is_noticed() {
        let text = text(13, 207);
        assert_eq!(read(&text), Some((13, 207)));
        assert_eq!(name(13), "chaos.3.1");
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(read(&String::from_utf8(bytes).expect("still ASCII")), None);
        }
        assert_eq!(read(&text[..text.len() - 1]), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn lives_are_in_the_order_in_which_they_were_met() {
        let ledger = Ledger::new(1);
        let [first, second] = ["ff-7", "0a-3"].map(|id| ledger.place(id).expect("an id"));
        assert!(first < second);
        assert_eq!(ledger.place("ff-7"), Ok(first));
        assert!(ledger.place("7").is_err());
    }

    #[test]
    fn an_event_has_one_id_and_an_id_one_event() {
        let ledger = Ledger::new(2);
        let (a, b) = (ledger.next(0), ledger.next(1));
        let place = Place { life: 0, sequence: 5 };
        assert!(ledger.delivered(0, a, place).is_ok());
        assert!(ledger.acknowledged(0, a, place).is_ok());
        assert_eq!(ledger.shared_ids(), Vec::<String>::new());
        let other = ledger.acknowledged(0, a, Place { life: 0, sequence: 6 });
        assert!(other.is_err_and(|told| told.contains("two ids")));
        assert!(ledger.delivered(1, b, place).is_ok());
        assert_eq!(ledger.shared_ids().len(), 1);
        assert!(ledger.delivered(1, 1, place).is_err_and(|told| told.contains("never published")));
    }
}
