//! What following patterns costs in a large table: `cargo test --release -p realtime-core cost --
//! --ignored --nocapture`.

use super::*;

const TOPICS: usize = 65_000;

fn large(permitted: &'static str) -> (World, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let hub = Hub::builder()
        .authorize(move |_: Option<&crate::Identity>, _, topic: &TopicName| {
            counter.fetch_add(1, Ordering::Relaxed);
            topic.as_str().starts_with(permitted)
        })
        .build()
        .unwrap();
    let world = World { hub, now: Instant::now() };
    for n in 0..TOPICS {
        world.publish(&format!("orders.{}.{n}", n % 100), Event::text("x"));
    }
    (world, asked)
}

fn measure(what: &str, mut act: impl FnMut()) {
    let runs = 5;
    let start = Instant::now();
    (0..runs).for_each(|_| act());
    println!("{what}: {:?}", start.elapsed() / runs);
}

#[test]
#[ignore = "it measures"]
fn cost_of_following_patterns_in_a_large_table() {
    let (world, asked) = large("orders.7.7");
    let permission = crate::admission::permission(&world.hub, None);
    let follow = |patterns: &[String]| {
        let request = patterns.iter().fold(Subscribe::none(), Subscribe::and_pattern);
        world.hub.subscribe_at(request.permitted(permission.clone()), world.now)
    };
    let none: Vec<_> = (0..8).map(|n| format!("*.none.{n}.>")).collect();
    measure("8 patterns that match nothing", || drop(follow(&none)));
    let own: Vec<_> = (0..8).map(|n| format!("own.{n}.*")).collect();
    measure("8 patterns with prefixes of nothing", || drop(follow(&own)));
    let one = ["orders.7.*".to_owned()];
    measure("1 pattern over 650 topics, 11 permitted", || drop(follow(&one)));
    asked.store(0, Ordering::Relaxed);
    measure("`>` where 11 are permitted", || drop(follow(&[">".to_owned()])));
    println!("asked {} times each", asked.load(Ordering::Relaxed) / 5);
    let mut subscription = follow(&[">".to_owned()]).unwrap();
    measure("a refresh of `>` where 11 are permitted", || {
        drop(subscription.set_permission(permission.clone()));
    });
    let all = || Some(Arc::new(|_: &TopicName| true) as Permission);
    measure("`>` that is refused as too much", || {
        let request = Subscribe::pattern(">").permitted(all());
        assert!(world.hub.subscribe_at(request, world.now).is_err());
    });
    measure("a publish to a topic that is there, 65 000 times", || {
        for n in 0..TOPICS {
            world.publish(&format!("orders.{}.{n}", n % 100), Event::text("x"));
        }
    });
    measure("a table of 65 000 topics", || drop(large("x")));
}
