//! What a broker may deliver, and what it is told.

use super::*;
use crate::{fanout::lock, position::PositionIssuer};

/// A broker that a test plays.
#[derive(Debug, Default)]
struct Scripted {
    inlet: Mutex<Option<Inlet>>,
    told: Mutex<Vec<bool>>,
    /// Called once, in the middle of being told that interest is lost.
    meanwhile: Mutex<Option<Meanwhile>>,
}

struct Meanwhile(Box<dyn FnOnce() + Send>);

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl Broker for Scripted {
    fn epoch(&self) -> u64 {
        EPOCH
    }

    fn start(&self, inlet: Inlet) -> Result<(), BrokerError> {
        *lock(&self.inlet) = Some(inlet);
        Ok(())
    }

    fn publish(&self, _: &TopicName, _: Event, _: Instant) -> Published {
        Published::Now(Err(BrokerError::Unavailable("not in this test".into())))
    }

    fn interest(&self, _: &TopicName, interested: bool) {
        let meanwhile = lock(&self.meanwhile).take_if(|_| !interested);
        if let Some(Meanwhile(act)) = meanwhile {
            act();
        }
        lock(&self.told).push(interested);
    }
}

fn scripted() -> (Hub, Arc<Scripted>) {
    let broker = Arc::new(Scripted::default());
    (Hub::builder().broker(Arc::clone(&broker)).build().unwrap(), broker)
}

#[test]
fn what_is_out_of_order_is_refused() {
    let now = Instant::now();
    let (hub, broker) = scripted();
    let mut subscription = hub.subscribe_at(["a", "b"], now).unwrap();
    let inlet = lock(&broker.inlet).clone().unwrap();
    let deliver = |topic: &str, epoch: u64, sequence: u64| {
        let topic = TopicName::new(topic).unwrap();
        let position = PositionIssuer::new(epoch).at(sequence);
        inlet.deliver(&topic, position, Event::text("x"), now).map(Wakeups::wake)
    };
    for (topic, epoch, sequence, accepted) in [
        ("a", EPOCH, 0, false), // stands before the first event
        ("a", EPOCH, 5, true),
        ("a", EPOCH, 5, false),
        ("b", EPOCH, 4, false),
        ("b", EPOCH, 9, true),
        ("a", EPOCH, 8, false),
        ("a", EPOCH + 1, 10, false),
        ("a", EPOCH, 10, true),
    ] {
        let outcome = deliver(topic, epoch, sequence);
        assert_eq!(outcome.is_ok(), accepted, "{topic} {epoch:x}-{sequence}: {outcome:?}");
        if let Err(error) = outcome {
            assert!(matches!(error, DeliverError::OutOfOrder { .. }), "{error:?}");
        }
    }
    assert_eq!(sequences(&drain(&mut subscription, now)), [5, 9, 10]);
    assert_eq!(hub.stats().published, 3);
    drop((hub, subscription));
    assert_eq!(deliver("a", EPOCH, 11), Err(DeliverError::Closed));
}

#[test]
fn the_broker_knows_which_topics_are_followed() {
    let now = Instant::now();
    let (hub, broker) = scripted();
    let first = hub.subscribe_at("a", now).unwrap();
    let second = hub.subscribe_at("a", now).unwrap();
    drop(first);
    assert_eq!(*lock(&broker.told), [true]);
    drop(second);
    assert_eq!(*lock(&broker.told), [true, false]);
    let mut third = hub.subscribe_at("a", now).unwrap();
    assert!(third.remove(&TopicName::new("a").unwrap()));
    assert_eq!(*lock(&broker.told), [true, false, true, false]);
}

/// Somebody subscribes while the broker is being told that nobody does: the last word is true.
#[test]
fn the_last_word_on_interest_is_true() {
    let now = Instant::now();
    let (hub, broker) = scripted();
    let kept = Arc::new(Mutex::new(None));
    let subscription = hub.subscribe_at("a", now).unwrap();
    let again = {
        let (hub, kept) = (hub.clone(), Arc::clone(&kept));
        move || *lock(&kept) = hub.subscribe_at("a", now).ok()
    };
    *lock(&broker.meanwhile) = Some(Meanwhile(Box::new(again)));
    drop(subscription);
    assert!(lock(&kept).is_some());
    assert_eq!(*lock(&broker.told), [true, true, false, true]);
}
