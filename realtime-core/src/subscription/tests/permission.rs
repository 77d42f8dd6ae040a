//! What may not be followed is as if it were not there.

use std::sync::Mutex;

use super::*;

fn text() -> Event {
    Event::text("x")
}

/// Allows what is not in a list, which a test may change.
#[derive(Clone, Default)]
struct Denied(Arc<Mutex<Vec<&'static str>>>);

impl Denied {
    fn of<const N: usize>(names: [&'static str; N]) -> Self {
        Self(Arc::new(Mutex::new(names.to_vec())))
    }

    fn permission(&self) -> Option<Permission> {
        let denied = self.clone();
        Some(Arc::new(move |topic| !denied.0.lock().unwrap().contains(&topic.as_str())))
    }
}

fn topics(subscription: &Subscription) -> Vec<&str> {
    subscription.topics().map(TopicName::as_str).collect()
}

fn name(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

#[test]
fn a_name_that_is_not_permitted_is_refused() {
    let world = World::new(Retention::default());
    let permission = || Denied::of(["a.x"]).permission();
    let request = Subscribe::from(["a", "a.x"]).permitted(permission());
    let forbidden = SubscribeError::Forbidden { topic: name("a.x") };
    assert_eq!(world.hub.subscribe_at(request, world.now).unwrap_err(), forbidden);
    assert_eq!(world.hub.stats().topics, 0);
    let mut subscription = world.subscribe(Subscribe::to("a").permitted(permission()));
    assert_eq!(subscription.add_at("a.x", world.now), Err(forbidden));
    subscription.add_at("a.y", world.now).unwrap();
}

#[test]
fn a_pattern_never_leaks_what_is_not_permitted() {
    let mut world = World::new(Retention::default().events(2).age(Duration::from_millis(5)));
    world.publish("a.x", text());
    let denied = Denied::of(["a.x", "a.new"]);
    let request =
        |request: Subscribe| request.permitted(denied.permission()).overflow(Overflow::DropOldest);
    let mut subscriptions = vec![
        world.subscribe(request(Subscribe::pattern("a.*"))),
        world.subscribe(request(Subscribe::pattern("a.*").start(Start::Last(9)))),
        world.subscribe(request(
            Subscribe::pattern(">").after(LastEventId { epoch: 7, sequence: 0 }),
        )),
    ];
    let mut added = world.subscribe(request(Subscribe::none()));
    added.add_pattern_at("*.*", world.now).unwrap();
    subscriptions.push(added);
    for _ in 0..3 {
        for _ in 0..4 {
            world.publish("a.x", text());
            world.publish("a.new", text());
        }
        for subscription in &mut subscriptions {
            assert!(world.drain(subscription).is_empty(), "neither an event nor a gap");
            assert_eq!(topics(subscription), Vec::<&str>::new());
            assert_eq!(subscription.count(), 1);
            assert_eq!(subscription.counts(), SubscriptionCounts::default());
        }
        assert_eq!(world.hub.subscribers(&name("a.x")), 0);
        assert_eq!(world.hub.subscribers(&name("a.new")), 0);
        // It goes, and is made again.
        world.now += Duration::from_millis(20);
        let all = world.hub.matched(&TopicPattern::new(">").unwrap());
        world.hub.retire(all.iter(), 1, world.now);
        drop(all);
        assert_eq!(world.hub.stats().topics, 0);
    }
    world.publish("a.public", text());
    for subscription in &mut subscriptions {
        assert_eq!(world.drain(subscription).len(), 1);
    }
}

#[test]
fn what_is_not_permitted_does_not_count() {
    let world = World {
        hub: Hub::builder().limits(|limits| limits.topics_per_subscription = 2).build().unwrap(),
        now: Instant::now(),
    };
    let only: Permission = Arc::new(|topic| topic.as_str() == "a.mine");
    for n in 0..5 {
        world.publish(&format!("a.before{n}"), text());
    }
    let request = Subscribe::pattern("a.*").permitted(Some(only));
    let mut subscription = world.subscribe(request);
    for n in 0..5 {
        world.publish(&format!("a.after{n}"), text());
    }
    world.publish("a.mine", text());
    assert_eq!(summary(&world.drain(&mut subscription)), ["11"]);
}

#[test]
fn a_new_permission_is_decided_at_once() {
    let world = World::new(Retention::default());
    let denied = Denied::of(["a.2"]);
    let request = Subscribe::pattern("a.*").and("b").and("c").permitted(denied.permission());
    let mut subscription = world.subscribe(request);
    world.publish("a.1", text());
    world.publish("a.2", text());
    assert_eq!(summary(&world.drain(&mut subscription)), ["1"]);

    world.publish("a.1", text());
    world.publish("a.2", text());
    world.publish("a.3", text());
    let denied = Denied::of(["a.1", "c"]);
    assert_eq!(subscription.set_permission(denied.permission()), [name("c")]);
    assert_eq!(topics(&subscription), ["b", "c", "a.3", "a.2"]);
    world.publish("a.1", text());
    world.publish("a.2", text());
    assert_eq!(summary(&world.drain(&mut subscription)), ["5", "7"], "what it gained, live");
    assert_eq!(world.hub.subscribers(&name("a.1")), 0);

    assert!(subscription.set_permission(None).is_empty());
    world.publish("a.1", text());
    assert_eq!(summary(&world.drain(&mut subscription)), ["8"]);
}

#[test]
fn a_permission_may_use_the_hub() {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let world = World::new(Retention::default());
        let (hub, now) = (world.hub.clone(), world.now);
        let permission: Permission = Arc::new(move |topic| {
            let asked = hub.subscribe_at(format!("asked.{topic}"), now).unwrap();
            let followed = hub.subscribe_at(Subscribe::pattern("a.*"), now).unwrap();
            drop(hub.publish_at("log", text(), now));
            drop((asked, followed));
            true
        });
        let request = Subscribe::pattern("a.*").and("b").permitted(Some(Arc::clone(&permission)));
        let mut subscription = world.subscribe(request);
        world.publish("a.1", text());
        assert_eq!(world.drain(&mut subscription).len(), 1);
        subscription.set_permission(Some(permission));
        subscription.add_pattern_at("*.1", world.now).unwrap();
        world.hub.retire(world.hub.matched(&TopicPattern::new(">").unwrap()).iter(), 1, world.now);
        drop(subscription);
        done.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(10)).expect("it deadlocks or has failed");
}
