//! What a broker between instances is told of who wants a topic.
//!
//! No lock is held over the broker's code, so words may overtake each other: of those that overlap, the
//! last one has to say what is.

use std::collections::HashMap;

use super::*;
use crate::{Published, sync::Mutex};

/// An embedded broker that remembers what it was told last of each topic.
#[derive(Debug)]
pub(super) struct Listening {
    broker: LocalBroker,
    interested: Mutex<HashMap<TopicName, bool>>,
}

impl Listening {
    /// A hub on a broker that is told.
    pub(super) fn with_hub() -> (Hub, Arc<Self>) {
        let broker = LocalBroker::with_epoch(EPOCH);
        let broker = Arc::new(Self { broker, interested: Mutex::default() });
        (Hub::builder().broker(Arc::clone(&broker)).build().unwrap(), broker)
    }

    pub(super) fn assert_knows_that_nobody_is_there(&self) {
        let interested = self.interested.lock().unwrap();
        let of: Vec<_> = interested.iter().filter(|(_, it)| **it).map(|(name, _)| name).collect();
        assert!(of.is_empty(), "it still takes somebody to listen to {of:?}");
    }

    fn assert_knows_of(&self, topic: &str) {
        let interested = self.interested.lock().unwrap();
        let told = interested.get(&TopicName::new(topic).unwrap());
        assert_eq!(told, Some(&true), "it takes nobody to listen to {topic}");
    }
}

impl Broker for Listening {
    fn epoch(&self) -> u64 {
        self.broker.epoch()
    }

    fn start(&self, inlet: Inlet) -> Result<(), BrokerError> {
        self.broker.start(inlet)
    }

    fn publish(&self, topic: &TopicName, event: Event, now: Instant) -> Published {
        self.broker.publish(topic, event, now)
    }

    fn interest(&self, topic: &TopicName, interested: bool) {
        self.interested.lock().unwrap().insert(topic.clone(), interested);
    }
}

/// One leaves while another comes to stay: the broker must not be left believing that nobody is there,
/// or that one would never hear of another instance's events.
#[test]
fn who_comes_while_another_goes_is_known() {
    check(800, || {
        let (now, (hub, broker)) = (Instant::now(), Listening::with_hub());
        let leaves = hub.subscribe_at("a", now).unwrap();
        let going = thread::spawn(move || drop(leaves));
        let coming = thread::spawn({
            let hub = hub.clone();
            move || hub.subscribe_at("a", now).unwrap()
        });
        going.join().unwrap();
        let stays = coming.join().unwrap();
        broker.assert_knows_of("a");
        drop(stays);
        broker.assert_knows_that_nobody_is_there();
        assert_left_behind_nothing(&hub);
    });
}

/// Two come and go, as often as it takes for the words of three changes to overlap, beside one that
/// stays or does not.
#[test]
fn who_is_left_when_others_have_come_and_gone_is_known() {
    for stays in [true, false] {
        check(800, move || {
            let (now, (hub, broker)) = (Instant::now(), Listening::with_hub());
            let passing = [(); 2].map(|()| {
                let hub = hub.clone();
                thread::spawn(move || {
                    for _ in 0..2 {
                        drop(hub.subscribe_at("a", now).unwrap());
                    }
                })
            });
            let last = stays.then(|| hub.subscribe_at("a", now).unwrap());
            passing.into_iter().for_each(|thread| thread.join().unwrap());
            if last.is_some() {
                broker.assert_knows_of("a");
            }
            drop(last);
            broker.assert_knows_that_nobody_is_there();
            assert_left_behind_nothing(&hub);
        });
    }
}
