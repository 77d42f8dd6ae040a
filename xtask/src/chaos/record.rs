//! What one client got, looked at as it comes and once more at the end.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::ledger::{Fate, Ledger, Place, name};

/// What a client may complain of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Duplicate,
    Order,
    /// Its text is not what was sent.
    Corrupt,
    /// Anything else that should not be.
    Wrong,
}

/// How often what happened to a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub delivered: u64,
    pub connects: u64,
    pub refused: u64,
    pub gaps: u64,
    pub resets: u64,
    pub duplicates: u64,
    pub order: u64,
    pub corrupt: u64,
    pub wrong: u64,
    pub lost: u64,
}

/// What one client got. In memory it is a bit for each event, and a little of what was last.
#[derive(Debug)]
pub struct Record {
    client: usize,
    /// What it asks for.
    target: String,
    topics: Vec<Topic>,
    /// Nothing up to here is expected.
    start: Option<Place>,
    last: Option<Place>,
    excuses: Vec<Excuse>,
    /// Events after one with a higher number, which is right for none that was acknowledged.
    late: Vec<(usize, u32, Place)>,
    recent: VecDeque<String>,
    connections: VecDeque<Connection>,
    pub tally: Tally,
    /// The first complaints in words.
    pub told: Vec<String>,
}

#[derive(Debug, Default)]
struct Topic {
    topic: usize,
    got: Vec<u64>,
    highest: Option<u32>,
}

/// It was told that it does not get what is between these, of one topic or all.
#[derive(Debug)]
struct Excuse {
    topic: Option<usize>,
    after: Place,
    before: Place,
}

#[derive(Debug)]
struct Connection {
    instance: usize,
    from: Option<Place>,
    at: Instant,
}

/// Complaints in words, of one client.
const MOST_TOLD: usize = 5;
/// Events it lacks among them.
const MOST_MISSING: usize = 2;
/// Events and connections that are remembered for these.
const RECENT: usize = 6;
const CONNECTIONS: usize = 200;
/// Events that come late, of one client, without being looked at once more.
const MOST_LATE: usize = 10_000;

impl Record {
    pub fn new(client: usize, target: &str, topics: &[usize]) -> Self {
        let topics = topics.iter().map(|topic| Topic { topic: *topic, ..Topic::default() });
        Self {
            client,
            target: target.to_owned(),
            topics: topics.collect(),
            start: None,
            last: None,
            excuses: Vec::new(),
            late: Vec::new(),
            recent: VecDeque::new(),
            connections: VecDeque::new(),
            tally: Tally::default(),
            told: Vec::new(),
        }
    }

    pub fn connected(&mut self, instance: usize) {
        self.tally.connects += 1;
        if self.connections.len() == CONNECTIONS {
            self.connections.pop_front();
        }
        self.connections.push_back(Connection { instance, from: self.last, at: Instant::now() });
        self.remember(format!("connected to instance {instance}"));
    }

    /// A block with nothing but an id.
    pub fn positioned(&mut self, place: Place) {
        self.remember(format!("id {place}"));
        match self.last {
            None => self.start = Some(place),
            Some(last) if last.life != place.life || place < last => {
                self.complain(Kind::Order, format!("was at {last} and is sent to {place}"));
            }
            Some(_) => {}
        }
        self.last = Some(place);
    }

    pub fn event(&mut self, topic: usize, number: u32, place: Place) {
        self.tally.delivered += 1;
        match self.last {
            None => self.start = Some(place),
            Some(last) if last == place => {
                self.complain(Kind::Duplicate, format!("{place} came twice"));
            }
            Some(last) if last.life != place.life => {
                self.complain(Kind::Order, format!("{place} came after {last}, without a reset"));
            }
            Some(last) if place < last => {
                self.complain(Kind::Order, format!("{place} came after {last}"));
            }
            Some(_) => {}
        }
        self.last = Some(place);
        self.remember(format!("{} {number} at {place}", name(topic)));
        let Some(it) = self.topics.iter_mut().find(|it| it.topic == topic) else {
            let told = format!("{} {number} came and was not asked for", name(topic));
            return self.complain(Kind::Wrong, told);
        };
        let is_new = it.take(number);
        let is_late = it.highest.is_some_and(|highest| number < highest);
        it.highest = it.highest.max(Some(number));
        if !is_new {
            self.complain(Kind::Duplicate, format!("{} {number} came twice", name(topic)));
        } else if is_late {
            if self.late.len() == MOST_LATE {
                self.complain(Kind::Order, format!("more than {MOST_LATE} events were late"));
            } else {
                self.late.push((topic, number, place));
            }
        }
    }

    pub fn gap(&mut self, topic: usize, after: Place, before: Place) {
        self.tally.gaps += 1;
        self.remember(format!("gap in {} after {after}, before {before}", name(topic)));
        self.excuses.push(Excuse { topic: Some(topic), after, before });
    }

    pub fn reset(&mut self, place: Place, reason: &str) {
        self.tally.resets += 1;
        self.remember(format!("reset to {place}: {reason}"));
        match self.last {
            None => self.start = Some(place),
            Some(after) => {
                let before = Place { sequence: place.sequence + 1, ..place };
                self.excuses.push(Excuse { topic: None, after, before });
            }
        }
        self.last = Some(place);
    }

    pub fn complain(&mut self, kind: Kind, what: String) {
        match kind {
            Kind::Duplicate => self.tally.duplicates += 1,
            Kind::Order => self.tally.order += 1,
            Kind::Corrupt => self.tally.corrupt += 1,
            Kind::Wrong => self.tally.wrong += 1,
        }
        if self.told.len() < MOST_TOLD {
            let recent: Vec<&str> = self.recent.iter().map(String::as_str).collect();
            self.told.push(format!(
                "client {}: {what}; before: {}",
                self.client,
                recent.join(", ")
            ));
        }
    }

    /// How many events it should have and was not told of.
    pub fn missing(&self, ledger: &Ledger) -> u64 {
        let mut count = 0;
        self.each_missing(ledger, |_, _, _| count += 1);
        count
    }

    /// Looks at what could not be judged when it came, and at what did not come.
    pub fn finish(&mut self, ledger: &Ledger, began: Instant) {
        for (topic, number, place) in std::mem::take(&mut self.late) {
            let fate = ledger.entries(topic)[number as usize].fate;
            if fate != Fate::Unknown {
                let told = format!("{} {number} at {place} came after later ones", name(topic));
                self.complain(Kind::Order, told);
            }
        }
        if self.start.is_none() {
            self.complain(Kind::Wrong, "it was never told where it is".to_owned());
        }
        let mut missing = Vec::new();
        let mut count = 0;
        self.each_missing(ledger, |topic, number, place| {
            count += 1;
            if missing.len() < MOST_MISSING {
                missing.push((topic, number, place));
            }
        });
        self.tally.lost = count;
        for (topic, number, place) in missing {
            let entry = ledger.entries(topic)[number as usize];
            let has = |number: Option<u32>| {
                let got = |it: &Topic| number.is_some_and(|number| it.has(number));
                self.topics.iter().any(|it| it.topic == topic && got(it))
            };
            let told = format!(
                "client {} lacks {} {number} at {place} ({:?}, sent at {:.2} s; has the one before: {}, after: {}; \
                 it began at {}, ended at {}; {}; asks for {})",
                self.client,
                name(topic),
                entry.fate,
                seconds(entry.sent, began),
                has(number.checked_sub(1)),
                has(number.checked_add(1)),
                shown(self.start),
                shown(self.last),
                self.connections_around(place, began),
                self.target,
            );
            self.told.push(told);
        }
    }

    /// The connection that should have had it, and those beside it.
    fn connections_around(&self, place: Place, began: Instant) -> String {
        let after = self.connections.iter().position(|it| it.from.is_some_and(|it| it >= place));
        let end = after.unwrap_or(self.connections.len());
        let around = self.connections.iter().take(end + 1).skip(end.saturating_sub(2));
        let all: Vec<String> = around
            .map(|it| {
                let (at, from) = (seconds(it.at, began), shown(it.from));
                format!("instance {} from {from} at {at:.2} s", it.instance)
            })
            .collect();
        format!("connected: {}", all.join(", "))
    }

    fn each_missing(&self, ledger: &Ledger, mut found: impl FnMut(usize, u32, Place)) {
        let Some(start) = self.start else { return };
        for it in &self.topics {
            for (number, entry) in ledger.entries(it.topic).iter().enumerate() {
                let number = number as u32;
                // Somebody was told where it is: so it was stored, acknowledged or not.
                let Some(place) = entry.place else { continue };
                if place > start && !it.has(number) && !self.is_excused(it.topic, place) {
                    found(it.topic, number, place);
                }
            }
        }
    }

    fn is_excused(&self, topic: usize, place: Place) -> bool {
        self.excuses.iter().any(|it| {
            it.topic.is_none_or(|it| it == topic) && it.after < place && place < it.before
        })
    }

    fn remember(&mut self, what: String) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(what);
    }
}

impl Topic {
    /// Notes that it came; whether it is the first time.
    fn take(&mut self, number: u32) -> bool {
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        if self.got.len() <= word {
            self.got.resize(word + 1, 0);
        }
        let is_new = self.got[word] & bit == 0;
        self.got[word] |= bit;
        is_new
    }

    fn has(&self, number: u32) -> bool {
        let word = self.got.get(number as usize / 64).copied().unwrap_or(0);
        word & (1 << (number % 64)) != 0
    }
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.connects += other.connects;
        self.refused += other.refused;
        self.gaps += other.gaps;
        self.resets += other.resets;
        self.duplicates += other.duplicates;
        self.order += other.order;
        self.corrupt += other.corrupt;
        self.wrong += other.wrong;
        self.lost += other.lost;
    }

    /// What may never be.
    pub fn violations(&self) -> u64 {
        self.duplicates + self.order + self.corrupt + self.wrong + self.lost
    }
}

fn shown(place: Option<Place>) -> String {
    place.map_or_else(|| "nowhere".to_owned(), |place| place.to_string())
}

fn seconds(at: Instant, began: Instant) -> f64 {
    at.checked_duration_since(began).unwrap_or(Duration::ZERO).as_secs_f64()
}

#[cfg(test)]
mod tests;
