//! The memory of all logs: it is bounded, what can be made anew goes first, then what is idle.

use super::*;
use crate::{
    LagLimit,
    cursor::Cursor,
    log::{Entry, Log, WireFormat},
};

const EVENT: usize = 1000;

/// With room for some hundred events.
fn small() -> Hub {
    build(|hub| {
        hub.retention(Retention::default().bytes(100_000)).limits(|limits| {
            limits.event_bytes = 50_000;
            limits.log_bytes = 400_000;
        })
    })
}

fn event() -> Event {
    Event::text("x".repeat(EVENT))
}

fn retained(hub: &Hub, topic: &str) -> u64 {
    let topic = topic.parse().unwrap();
    hub.inner.table.read(|topics| topics.get(&topic).map_or(0, |topic| topic.gauge().0))
}

#[test]
fn topics_that_are_idle_the_longest_give_all_they_have() {
    let now = Instant::now();
    let hub = small();
    for topic in ["oldest", "old", "young"] {
        for _ in 0..50 {
            publish_at(&hub, topic, event(), now).unwrap();
        }
    }
    // Whether it is read does not count, only when it was published to.
    let mut reader = hub.subscribe_at(Subscribe::to("oldest").start(Start::Last(50)), now).unwrap();
    assert_eq!(sequences(&drain(&mut reader, now)).len(), 50);
    publish_at(&hub, "old", event(), now).unwrap();
    let mut busy = 0_u32;
    while retained(&hub, "oldest") > 0 {
        assert_eq!(retained(&hub, "oldest") + hub.stats().evicted * EVENT as u64, 50_000);
        publish_at(&hub, &format!("busy {}", busy % 5), event(), now).unwrap();
        busy += 1;
        assert!(busy < 500);
    }
    let stats = hub.stats();
    assert_eq!(retained(&hub, "young") + (stats.evicted - 50) * EVENT as u64, 50_000, "the next");
    assert_eq!(retained(&hub, "old"), 51_000, "it was used since");
    assert_eq!(retained(&hub, "busy 0"), u64::from(busy.div_ceil(5)) * EVENT as u64);
    assert_eq!(stats.topics, 8, "somebody reads the oldest one");
    drop(reader);
    assert_eq!(hub.stats().topics, 7, "a name in which nothing is");

    let request = Subscribe::to("oldest").after(id(EPOCH, 10));
    let mut resumed = hub.subscribe_at(request, now).unwrap();
    assert!(matches!(read(&mut resumed, 1, now)[..], [Delivery::Reset(_)]), "and it is told");
}

/// Publishers, readers that encode, many topics or one, small events and large ones.
#[test]
fn the_logs_stay_within_their_memory_whatever_is_published() {
    let now = Instant::now();
    for (topics, size) in [(1, 10), (3, 49_000), (300, 10), (300, 1000), (20_000, 0)] {
        let hub = small();
        let mut readers: Vec<_> = ["topic 0", "topic 7", "topic 299"]
            .map(|topic| hub.subscribe_at(Subscribe::to(topic).overflow(Overflow::DropOldest), now))
            .into_iter()
            .map(Result::unwrap)
            .collect();
        for n in 0..20_000 {
            let event = Event::text("x".repeat(size)).keyed((n % 1000).to_string()).unwrap();
            publish_at(&hub, &format!("topic {}", n % topics), event, now).unwrap();
            let used = hub.inner.budget.used();
            assert!(used <= 400_000, "{used} after {n} of {size} bytes to {topics} topics");
            if n % 50 == 0 {
                readers.iter_mut().for_each(|reader| drop(drain(reader, now)));
            }
        }
        let (stats, retained) = (hub.stats(), hub.inner.budget.used());
        assert!(stats.evicted > 0, "{stats:?}");
        assert!(retained >= 200_000, "no more goes than has to: {retained}");
        assert!(stats.topics < 2000, "names go with what they had: {stats:?}");
        drop((readers, hub));
    }
}

#[test]
fn who_waits_for_what_has_gone_is_woken_and_told() {
    let now = Instant::now();
    let hub = small();
    let lag = LagLimit::default().events(u64::MAX).bytes(u64::MAX);
    let request = Subscribe::to("slow").overflow(Overflow::Disconnect).lag(lag);
    let mut slow = hub.subscribe_at(request, now).unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    publish_at(&hub, "slow", event(), now).unwrap();
    let mut cx = Context::from_waker(&waker);
    assert!(slow.poll_overflow(&mut cx, now).is_pending(), "far from its limit");
    for n in 0.. {
        if hub.stats().evicted > 0 {
            break;
        }
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        publish_at(&hub, &format!("other {}", n % 10), event(), now).unwrap();
    }
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(slow.poll_overflow(&mut cx, now).is_ready());
}

/// Between the look at what is there and the wait for more, what is there may go.
#[test]
fn who_is_to_wait_for_what_has_gone_does_not() {
    let now = Instant::now();
    let hub = small();
    let fanout = hub.topic(&"slow".parse().unwrap(), now).unwrap();
    let (member, cursor, _) = fanout.join(true, |log| Cursor::new(log.head(), log.head()));
    let far =
        |log: &Log, cursor: &Cursor| cursor.limit_mark(log, &LagLimit::default().events(u64::MAX));
    publish_at(&hub, "slow", event(), now).unwrap();
    assert!(member.park_far(&cursor, Waker::noop(), far), "far from its limit");
    fanout.shrink_by(u64::MAX);
    assert!(!member.park_far(&cursor, Waker::noop(), far));
}

/// What they hold by key nobody can read any more, and nobody could take it away.
#[test]
fn topics_that_have_gone_take_nothing_though_a_follower_has_yet_to_look() {
    let start = Instant::now();
    let hub = build(|hub| {
        hub.retention(Retention::default().bytes(100_000)).limits(|limits| {
            limits.event_bytes = 50_000;
            limits.log_bytes = 400_000;
            limits.topics = 50;
        })
    });
    let mut follower = hub.subscribe_at(Subscribe::pattern("old.*"), start).unwrap();
    for n in 0..50 {
        let event = Event::text("x".repeat(6 * EVENT)).keyed("k").unwrap();
        publish_at(&hub, &format!("old.{n}"), event, start).unwrap();
    }
    assert_eq!(drain(&mut follower, start).len(), 50);
    let later = start + Duration::from_secs(3000);
    for n in 0..200 {
        publish_at(&hub, &format!("new {}", n % 5), event(), later).unwrap();
    }
    let stats = hub.stats();
    assert_eq!((stats.topics, stats.evicted), (5, 0), "{stats:?}");
    assert_eq!(drain(&mut follower, later).len(), 0);
}

#[derive(Default)]
struct Woken(AtomicU64);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct AsItIs;

impl WireFormat for AsItIs {
    fn slot(&self) -> usize {
        0
    }

    fn size_hint(&self, entry: &Entry) -> usize {
        entry.event().size()
    }

    fn encode(&self, entry: &Entry, out: &mut Vec<u8>) {
        out.extend_from_slice(entry.event().data().as_bytes());
    }
}

/// Readers of old events make copies though nobody publishes.
#[test]
fn copies_go_before_events() {
    let now = Instant::now();
    let hub = small();
    for n in 0..200 {
        publish_at(&hub, &format!("topic {}", n % 10), event(), now).unwrap();
    }
    let topics = hub.matched(&"*".parse().unwrap());
    for topic in &topics {
        topic.with(|state| drop(state.log.encoded(&AsItIs, 0..20, usize::MAX)));
    }
    assert!(hub.inner.budget.is_tight());
    hub.upkeep(now);
    let stats = hub.stats();
    assert!(!hub.inner.budget.is_tight());
    assert_eq!((stats.evicted, stats.retained_bytes), (0, 200 * EVENT as u64));
}

/// All publish at once; the bound is passed by no more than what each has in hand.
#[test]
fn threads_keep_it_too() {
    let hub = small();
    let now = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let hub = &hub;
            scope.spawn(move || {
                for n in 0..5_000 {
                    publish_at(hub, &format!("{thread}.{}", n % 40), event(), now).unwrap();
                    let used = hub.inner.budget.used();
                    assert!(used <= 400_000 + 4 * 2 * EVENT as u64, "{used}");
                }
            });
        }
    });
    let topics = hub.matched(&">".parse().unwrap());
    assert_eq!(hub.stats().log_bytes, topics.iter().map(|topic| topic.memory()).sum::<u64>());
}
