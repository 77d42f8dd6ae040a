//! What is taken encoded is what is taken one by one, whoever encoded it.

use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::log::WIRE_FORMATS;

/// Each event as its sequence, in a line.
#[derive(Debug)]
struct Lines;

impl WireFormat for Lines {
    fn slot(&self) -> usize {
        WIRE_FORMATS - 1
    }

    fn size_hint(&self, _: &Entry) -> usize {
        8
    }

    fn encode(&self, entry: &Entry, out: &mut Vec<u8>) {
        let padding = "x".repeat(entry.event().size() % 7);
        out.extend_from_slice(format!("{}{padding}\n", entry.position().sequence()).as_bytes());
    }
}

/// Takes events as lines, up to a number of bytes.
struct TakeLines {
    lines: Vec<u8>,
    notices: Vec<Delivery>,
    room: usize,
    /// How often it was given a batch that others have, without the log.
    shared: usize,
}

impl Take for TakeLines {
    fn wire(&self) -> Option<(&'static dyn WireFormat, usize)> {
        Some((&Lines, self.room.saturating_sub(self.lines.len())))
    }

    fn encoded(&mut self, bytes: Bytes) {
        assert!(bytes.len() <= self.room - self.lines.len(), "it fits");
        self.lines.extend_from_slice(&bytes);
        self.shared += 1;
    }

    fn run(&mut self, log: &mut Log, run: Range<u64>) -> u64 {
        let room = self.room.saturating_sub(self.lines.len());
        let (bytes, end) = log.encoded(&Lines, run, room);
        self.lines.extend_from_slice(&bytes);
        end
    }

    fn kept(&mut self, entry: &Arc<Entry>) {
        Lines.encode(entry, &mut self.lines);
    }

    fn notice(&mut self, notice: Delivery) {
        let line = summary(std::slice::from_ref(&notice)).join("");
        self.lines.extend_from_slice(format!("{line}\n").as_bytes());
        self.notices.push(notice);
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= self.room
    }
}

/// Takes with so much room, and returns what was taken, and how often that was shared.
fn take(world: &World, subscription: &mut Subscription, room: usize) -> (Vec<String>, usize) {
    let (lines, notices) = (Vec::new(), Vec::new());
    let mut take = TakeLines { lines, notices, room, shared: 0 };
    let mut cx = Context::from_waker(Waker::noop());
    let _ = subscription.poll_take(&mut cx, &mut take, world.now);
    let text = String::from_utf8(take.lines).unwrap();
    (text.lines().map(|line| line.trim_end_matches('x').to_owned()).collect(), take.shared)
}

#[derive(Clone, Debug)]
enum Step {
    Publish { topic: usize, size: usize, key: Option<u8> },
    Read { who: usize, room: usize },
}

const TOPICS: [&str; 2] = ["a", "b"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = prop::option::of(0..3_u8);
    let step = prop_oneof![
        3 => (prop_oneof![4 => Just(0_usize), 1 => Just(1)], 0..30_usize, key)
            .prop_map(|(topic, size, key)| Step::Publish { topic, size, key }),
        2 => (0..4_usize, 1..60_usize).prop_map(|(who, room)| Step::Read { who, room }),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Under each policy, of one topic and of two, readers of several speeds: the one who is alone with
    /// what it has encoded, those who share, and the one who takes events as they are get the same.
    #[test]
    fn the_same_comes_whoever_encoded_it(
        steps in steps(),
        overflow in prop_oneof![
            Just(Overflow::Disconnect),
            Just(Overflow::DropOldest),
            Just(Overflow::DropNewest),
            Just(Overflow::Conflate),
        ],
        both in any::<bool>(),
        limit in 2..12_u64,
    ) {
        let world = World::new(Retention::default().events(16).bytes(400));
        let topics = if both { &TOPICS[..] } else { &TOPICS[..1] };
        let request = || {
            let lag = LagLimit::default().events(limit).bytes(100);
            Subscribe::from(topics.to_vec()).overflow(overflow).lag(lag)
        };
        let mut readers: Vec<_> = (0..4).map(|_| world.subscribe(request())).collect();
        // Each has a twin that takes, at the same times, as many events as it has.
        let mut twins: Vec<_> = (0..4).map(|_| world.subscribe(request())).collect();
        for step in &steps {
            match *step {
                Step::Publish { topic, size, key } => {
                    let event = Event::text("x".repeat(size));
                    let event = key.into_iter().fold(event, |it, key| it.keyed(key.to_string()).unwrap());
                    world.publish(TOPICS[topic], event);
                }
                Step::Read { who, room } => {
                    let (taken, _) = take(&world, &mut readers[who], room);
                    let mut twin = Vec::new();
                    while twin.len() < taken.len() {
                        let more = world.read(&mut twins[who], taken.len() - twin.len());
                        prop_assert!(!more.is_empty(), "{taken:?} and only {twin:?}");
                        twin.extend(summary(&more));
                    }
                    prop_assert_eq!(taken, twin);
                    prop_assert_eq!(readers[who].counts(), twins[who].counts());
                    prop_assert_eq!(readers[who].has_ended(), twins[who].has_ended());
                }
            }
        }
    }
}

/// Else the tests above would tell nothing of it.
#[test]
fn who_is_up_to_date_shares_what_the_first_has_encoded() {
    let world = World::new(Retention::default());
    let mut first = world.subscribe("a");
    let mut late = world.subscribe("a");
    let mut second = world.subscribe(["a", "b"]);
    // At its first look it looks at each topic.
    take(&world, &mut second, 100);
    let mut more = Vec::new();
    for round in 1..=3 {
        more.push(world.publish("a", Event::text("x")).to_string());
        assert_eq!(take(&world, &mut first, 100), (vec![round.to_string()], 0));
        assert_eq!(take(&world, &mut second, 100), (vec![round.to_string()], 1), "not alone");
    }
    assert_eq!(take(&world, &mut late, 100), (more, 0), "of several batches");
    world.publish("a", Event::text("x"));
    world.publish("b", Event::text("x"));
    take(&world, &mut first, 100);
    assert_eq!(take(&world, &mut second, 100).1, 0, "of two topics in order");
}

/// A limit by age may be passed by what lies encoded.
#[test]
fn what_is_too_old_for_a_subscription_is_not_shared() {
    let mut world = World::new(Retention::default());
    let lag = LagLimit::default().age(Some(Duration::from_secs(1)));
    let mut slow = world.subscribe(Subscribe::to("a").overflow(Overflow::DropOldest).lag(lag));
    let mut fast = world.subscribe("a");
    world.publish("a", Event::text("x"));
    take(&world, &mut fast, 100);
    world.now += Duration::from_secs(2);
    assert_eq!(take(&world, &mut slow, 100).0, ["-1..2"]);
}

/// A reader behind a limit is told, though what it lacks lies encoded.
#[test]
fn who_lags_too_far_is_cut_though_it_could_share() {
    let world = World::new(Retention::default());
    let lag = LagLimit::default().events(2);
    let mut slow = world.subscribe(Subscribe::to("a").overflow(Overflow::Disconnect).lag(lag));
    let mut fast = world.subscribe("a");
    for _ in 0..3 {
        world.publish("a", Event::text("x"));
    }
    assert_eq!(take(&world, &mut fast, 100).0.len(), 3);
    assert_eq!(take(&world, &mut slow, 100).0, ["disconnected"]);
}

/// It would count in no memory, and be given to whoever looks without the log.
#[test]
fn what_a_log_has_let_go_of_is_not_kept_as_the_newest() {
    let world = World::new(Retention::default());
    let mut subscription = world.subscribe("a");
    world.publish("a", Event::text("x"));
    take(&world, &mut subscription, 100);
    let member = &subscription.topics[0].member;
    let newest = || member.with_newest(&Lines, |batch| Some(batch.last_sequence()));
    assert!(newest().is_some());
    member.fanout().shrink_by(u64::MAX);
    assert_eq!(newest(), None);
}
