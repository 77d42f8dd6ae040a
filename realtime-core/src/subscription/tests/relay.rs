//! Many who wait for one topic: the publisher wakes a few, and whoever uses the hub the rest.

use super::*;

const SUBSCRIBERS: usize = 1000;

/// Woken by one publish, and by one use of the hub.
const AT_ONCE: usize = 16;
const RELAYED: usize = 32;

struct Crowd {
    world: World,
    subscriptions: Vec<Subscription>,
    wakes: Vec<(Arc<Wakes>, Waker)>,
}

impl Crowd {
    /// A thousand who wait for an event.
    fn new(request: impl Fn() -> Subscribe) -> Self {
        let world = World::new(Retention::default());
        let subscriptions = (0..SUBSCRIBERS).map(|_| world.subscribe(request())).collect();
        let wakes = (0..SUBSCRIBERS).map(|_| Wakes::new()).collect();
        Self { world, subscriptions, wakes }
    }

    fn parked() -> Self {
        let mut crowd = Self::new(|| "a".into());
        for at in 0..SUBSCRIBERS {
            assert_eq!(crowd.take(at), 0);
        }
        crowd
    }

    /// How many events a subscriber has taken.
    fn take(&mut self, at: usize) -> usize {
        let mut out = Vec::new();
        let mut cx = Context::from_waker(&self.wakes[at].1);
        let _ = self.subscriptions[at].poll_recv_many(&mut cx, &mut out, 100, self.world.now);
        out.len()
    }

    fn woken(&self) -> usize {
        self.wakes.iter().map(|(wakes, _)| wakes.count()).sum()
    }

    /// Has `use_hub` be done until everybody is woken, and tells how often.
    fn uses_until_all_are_woken(&mut self, mut use_hub: impl FnMut(&mut Self)) -> usize {
        for uses in 0..SUBSCRIBERS {
            if self.woken() == SUBSCRIBERS {
                return uses;
            }
            use_hub(self);
            assert!(self.woken() <= AT_ONCE + (uses + 1) * RELAYED, "no use of the hub wakes many");
        }
        panic!("{} of {SUBSCRIBERS} were woken", self.woken());
    }
}

/// As many as it takes, if each wakes as many as it may.
fn least_uses() -> usize {
    (SUBSCRIBERS - AT_ONCE).div_ceil(RELAYED)
}

#[test]
fn a_publisher_wakes_a_few_however_many_wait() {
    let crowd = Crowd::parked();
    crowd.world.publish("a", Event::text("x"));
    assert_eq!(crowd.woken(), AT_ONCE);
}

#[test]
fn those_who_are_woken_wake_the_rest_each_once() {
    let mut crowd = Crowd::parked();
    crowd.world.publish("a", Event::text("x"));
    let mut taken = [0; SUBSCRIBERS];
    let uses = crowd.uses_until_all_are_woken(|crowd| {
        let is_next = |at: &usize| crowd.wakes[*at].0.count() > 0 && taken[*at] == 0;
        let next =
            (0..SUBSCRIBERS).find(is_next).expect("somebody who is awake and has not looked");
        taken[next] = crowd.take(next);
    });
    assert!(uses <= least_uses(), "{uses} uses");
    for (at, taken) in taken.iter_mut().enumerate() {
        *taken += crowd.take(at);
    }
    assert_eq!(taken, [1; SUBSCRIBERS]);
    assert!(crowd.wakes.iter().all(|(wakes, _)| wakes.count() == 1), "nothing more is published");
}

/// Those who were woken first may never look.
#[test]
fn any_use_of_the_hub_wakes_the_rest() {
    type Use = fn(&mut Crowd);
    let uses: [(&str, Use); 4] = [
        ("publish elsewhere", |crowd| _ = crowd.world.publish("b", Event::text("x"))),
        ("subscribe elsewhere", |crowd| drop(crowd.world.subscribe("b"))),
        ("upkeep, as a heartbeat does", |crowd| crowd.world.hub.upkeep(crowd.world.now)),
        ("publish there", |crowd| _ = crowd.world.publish("a", Event::text("x"))),
    ];
    for (name, use_hub) in uses {
        let mut crowd = Crowd::parked();
        crowd.world.publish("a", Event::text("x"));
        for at in 0..SUBSCRIBERS {
            if crowd.woken() == SUBSCRIBERS {
                break;
            }
            use_hub(&mut crowd);
            assert!(at < 2 * least_uses(), "{name}: {} are woken", crowd.woken());
        }
    }
}

#[test]
fn who_leaves_instead_of_looking_wakes_others() {
    let mut crowd = Crowd::parked();
    crowd.world.publish("a", Event::text("x"));
    // Of those who left, some were still to be woken.
    while crowd.woken() < crowd.subscriptions.len() {
        let before = crowd.woken();
        let leaves = crowd.subscriptions.swap_remove(0);
        drop(leaves);
        assert!(crowd.woken() > before, "{before} are woken");
    }
}

#[test]
fn who_cannot_write_is_woken_a_few_at_a_time_too() {
    let limit = LagLimit::default().events(3);
    let mut crowd = Crowd::new(|| Subscribe::to("a").overflow(Overflow::Disconnect).lag(limit));
    for (subscription, (_, waker)) in crowd.subscriptions.iter_mut().zip(&crowd.wakes) {
        let mut cx = Context::from_waker(waker);
        assert!(subscription.poll_overflow(&mut cx, crowd.world.now).is_pending());
    }
    for _ in 0..3 {
        crowd.world.publish("a", Event::text("x"));
        assert_eq!(crowd.woken(), 0, "within its limit");
    }
    crowd.world.publish("a", Event::text("x"));
    assert_eq!(crowd.woken(), AT_ONCE);
    let uses = crowd.uses_until_all_are_woken(|crowd| crowd.world.hub.upkeep(crowd.world.now));
    assert_eq!(uses, least_uses());
}

/// A topic that has gone while some of its subscribers were to be woken leaves nothing behind.
#[test]
fn a_topic_may_go_while_some_are_to_be_woken() {
    let mut crowd = Crowd::parked();
    crowd.world.publish("a", Event::text("x"));
    crowd.subscriptions.clear();
    assert_eq!(crowd.world.hub.stats().subscriptions, 0);
    crowd.world.now += Duration::from_secs(3600);
    for _ in 0..100 {
        crowd.world.hub.upkeep(crowd.world.now);
        crowd.world.now += Duration::from_secs(60);
    }
    assert_eq!(crowd.world.hub.stats().topics, 0);
}
