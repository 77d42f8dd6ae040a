//! A hub that shares its topics: what the broker says, and what becomes of who is subscribed.

use std::sync::{Arc, Mutex};

use super::*;
use crate::{
    EarlierEvent, Gap, Interest, LagLimit, Reset, ResetReason, TopicPattern,
    position::PositionIssuer,
};

/// What the hub has told its broker.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Interest(String, bool),
    Pattern(String, bool),
    Read(String, u64),
    Find(String, u64),
    CatchUp,
}

/// A broker that a test plays.
#[derive(Debug, Default)]
struct Played {
    inlet: Mutex<Option<Inlet>>,
    heard: Mutex<Vec<Heard>>,
}

impl Played {
    fn hear(&self, heard: Heard) {
        self.heard.try_lock().expect("called under no lock of ours").push(heard);
    }
}

impl Broker for Played {
    fn epoch(&self) -> u64 {
        0
    }

    fn start(&self, inlet: Inlet) -> Result<(), BrokerError> {
        *self.inlet.lock().unwrap() = Some(inlet);
        Ok(())
    }

    fn publish(&self, _: &TopicName, _: Event, _: Instant) -> Published {
        Published::Now(Err(BrokerError::Unavailable("not played".into())))
    }

    fn interest(&self, topic: &TopicName, interested: bool) {
        self.hear(Heard::Interest(topic.to_string(), interested));
    }

    fn pattern_interest(&self, pattern: &TopicPattern, interested: bool) {
        self.hear(Heard::Pattern(pattern.to_string(), interested));
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn read(&self, topic: &TopicName, after: u64, _: usize) {
        self.hear(Heard::Read(topic.to_string(), after));
    }

    fn find(&self, pattern: &TopicPattern, after: u64, _: usize) {
        self.hear(Heard::Find(pattern.to_string(), after));
    }

    fn catch_up(&self) {
        self.hear(Heard::CatchUp);
    }
}

struct Stage {
    hub: Hub,
    broker: Arc<Played>,
    inlet: Inlet,
    now: Instant,
}

fn name(topic: &str) -> TopicName {
    TopicName::new(topic).unwrap()
}

fn at(sequence: u64) -> Position {
    PositionIssuer::new(EPOCH).at(sequence)
}

impl Stage {
    /// A hub whose broker has not said anything.
    fn silent(retention: Retention) -> Self {
        let broker = Arc::<Played>::default();
        let hub = Hub::builder().retention(retention).broker(Arc::clone(&broker)).build().unwrap();
        let inlet = broker.inlet.lock().unwrap().clone().unwrap();
        Self { hub, broker, inlet, now: Instant::now() }
    }

    /// A hub whose broker's sequence is at 100.
    fn new() -> Self {
        Self::keeping(Retention::default())
    }

    fn keeping(retention: Retention) -> Self {
        let stage = Self::silent(retention);
        stage.inlet.begin(at(100)).unwrap();
        stage
    }

    fn subscribe(&self, request: impl Into<Subscribe>) -> Subscription {
        self.hub.subscribe_at(request, self.now).unwrap()
    }

    fn deliver(&self, topic: &str, sequence: u64) {
        let event = Event::text(format!("{topic} {sequence}"));
        self.inlet.deliver(&name(topic), at(sequence), event, self.now).unwrap().wake();
    }

    fn establish(&self, topic: &str, sequence: u64) {
        self.inlet.advance(at(sequence)).unwrap();
        self.inlet.establish([Interest::Topic(&name(topic))], true).unwrap();
    }

    fn earlier(&self, topic: &str, sequence: u64, key: Option<&str>) -> EarlierEvent {
        let mut event = Event::text(format!("{topic} {sequence}"));
        if let Some(key) = key {
            event = event.keyed(key).unwrap();
        }
        EarlierEvent { position: at(sequence), event, at: self.now }
    }

    fn answer(&self, topic: &str, read_after: u64, complete_after: u64, sequences: &[u64]) {
        let earlier = sequences.iter().map(|sequence| self.earlier(topic, *sequence, None));
        let (topic, now) = (name(topic), self.now);
        self.inlet.earlier(&topic, read_after, complete_after, earlier.collect(), now).unwrap();
    }

    fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut self.broker.heard.lock().unwrap())
    }

    fn drain(&self, subscription: &mut Subscription) -> Vec<Delivery> {
        drain(subscription, self.now)
    }

    fn has_started(&self, subscription: &mut Subscription) -> bool {
        subscription.poll_ready(&mut Context::from_waker(Waker::noop()), self.now).is_ready()
    }
}

fn interest(topic: &str, interested: bool) -> Heard {
    Heard::Interest(topic.into(), interested)
}

#[test]
fn nothing_is_given_before_the_broker_has_been_heard() {
    let stage = Stage::silent(Retention::default());
    let mut subscription = stage.subscribe(["a", "b"]);
    assert_eq!(stage.heard(), [interest("a", true), interest("b", true)]);
    assert!(!stage.has_started(&mut subscription));
    stage.inlet.begin(at(100)).unwrap();
    assert!(!stage.has_started(&mut subscription));
    stage.establish("a", 101);
    stage.deliver("a", 102);
    // Were it given 102, a client would come back with that, and miss what `b` has had before.
    assert!(stage.drain(&mut subscription).is_empty());
    stage.deliver("b", 103);
    stage.establish("b", 104);
    stage.deliver("b", 105);
    assert_eq!(sequences(&stage.drain(&mut subscription)), [102, 105]);
    assert_eq!(subscription.last_event_id(), id(EPOCH, 105));
}

#[test]
fn the_id_that_is_told_is_before_what_has_not_been_given() {
    let stage = Stage::new();
    let mut subscription = stage.subscribe(["a", "b"]);
    stage.establish("a", 100);
    stage.deliver("a", 101);
    stage.establish("b", 110);
    assert!(stage.has_started(&mut subscription));
    assert_eq!(subscription.last_event_id(), id(EPOCH, 100), "101 has yet to be given");
}

#[test]
fn who_waits_is_woken_by_each_thing_the_broker_says() {
    let stage = Stage::silent(Retention::default());
    let mut subscription = stage.subscribe("a");
    let woken = Arc::new(Counted::default());
    let waker = Waker::from(Arc::clone(&woken));
    let poll = |subscription: &mut Subscription| {
        subscription.poll_ready(&mut Context::from_waker(&waker), stage.now).is_ready()
    };
    assert!(!poll(&mut subscription));
    stage.inlet.begin(at(100)).unwrap();
    assert_eq!(woken.count(), 1);
    assert!(!poll(&mut subscription));
    stage.establish("a", 100);
    assert_eq!(woken.count(), 2);
    assert!(poll(&mut subscription));
    // One that has gone is not kept.
    let mut gone = stage.subscribe("b");
    assert!(!poll(&mut gone));
    drop(gone);
    let before = woken.count();
    stage.establish("b", 100);
    assert_eq!(woken.count(), before);
}

#[derive(Default)]
struct Counted(std::sync::atomic::AtomicUsize);

impl Counted {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl std::task::Wake for Counted {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_past_is_asked_for_once_somebody_wants_it() {
    let stage = Stage::new();
    let mut live = stage.subscribe("a");
    stage.establish("a", 100);
    stage.deliver("a", 101);
    assert_eq!(stage.heard(), [interest("a", true)]);
    let mut resumed = stage.subscribe(Subscribe::to("a").after(id(EPOCH, 50)));
    assert!(!stage.has_started(&mut resumed));
    assert_eq!(stage.heard(), [Heard::Read("a".into(), 50)]);
    // 101 is here already, whatever history has of it.
    stage.answer("a", 50, 50, &[60, 70, 80, 101]);
    assert_eq!(sequences(&stage.drain(&mut resumed)), [60, 70, 80, 101]);
    assert_eq!(sequences(&stage.drain(&mut live)), [101]);
    // What is there now is not asked for again, what is before is.
    let mut later = stage.subscribe(Subscribe::to("a").after(id(EPOCH, 70)));
    assert_eq!(sequences(&stage.drain(&mut later)), [80, 101]);
    assert_eq!(stage.heard(), []);
    let mut earlier = stage.subscribe(Subscribe::to("a").after(id(EPOCH, 20)));
    assert!(!stage.has_started(&mut earlier));
    assert_eq!(stage.heard(), [Heard::Read("a".into(), 20)]);
    stage.answer("a", 20, 40, &[45, 60, 70, 80]);
    let first = stage.drain(&mut earlier).remove(0);
    assert!(matches!(first, Delivery::Reset(Reset { reason: ResetReason::Evicted, .. })), "{first:?}");
}

#[test]
fn of_the_past_what_fits_is_kept() {
    let stage = Stage::keeping(Retention::default().events(4));
    let mut live = stage.subscribe("a");
    stage.establish("a", 100);
    stage.deliver("a", 101);
    let mut last = stage.subscribe(Subscribe::to("a").start(Start::Last(9)));
    assert!(!stage.has_started(&mut last));
    stage.answer("a", 0, 0, &[10, 20, 30, 40, 50]);
    assert_eq!(sequences(&stage.drain(&mut last)), [30, 40, 50, 101]);
    stage.deliver("a", 102);
    assert_eq!(sequences(&stage.drain(&mut last)), [102]);
    assert_eq!(sequences(&stage.drain(&mut live)), [101, 102]);
    let mut resumed = stage.subscribe(Subscribe::to("a").after(id(EPOCH, 20)));
    assert!(matches!(stage.drain(&mut resumed)[..], [Delivery::Reset(_), ..]));
}

#[test]
fn the_newest_of_each_key_is_of_the_past_too() {
    let stage = Stage::new();
    let mut live = stage.subscribe("a");
    stage.establish("a", 100);
    let keyed = stage.earlier("a", 101, Some("x")).event;
    stage.inlet.deliver(&name("a"), at(101), keyed, stage.now).unwrap().wake();
    let mut newest = stage.subscribe(Subscribe::to("a").start(Start::NewestPerKey));
    assert!(!stage.has_started(&mut newest));
    let past = [(10, "x"), (20, "y"), (30, "z"), (40, "y")];
    let past = past.map(|(sequence, key)| stage.earlier("a", sequence, Some(key)));
    stage.inlet.earlier(&name("a"), 0, 0, past.into(), stage.now).unwrap();
    assert_eq!(sequences(&stage.drain(&mut newest)), [30, 40, 101]);
    assert_eq!(sequences(&stage.drain(&mut live)), [101]);
}

#[test]
fn an_id_ahead_is_asked_about_before_it_is_believed_or_not() {
    let stage = Stage::new();
    let mut other = stage.subscribe("a");
    stage.establish("a", 100);
    assert!(stage.has_started(&mut other));
    stage.heard();
    let mut subscription = stage.subscribe(Subscribe::to("a").after(id(EPOCH, 120)));
    assert!(!stage.has_started(&mut subscription));
    assert_eq!(stage.heard(), [Heard::CatchUp]);
    stage.inlet.advance(at(130)).unwrap();
    stage.inlet.reached().unwrap();
    assert!(stage.has_started(&mut subscription));
    stage.deliver("a", 131);
    assert_eq!(sequences(&stage.drain(&mut subscription)), [131]);

    let mut ahead = stage.subscribe(Subscribe::to("a").after(id(EPOCH, 500)));
    for _ in 0..2 {
        // The first answer may be of a question before this one.
        assert!(!stage.has_started(&mut ahead));
        stage.inlet.reached().unwrap();
    }
    let first = stage.drain(&mut ahead).remove(0);
    assert!(matches!(first, Delivery::Reset(Reset { reason: ResetReason::Ahead, .. })), "{first:?}");
}

#[test]
fn numbers_that_begin_anew_are_told_and_nothing_of_before_is_given() {
    let stage = Stage::new();
    let mut subscription = stage.subscribe("a");
    stage.establish("a", 100);
    stage.deliver("a", 101);
    assert_eq!(sequences(&stage.drain(&mut subscription)), [101]);
    stage.deliver("a", 102);
    let anew = PositionIssuer::new(EPOCH + 1);
    stage.inlet.begin(anew.at(5)).unwrap();
    assert!(stage.drain(&mut subscription).is_empty(), "not before it comes again");
    stage.inlet.establish([Interest::Topic(&name("a"))], true).unwrap();
    let event = Event::text("anew");
    stage.inlet.deliver(&name("a"), anew.at(6), event, stage.now).unwrap().wake();
    let all = stage.drain(&mut subscription);
    let [Delivery::Reset(reset), rest @ ..] = &all[..] else { panic!("{all:?}") };
    assert_eq!((reset.id, reset.reason), (id(EPOCH + 1, 5), ResetReason::Epoch));
    assert_eq!(sequences(rest), [6]);
    assert_eq!(subscription.last_event_id(), id(EPOCH + 1, 6));
    // Its id of before is of no use.
    let mut late = stage.subscribe(Subscribe::to("a").after(id(EPOCH, 101)));
    assert!(matches!(stage.drain(&mut late)[..], [Delivery::Reset(_)]));
    let mut good = stage.subscribe(Subscribe::to("a").after(reset.id));
    assert_eq!(sequences(&stage.drain(&mut good)), [6]);
}

#[test]
fn what_is_out_of_history_is_seen_when_all_of_it_is_there() {
    let stage = Stage::new();
    let mut subscription = stage.subscribe(["a", "b"]);
    stage.establish("a", 100);
    stage.establish("b", 100);
    assert!(stage.has_started(&mut subscription));
    for (topic, sequence) in [("b", 102), ("b", 104), ("a", 101), ("a", 103)] {
        stage.inlet.append(&name(topic), stage.earlier(topic, sequence, None)).unwrap();
        assert!(stage.drain(&mut subscription).is_empty());
    }
    stage.inlet.advance(at(110)).unwrap();
    assert_eq!(sequences(&stage.drain(&mut subscription)), [101, 102, 103, 104]);
    stage.deliver("a", 111);
    assert_eq!(sequences(&stage.drain(&mut subscription)), [111]);
}

#[test]
fn what_was_missed_is_no_lag() {
    let stage = Stage::new();
    let request = Subscribe::to("a").lag(LagLimit::default().events(3));
    let mut subscription = stage.subscribe(request);
    stage.establish("a", 100);
    assert!(stage.has_started(&mut subscription));
    for sequence in 101..111 {
        stage.inlet.append(&name("a"), stage.earlier("a", sequence, None)).unwrap();
    }
    stage.inlet.advance(at(110)).unwrap();
    (111..114).for_each(|sequence| stage.deliver("a", sequence));
    assert_eq!(sequences(&stage.drain(&mut subscription)), Vec::from_iter(101..114));
    (114..118).for_each(|sequence| stage.deliver("a", sequence));
    assert!(matches!(stage.drain(&mut subscription)[..], [Delivery::Disconnected(_)]));
}

#[test]
fn a_loss_is_told_once_in_its_place_under_every_policy() {
    for overflow in
        [Overflow::Disconnect, Overflow::DropOldest, Overflow::DropNewest, Overflow::Conflate]
    {
        let stage = Stage::new();
        let mut subscription = stage.subscribe(Subscribe::to("a").and("b").overflow(overflow));
        let mut late = stage.subscribe(Subscribe::to("b").overflow(overflow));
        stage.establish("a", 100);
        stage.establish("b", 100);
        assert!(stage.has_started(&mut subscription) && stage.has_started(&mut late));
        stage.deliver("a", 101);
        stage.inlet.lose(&name("a"), at(103), stage.now).unwrap();
        stage.inlet.append(&name("b"), stage.earlier("b", 102, None)).unwrap();
        stage.inlet.append(&name("a"), stage.earlier("a", 104, None)).unwrap();
        stage.inlet.advance(at(104)).unwrap();
        stage.deliver("a", 105);
        let all = stage.drain(&mut subscription);
        let told = all.iter().filter(|it| matches!(it, Delivery::Gap(_))).count();
        assert_eq!(told, 1, "{overflow:?}: {all:?}");
        let gap = all.iter().position(|it| matches!(it, Delivery::Gap(_))).unwrap();
        let Delivery::Gap(Gap { topic, missed, resumes_at, .. }) = &all[gap] else { panic!() };
        assert_eq!((topic.as_str(), *missed, *resumes_at), ("a", None, id(EPOCH, 104)));
        assert_eq!(sequences(&all[gap + 1..]).last(), Some(&105));
        let mut events = all.clone();
        events.remove(gap);
        assert_eq!(sequences(&events), [101, 102, 104, 105], "{overflow:?}");
        assert!(!sequences(&all[..gap]).contains(&104), "{overflow:?}: before what comes after");
        assert_eq!(sequences(&stage.drain(&mut late)), [102], "another topic has lost nothing");
        // Whoever resumes from before is told as well.
        let mut resumed = stage.subscribe(Subscribe::to("a").after(id(EPOCH, 101)));
        let again = stage.drain(&mut resumed);
        assert!(matches!(again[..], [Delivery::Gap(_), Delivery::Event(_), Delivery::Event(_)]));
    }
}

#[test]
fn a_loss_in_an_idle_topic_is_told() {
    let mut stage = Stage::new();
    let mut subscription = stage.subscribe("a");
    stage.establish("a", 100);
    stage.deliver("a", 101);
    assert_eq!(sequences(&stage.drain(&mut subscription)), [101]);
    stage.now += Retention::default().age * 2;
    stage.inlet.lose(&name("a"), at(103), stage.now).unwrap();
    stage.inlet.advance(at(103)).unwrap();
    assert!(matches!(stage.drain(&mut subscription)[..], [Delivery::Gap(_)]));
}

#[test]
fn who_comes_back_to_a_topic_waits_for_it_again() {
    let stage = Stage::new();
    let mut first = stage.subscribe("a");
    stage.establish("a", 100);
    stage.deliver("a", 101);
    assert_eq!(sequences(&stage.drain(&mut first)), [101]);
    drop(first);
    let mut second = stage.subscribe(Subscribe::to("a").after(id(EPOCH, 100)));
    assert_eq!(stage.heard(), [("a", true), ("a", false), ("a", true)].map(|(t, i)| interest(t, i)));
    assert!(!stage.has_started(&mut second), "102 may have been published and not come");
    // It has never stopped to come.
    stage.inlet.establish([Interest::Topic(&name("a"))], false).unwrap();
    assert_eq!(sequences(&stage.drain(&mut second)), [101]);
    drop(second);
    let mut third = stage.subscribe(Subscribe::to("a").after(id(EPOCH, 100)));
    // What comes meanwhile is not all that comes.
    stage.deliver("a", 105);
    stage.establish("a", 110);
    assert!(!stage.has_started(&mut third), "it has to be asked for");
    stage.answer("a", 100, 100, &[101, 103, 105]);
    stage.deliver("a", 111);
    assert_eq!(sequences(&stage.drain(&mut third)), [101, 103, 105, 111]);
}

#[test]
fn patterns_bring_what_comes_once_they_are_established() {
    let stage = Stage::new();
    let pattern = TopicPattern::new("room.*").unwrap();
    let mut subscription = stage.subscribe(Subscribe::pattern("room.*"));
    assert_eq!(stage.heard(), [Heard::Pattern("room.*".into(), true)]);
    assert!(!stage.has_started(&mut subscription));
    stage.inlet.advance(at(101)).unwrap();
    stage.inlet.establish([Interest::Pattern(&pattern)], true).unwrap();
    assert!(stage.has_started(&mut subscription));
    stage.deliver("hall", 102);
    stage.deliver("room.1", 103);
    stage.deliver("room.2", 104);
    stage.deliver("room.1", 105);
    assert_eq!(sequences(&stage.drain(&mut subscription)), [103, 104, 105]);
    assert_eq!(stage.hub.stats().topics, 2, "nobody wants the hall");
    // Somebody who wants one of them by name has all that came.
    let mut one = stage.subscribe(Subscribe::to("room.1").after(id(EPOCH, 103)));
    assert_eq!(sequences(&stage.drain(&mut one)), [105]);
    drop(subscription);
    assert!(stage.heard().contains(&Heard::Pattern("room.*".into(), false)));
}

#[test]
fn patterns_resume_with_the_topics_that_the_broker_finds() {
    let stage = Stage::new();
    let pattern = TopicPattern::new("room.*").unwrap();
    let mut subscription = stage.subscribe(Subscribe::pattern("room.*").after(id(EPOCH, 50)));
    stage.inlet.establish([Interest::Pattern(&pattern)], true).unwrap();
    assert!(!stage.has_started(&mut subscription));
    assert_eq!(stage.heard()[1..], [Heard::Find("room.*".into(), 50)]);
    let found = vec![name("room.1"), name("hall"), name("room.2")];
    stage.inlet.found(&pattern, 50, Some(found), stage.now).unwrap();
    assert!(!stage.has_started(&mut subscription));
    let reads: Vec<_> = stage.heard().into_iter().filter(|it| matches!(it, Heard::Read(..))).collect();
    assert_eq!(reads, [Heard::Read("room.1".into(), 50), Heard::Read("room.2".into(), 50)]);
    stage.answer("room.2", 50, 50, &[60, 80]);
    stage.answer("room.1", 50, 50, &[70, 90]);
    stage.deliver("room.1", 101);
    assert_eq!(sequences(&stage.drain(&mut subscription)), [60, 70, 80, 90, 101]);
}

#[test]
fn a_stream_tells_where_it_starts_when_that_is_known() {
    use crate::{head::testing::Head, sse};
    let stage = Stage::silent(Retention::default());
    let accepted = sse::Request::let_in(&stage.hub, &Head::get()).unwrap();
    let (_, mut stream) = accepted.open("a", stage.now).unwrap();
    let mut poll = || match stream.poll_next(&mut Context::from_waker(Waker::noop()), stage.now) {
        Poll::Ready(Some(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
        Poll::Ready(None) => panic!("it has ended"),
        Poll::Pending => String::new(),
    };
    let first = poll();
    assert!(first.starts_with("retry: ") && !first.contains("id:"), "{first}");
    assert_eq!(poll(), "");
    stage.inlet.begin(at(100)).unwrap();
    stage.establish("a", 105);
    stage.deliver("a", 106);
    assert_eq!(poll(), "id: 7-105\n\nid: 7-106\ndata: a 106\n\n");
}
