//! An engine in memory whose faults are scripted.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use realtime_bridge::{
    At, Engine, EngineError, Fed, Feed, Hello, History, Interest, Link, Record,
    core::{Event, TopicName, TopicPattern},
};
use tokio::sync::watch;

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
    pub(crate) events: Vec<Record>,
    pub(crate) last: HashMap<TopicName, u64>,
    pub(crate) trimmed: HashMap<String, u64>,
    pub(crate) links: BTreeMap<u64, LinkState>,
    made: u64,
    /// What comes into feeds waits.
    pub(crate) holds_feed: bool,
    pub(crate) down: bool,
    pub(crate) hellos: Vec<Option<At>>,
    pub(crate) refuse_reads_of: HashSet<String>,
    pub(crate) fail_next_subscribe: u32,
    pub(crate) read_delay: HashMap<String, Duration>,
    pub(crate) subscribed: Vec<Vec<Interest>>,
    pub(crate) unsubscribed: Vec<Vec<Interest>>,
    pub(crate) reads: Vec<(String, u64)>,
}

#[derive(Debug)]
pub(crate) struct LinkState {
    feed: Option<Feed>,
    backlog: Vec<Fed>,
    interests: HashSet<Interest>,
}

#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) state: Arc<Mutex<State>>,
    /// Open gates of calls: "subscribe", "unsubscribe", "read" wait while their gate is shut.
    gates: Arc<watch::Sender<HashSet<&'static str>>>,
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

impl Server {
    pub(crate) fn new() -> Self {
        let state = State { epoch: 9, ..State::default() };
        Self {
            state: Arc::new(Mutex::new(state)),
            gates: Arc::new(watch::Sender::new(HashSet::new())),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn shut(&self, gate: &'static str) {
        self.gates.send_modify(|gates| {
            gates.insert(gate);
        });
    }

    pub(crate) fn open(&self, gate: &'static str) {
        self.gates.send_modify(|gates| {
            gates.remove(gate);
        });
    }

    async fn pass(&self, gate: &'static str) {
        let _ = self.gates.subscribe().wait_for(|gates| !gates.contains(gate)).await;
    }

    pub(crate) fn publish(&self, name: &str, text: &str) -> At {
        self.store(&topic(name), Event::text(text))
    }

    pub(crate) fn store(&self, topic: &TopicName, event: Event) -> At {
        let mut state = self.lock();
        state.sequence += 1;
        let at = At { epoch: state.epoch, sequence: state.sequence };
        let previous = state.last.insert(topic.clone(), at.sequence).unwrap_or(0);
        let record = Record { topic: topic.clone(), at, previous, event, age: Duration::ZERO };
        state.events.push(record.clone());
        let holds = state.holds_feed;
        for link in state.links.values_mut() {
            let wants = link.interests.iter().any(|it| match it {
                Interest::Topic(it) => it == topic,
                Interest::Pattern(it) => it.matches(topic),
            });
            if wants {
                link.give(Fed::Event(record.clone()), holds);
            }
        }
        at
    }

    pub(crate) fn hold_feed(&self) {
        self.lock().holds_feed = true;
    }

    pub(crate) fn release_feed(&self) {
        let mut state = self.lock();
        state.holds_feed = false;
        for link in state.links.values_mut() {
            for fed in std::mem::take(&mut link.backlog) {
                if let Some(feed) = &link.feed {
                    let _ = feed.push(fed);
                }
            }
        }
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        for link in self.lock().links.values_mut() {
            if let Some(feed) = link.feed.take() {
                let _ = feed.push(Fed::Lost(EngineError::Unreachable("cut".into())));
            }
        }
    }

    pub(crate) fn trim(&self, name: &str, through: u64) {
        let mut state = self.lock();
        state.trimmed.insert(name.into(), through);
        state.events.retain(|it| it.topic.as_str() != name || it.at.sequence > through);
    }
}

impl LinkState {
    fn give(&mut self, fed: Fed, holds: bool) {
        if holds {
            self.backlog.push(fed);
        } else if let Some(feed) = &self.feed {
            let _ = feed.push(fed);
        }
    }
}

#[derive(Debug)]
pub(crate) struct MemoryLink {
    server: Server,
    number: u64,
}

impl Engine for Server {
    type Link = MemoryLink;

    async fn connect(&self, hello: &Hello, feed: Feed) -> Result<(MemoryLink, At), EngineError> {
        let mut state = self.lock();
        if state.down {
            return Err(EngineError::Unreachable("down".into()));
        }
        state.hellos.push(hello.seen);
        state.made += 1;
        let number = state.made;
        let link = LinkState { feed: Some(feed), backlog: Vec::new(), interests: HashSet::new() };
        state.links.insert(number, link);
        let at = At { epoch: state.epoch, sequence: state.sequence };
        Ok((MemoryLink { server: self.clone(), number }, at))
    }
}

impl MemoryLink {
    fn alive(&self) -> Result<(), EngineError> {
        let state = self.server.lock();
        let is_alive = state.links.get(&self.number).is_some_and(|it| it.feed.is_some());
        is_alive.then_some(()).ok_or_else(|| EngineError::Unreachable("cut".into()))
    }
}

impl Drop for MemoryLink {
    fn drop(&mut self) {
        self.server.lock().links.remove(&self.number);
    }
}

impl Link for MemoryLink {
    async fn publish(&self, topic: &TopicName, event: &Event) -> Result<At, EngineError> {
        self.server.pass("publish").await;
        self.alive()?;
        Ok(self.server.store(topic, event.clone()))
    }

    async fn subscribe(&self, interests: &[Interest]) -> Result<(), EngineError> {
        self.server.pass("subscribe").await;
        if interests.contains(&Interest::Topic(topic("news.a"))) {
            self.server.pass("subscribe news.a").await;
        }
        self.alive()?;
        let mut state = self.server.lock();
        if state.fail_next_subscribe > 0 {
            state.fail_next_subscribe -= 1;
            return Err(EngineError::Unreachable("scripted".into()));
        }
        state.subscribed.push(interests.to_vec());
        let link = state.links.get_mut(&self.number).unwrap();
        link.interests.extend(interests.iter().cloned());
        Ok(())
    }

    async fn unsubscribe(&self, interests: &[Interest]) -> Result<(), EngineError> {
        self.server.pass("unsubscribe").await;
        self.alive()?;
        let mut state = self.server.lock();
        state.unsubscribed.push(interests.to_vec());
        let link = state.links.get_mut(&self.number).unwrap();
        interests.iter().for_each(|it| {
            link.interests.remove(it);
        });
        Ok(())
    }

    async fn mark(&self, token: u64) -> Result<(), EngineError> {
        self.server.pass("mark").await;
        self.alive()?;
        let mut state = self.server.lock();
        let at = At { epoch: state.epoch, sequence: state.sequence };
        let holds = state.holds_feed;
        state.links.get_mut(&self.number).unwrap().give(Fed::Mark { token, at }, holds);
        Ok(())
    }

    async fn read(
        &self,
        topic: &TopicName,
        after: u64,
        limit: usize,
    ) -> Result<History, EngineError> {
        self.alive()?;
        let (history, delay) = {
            let mut state = self.server.lock();
            state.reads.push((topic.to_string(), after));
            if state.refuse_reads_of.contains(topic.as_str()) {
                return Err(EngineError::Refused("wrong type".into()));
            }
            let of = state.events.iter().filter(|it| it.topic == *topic && it.at.sequence > after);
            let mut records: Vec<_> = of.cloned().collect();
            let mut complete_after =
                after.max(state.trimmed.get(topic.as_str()).copied().unwrap_or(0));
            if records.len() > limit {
                records.drain(..records.len() - limit);
                complete_after = complete_after.max(records[0].previous);
            }
            let history = History { epoch: state.epoch, records, complete_after };
            (history, state.read_delay.get(topic.as_str()).copied())
        };
        // The answer is on its way.
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        if *topic != TopicName::control() {
            self.server.pass("read").await;
        }
        Ok(history)
    }

    async fn topics(
        &self,
        pattern: &TopicPattern,
        after: u64,
        limit: usize,
    ) -> Result<Vec<TopicName>, EngineError> {
        self.alive()?;
        let state = self.server.lock();
        let of = state.last.iter().filter(|(it, last)| pattern.matches(it) && **last > after);
        Ok(of.map(|(it, _)| it.clone()).take(limit + 1).collect())
    }
}
