//! Patterns of topics: what they match, and that who follows them gets the events of these topics,
//! each once and in order.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Instant,
};

use realtime_core::{
    Delivery, Event, Hub, LagLimit, Subscribe, Subscription, TopicName, TopicPattern,
};

use super::{
    answer::check_at_rest,
    input::{Input, text},
};

/// The most that one run does.
const MOST_ACTIONS: usize = 64;

/// What an input may follow at once.
const MOST_FOLLOWERS: usize = 8;

/// The input is lines: `?` and patterns and names between tabs, for one that follows all of them
/// from now on; `+` and a pattern, which the newest follows too; `-` and a pattern, which it follows
/// no longer; `!` for the oldest to end; `=` and a topic that somebody subscribes to by its name; and
/// everything else the name of a topic that is published to.
pub fn run(data: &[u8]) {
    // Nothing is to be lost here, and nothing to be too many.
    let hub = Hub::builder()
        .lag(LagLimit::default().events(1 << 20).bytes(1 << 40))
        .limits(|limits| {
            limits.topics_per_subscription = 1 << 16;
            limits.patterns_per_subscription = 1 << 16;
        })
        .build()
        .expect("the configuration is valid");
    let now = Instant::now();
    let mut followers: Vec<Follower> = Vec::new();
    let mut others: Vec<Subscription> = Vec::new();
    let mut lines = Input::new(data);
    for number in 0..MOST_ACTIONS {
        if lines.is_empty() {
            break;
        }
        let line = text(lines.line());
        if let Some(patterns) = line.strip_prefix('?') {
            if followers.len() < MOST_FOLLOWERS {
                followers.extend(Follower::new(&hub, patterns, now));
            }
        } else if let Some(pattern) = line.strip_prefix('+') {
            if let Some(follower) = followers.last_mut() {
                follower.add(pattern, now);
            }
        } else if let Some(pattern) = line.strip_prefix('-') {
            if let Some(follower) = followers.last_mut() {
                follower.remove(pattern);
            }
        } else if line == "!" {
            followers.drain(..1.min(followers.len()));
        } else if let Some(name) = line.strip_prefix('=') {
            others.extend(topic(name).map(|name| hub.subscribe_at(name, now).expect("a topic")));
        } else if let Some(name) = topic(&line) {
            let data = number.to_string();
            let published = hub.publish_at(name.clone(), Event::text(data.clone()), now);
            let published = pin!(published).poll(&mut context());
            assert!(matches!(published, Poll::Ready(Ok(_))), "{published:?}");
            for follower in &mut followers {
                follower.published(&name, &data);
            }
        }
        // Some take at once, others have much to take at the end.
        if number % 3 == 0
            && let Some(follower) = followers.first_mut()
        {
            follower.check(now);
        }
    }
    followers.iter_mut().for_each(|follower| follower.check(now));
    drop((followers, others));
    check_at_rest(&hub);
}

/// One that follows patterns and topics, and what it is to get.
struct Follower {
    subscription: Subscription,
    patterns: Vec<TopicPattern>,
    names: Vec<TopicName>,
    /// The topics and data that it has yet to get.
    pending: Vec<(TopicName, String)>,
}

impl Follower {
    fn new(hub: &Hub, line: &str, now: Instant) -> Option<Self> {
        let (mut patterns, mut names) = (Vec::new(), Vec::new());
        for text in line.split('\t') {
            match pattern(text) {
                Some(pattern) => patterns.push(pattern),
                None => names.push(topic(text)?),
            }
        }
        let request = names.iter().cloned().fold(Subscribe::none(), Subscribe::and);
        let request = patterns.iter().cloned().fold(request, Subscribe::and_pattern);
        let subscription = hub.subscribe_at(request, now).expect("right names and patterns");
        Some(Self { subscription, patterns, names, pending: Vec::new() })
    }

    fn add(&mut self, text: &str, now: Instant) {
        let added = self.subscription.add_pattern_at(text, now);
        let Some(pattern) = pattern(text) else { return assert!(added.is_err(), "{text:?}") };
        added.expect("a right pattern");
        self.patterns.push(pattern);
    }

    /// What only the pattern brought is not delivered any more.
    fn remove(&mut self, text: &str) {
        let Some(pattern) = pattern(text) else { return };
        let was_there = self.patterns.contains(&pattern);
        assert_eq!(self.subscription.remove_pattern(&pattern), was_there, "{text:?}");
        self.patterns.retain(|it| *it != pattern);
        let pending = std::mem::take(&mut self.pending);
        self.pending = pending.into_iter().filter(|(topic, _)| self.follows(topic)).collect();
    }

    fn published(&mut self, topic: &TopicName, data: &str) {
        if self.follows(topic) {
            self.pending.push((topic.clone(), data.to_owned()));
        }
    }

    fn follows(&self, topic: &TopicName) -> bool {
        let mut follows = self.names.contains(topic);
        for pattern in &self.patterns {
            let matches = is_match(pattern.as_str(), topic.as_str());
            assert_eq!(pattern.matches(topic), matches, "{pattern} and {topic}");
            follows |= matches;
        }
        follows
    }

    /// Takes everything that is there: exactly what is pending.
    fn check(&mut self, now: Instant) {
        let mut out = Vec::new();
        while let Poll::Ready(taken) =
            self.subscription.poll_recv_many(&mut context(), &mut out, 7, now)
        {
            assert!(taken > 0, "it has ended");
        }
        let got = out.into_iter().map(|delivery| match delivery {
            Delivery::Event(entry) => {
                let data = entry.event().data().as_text().expect("text");
                (entry.topic().clone(), data.to_owned())
            }
            other => panic!("{other:?}"),
        });
        let got: Vec<_> = got.collect();
        let pending = std::mem::take(&mut self.pending);
        assert_eq!(got, pending, "{:?} and {:?}", self.patterns, self.names);
    }
}

/// A pattern, unless it has to be refused.
fn pattern(text: &str) -> Option<TopicPattern> {
    let mut tokens: Vec<&str> = text.split('.').collect();
    let is_wild = tokens.iter().any(|token| matches!(*token, "*" | ">"));
    tokens.pop();
    let is_right = is_string(text) && is_wild && !tokens.contains(&">");
    let pattern = TopicPattern::new(text);
    assert_eq!(pattern.is_ok(), is_right, "the pattern {text:?}");
    pattern.ok()
}

/// A topic's name, unless it has to be refused.
fn topic(text: &str) -> Option<TopicName> {
    let is_wild = text.split('.').any(|token| matches!(token, "*" | ">"));
    let topic = TopicName::new(text);
    assert_eq!(topic.is_ok(), is_string(text) && !is_wild, "the name {text:?}");
    topic.ok()
}

fn is_string(text: &str) -> bool {
    (1..=255).contains(&text.len()) && !text.contains(char::is_control)
}

/// Token by token, of patterns and names that are right.
fn is_match(pattern: &str, name: &str) -> bool {
    let name: Vec<&str> = name.split('.').collect();
    let mut pattern: Vec<&str> = pattern.split('.').collect();
    let is_open = pattern.last() == Some(&">");
    if is_open {
        pattern.pop();
    }
    let fits = if is_open { name.len() > pattern.len() } else { name.len() == pattern.len() };
    fits && pattern.iter().zip(&name).all(|(expected, token)| *expected == "*" || expected == token)
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
