//! Losses that a broker tells, under each policy, in what goes over the wire.
use std::sync::Mutex;

use super::*;
use crate::{
    Broker, BrokerError, EarlierEvent, Inlet, Interest, PositionIssuer, Published, TopicName,
};

#[derive(Debug, Default)]
struct Scripted(Arc<Mutex<Option<Inlet>>>);

impl Broker for Scripted {
    fn epoch(&self) -> u64 {
        0
    }
    fn start(&self, inlet: Inlet) -> Result<(), BrokerError> {
        *self.0.lock().unwrap() = Some(inlet);
        Ok(())
    }
    fn publish(&self, _: &TopicName, _: Event, _: Instant) -> Published {
        Published::Now(Err(BrokerError::Unavailable(String::new())))
    }
    fn is_shared(&self) -> bool {
        true
    }
}

struct Random(u64);
impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

/// What a stream says: an event of a topic with a sequence, or a gap.
#[derive(Debug, PartialEq)]
enum Said {
    Event(String, u64),
    Gap(String),
    Other(String),
}

fn run(overflow: Overflow, limit: u64, retain: usize, seed: u64, counts: bool) {
    let now = Instant::now();
    let broker = Scripted::default();
    let slot = Arc::clone(&broker.0);
    let hub = Hub::builder()
        .retention(crate::Retention::default().events(retain))
        .broker(broker)
        .build()
        .unwrap();
    let inlet = slot.lock().unwrap().take().unwrap();
    let issuer = PositionIssuer::new(3);
    let topics = ["a", "b"].map(|it| TopicName::new(it).unwrap());
    inlet.begin(issuer.at(0)).unwrap();
    let request =
        Subscribe::to("a").and("b").overflow(overflow).lag(LagLimit::default().events(limit));
    let mut client = Client::open(&hub, request);
    inlet.establish(topics.iter().map(Interest::Topic), true).unwrap();
    let mut said = Vec::new();
    let mut losses: Vec<(String, u64)> = Vec::new();
    let mut random = Random(seed);
    let mut sequence = 0;
    let text = |topic: &TopicName, sequence: u64| {
        let event = Event::text(format!("{topic} {sequence}"));
        if sequence.is_multiple_of(3) {
            event.keyed(format!("k{}", sequence % 2)).unwrap()
        } else {
            event
        }
    };
    let see = |client: &mut Client, said: &mut Vec<Said>| {
        for seen in client.see() {
            said.push(match (&*seen.event, seen.data.split_once(' ')) {
                ("message", Some((topic, sequence))) => {
                    Said::Event(topic.into(), sequence.parse().unwrap())
                }
                ("realtime.gap", _) => Said::Gap(seen.data.to_string()),
                _ => Said::Other(format!("{seen:?}")),
            });
        }
    };
    see(&mut client, &mut said);
    for _ in 0..60 {
        if client.has_ended() {
            break;
        }
        let topic = &topics[random.below(2) as usize];
        match random.below(10) {
            0 => {
                // An event that came late: it is before the head.
                sequence += 2;
                let other = &topics[1 - topics.iter().position(|it| it == topic).unwrap()];
                inlet
                    .deliver(other, issuer.at(sequence), text(other, sequence), now)
                    .unwrap()
                    .wake();
                inlet.lose(topic, issuer.at(sequence - 1), now).unwrap();
                losses.push((topic.to_string(), sequence - 1));
            }
            1 => {
                // One is missing before the one that has come.
                sequence += 2;
                inlet.lose(topic, issuer.at(sequence - 1), now).unwrap();
                inlet
                    .deliver(topic, issuer.at(sequence), text(topic, sequence), now)
                    .unwrap()
                    .wake();
                losses.push((topic.to_string(), sequence - 1));
            }
            2 => {
                // After an outage.
                sequence += 1;
                inlet.lose(topic, issuer.at(sequence), now).unwrap();
                losses.push((topic.to_string(), sequence));
                for _ in 0..random.below(4) {
                    sequence += 1;
                    let event = EarlierEvent {
                        position: issuer.at(sequence),
                        event: text(topic, sequence),
                        at: now,
                    };
                    inlet.append(topic, event).unwrap();
                }
                inlet.advance(issuer.at(sequence)).unwrap();
            }
            3 | 4 => see(&mut client, &mut said),
            _ => {
                sequence += 1;
                inlet
                    .deliver(topic, issuer.at(sequence), text(topic, sequence), now)
                    .unwrap()
                    .wake();
            }
        }
    }
    if !client.has_ended() {
        see(&mut client, &mut said)
    }
    if said.iter().any(|it| matches!(it, Said::Other(text) if text.contains("bye"))) {
        return; // It was told that it is cut.
    }
    let case = format!("{overflow:?} {limit} {retain} {seed}: {losses:?} {said:#?}");
    for (topic, lost) in &losses {
        let after =
            said.iter().position(|it| matches!(it, Said::Event(t, s) if t == topic && s > lost));
        let end = after.unwrap_or(said.len());
        let covers = |data: &str| {
            let field = |name: &str| -> u64 {
                let rest = data.split(&format!("\"{name}\":\"3-")).nth(1).unwrap();
                rest.split('"').next().unwrap().parse().unwrap()
            };
            data.contains(&format!("\"{topic}\"")) && *lost < field("resumes_at")
        };
        let gaps: Vec<&String> = said[..end]
            .iter()
            .filter_map(|it| match it {
                Said::Gap(data) if covers(data) => Some(data),
                _ => None,
            })
            .collect();
        let told = !gaps.is_empty();
        if counts {
            assert!(
                gaps.is_empty() || gaps[0].contains("\"missed\":null"),
                "{topic} {lost} is counted: {gaps:?} {case}"
            );
        }
        assert!(told, "{topic} {lost} is not told: {case}");
    }
    let mut last = 0;
    for it in &said {
        if let Said::Event(_, sequence) = it {
            assert!(*sequence > last, "order: {case}");
            last = *sequence;
        }
    }
    if limit > 500 && retain > 500 {
        let gaps = said.iter().filter(|it| matches!(it, Said::Gap(_))).count();
        assert!(gaps <= losses.len(), "{gaps} gaps: {case}");
    }
}

#[test]
fn losses_are_told_under_each_policy() {
    for seed in 0..400 {
        for overflow in
            [Overflow::Disconnect, Overflow::DropOldest, Overflow::DropNewest, Overflow::Conflate]
        {
            for (limit, retain) in [(1000, 1000), (3, 1000), (3, 8), (1000, 8)] {
                run(overflow, limit, retain, seed, false);
            }
        }
    }
}

#[test]
fn a_gap_over_a_loss_has_no_count() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest, Overflow::Conflate] {
        (0..50).for_each(|seed| run(overflow, 3, 1000, seed, true));
    }
}
