//! What every broker does.

use std::collections::{HashMap, HashSet};

use realtime_core::{Delivery, Event, Reset, ResetReason, Start, Subscribe, TopicName};
use tokio::task::JoinSet;

use super::{Cluster, RETAINED, event, id, is_at_end, next, publish, retention, subscribed, texts};
use crate::wait::until;

const PREFIX: &str = "suite";

/// All subscribers get everything in one order, with one id, and each publisher's in its own.
pub async fn order_across_publishers(cluster: &impl Cluster) {
    let hubs: Vec<_> = (0..3).map(|_| cluster.hub(PREFIX, retention())).collect();
    let mut subscriptions = Vec::new();
    for hub in &hubs {
        subscriptions.push(subscribed(hub, "a").await);
    }
    for round in 0..15 {
        for (publisher, hub) in hubs.iter().enumerate() {
            publish(hub, "a", format!("{publisher}-{round}")).await;
        }
    }
    let mut all = Vec::new();
    for subscription in &mut subscriptions {
        let mut got = Vec::new();
        for _ in 0..45 {
            got.push(event(subscription).await);
        }
        let sequences: Vec<_> = got.iter().map(|(_, position)| position.sequence()).collect();
        assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
        all.push(got);
    }
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[2]);
    let expected: Vec<_> =
        (0..15).flat_map(|round| (0..3).map(move |p| format!("{p}-{round}"))).collect();
    let got: Vec<_> = all[0].iter().map(|(text, _)| text.clone()).collect();
    assert_eq!(got, expected, "each publish was accepted before the next");
}

/// A subscription of several topics gets them in the order in which they were published.
pub async fn several_topics_are_merged_in_order(cluster: &impl Cluster) {
    let (here, there) = (cluster.hub(PREFIX, retention()), cluster.hub(PREFIX, retention()));
    let mut subscription = subscribed(&here, ["a", "b", "c"]).await;
    let mut expected = Vec::new();
    for number in 0..45 {
        let text = number.to_string();
        publish(&there, ["a", "b", "c"][number % 3], &text).await;
        expected.push(text);
    }
    assert_eq!(texts(&mut subscription, 45).await, expected);
}

/// What an instance publishes comes back to it once, under the id that the publisher was told.
pub async fn an_instance_gets_its_own_events_once(cluster: &impl Cluster) {
    let hub = cluster.hub(PREFIX, retention());
    let mut subscription = subscribed(&hub, "a").await;
    let position = publish(&hub, "a", "once").await;
    assert_eq!(event(&mut subscription).await, ("once".to_owned(), position));
    is_at_end(&mut subscription, &hub, "a").await;
}

/// Who publishes needs no subscriber, and no other instance at the time.
pub async fn a_publisher_without_subscribers_reaches_others(cluster: &impl Cluster) {
    let alone = cluster.hub(PREFIX, retention());
    let first = publish(&alone, "a", "before anybody was there").await;
    let other = cluster.hub(PREFIX, retention());
    let mut live = subscribed(&other, "a").await;
    let second = publish(&alone, "a", "then").await;
    assert_eq!(event(&mut live).await, ("then".to_owned(), second));
    assert!(first.sequence() < second.sequence() && first.epoch() == second.epoch());
}

/// Whoever comes back to another instance with the id of the last event that it saw misses nothing.
pub async fn resume_on_another_instance(cluster: &impl Cluster) {
    let (here, there) = (cluster.hub(PREFIX, retention()), cluster.hub(PREFIX, retention()));
    let mut first = subscribed(&here, ["a", "b"]).await;
    // Somebody is there already, so that its log has the later ones only.
    for number in 0..5 {
        publish(&here, "a", number.to_string()).await;
    }
    let mut other = subscribed(&there, "a").await;
    for number in 5..20 {
        publish(&here, ["a", "b"][number % 2], number.to_string()).await;
    }
    assert_eq!(texts(&mut first, 3).await, ["0", "1", "2"]);
    let last = first.last_event_id();
    drop(first);
    let mut second = subscribed(&there, Subscribe::to("a").and("b").after(last)).await;
    let expected: Vec<_> = (3..20).map(|number: u32| number.to_string()).collect();
    assert_eq!(texts(&mut second, 17).await, expected);
    is_at_end(&mut second, &here, "b").await;
    let expected: Vec<_> = (5..20).filter(|it| it % 2 == 0).map(|it: u32| it.to_string()).collect();
    assert_eq!(texts(&mut other, expected.len()).await, expected);
}

/// The same where nobody has ever been subscribed.
pub async fn resume_where_nobody_was_subscribed(cluster: &impl Cluster) {
    let here = cluster.hub(PREFIX, retention());
    let first = publish(&here, "a", "0").await;
    for number in 1..10 {
        publish(&here, "a", number.to_string()).await;
    }
    let there = cluster.hub(PREFIX, retention());
    let mut second = subscribed(&there, Subscribe::to("a").after(first)).await;
    let expected: Vec<_> = (1..10).map(|number: u32| number.to_string()).collect();
    assert_eq!(texts(&mut second, 9).await, expected);
    is_at_end(&mut second, &here, "a").await;
}

/// An instance that has not got to a client's id yet is no reason to reset it.
pub async fn an_id_ahead_of_an_instance_is_waited_for(cluster: &impl Cluster) {
    let (here, there) = (cluster.hub(PREFIX, retention()), cluster.hub(PREFIX, retention()));
    let mut follower = subscribed(&there, "b").await;
    // This instance gets nothing of `a`, so it can't know how far the sequence has got.
    let mut last = publish(&here, "a", "0").await;
    for number in 1..10 {
        last = publish(&here, "a", number.to_string()).await;
    }
    let mut second = subscribed(&there, Subscribe::to("b").after(last)).await;
    is_at_end(&mut second, &here, "b").await;
    assert_eq!(event(&mut follower).await.0, "the end of b");
}

/// An id of this life that nobody has been given.
pub async fn an_id_ahead_of_everything_is_a_reset(cluster: &impl Cluster) {
    let hub = cluster.hub(PREFIX, retention());
    let position = publish(&hub, "a", "0").await;
    let ahead = id(position, position.sequence() + 1_000_000);
    let mut subscription = subscribed(&hub, Subscribe::to("a").after(ahead)).await;
    let reset = reset(next(&mut subscription).await);
    assert_eq!(reset.reason, ResetReason::Ahead);
    is_at_end(&mut subscription, &hub, "a").await;
}

/// An id of another life, and a text that is none.
pub async fn an_id_of_another_life_is_a_reset(cluster: &impl Cluster) {
    let hub = cluster.hub(PREFIX, retention());
    let position = publish(&hub, "a", "0").await;
    let other = format!("{:x}-1", position.epoch() ^ 1).parse::<realtime_core::LastEventId>();
    let request = Subscribe::to("a").after(other.expect("an id")).start(Start::Last(1));
    let mut subscription = subscribed(&hub, request).await;
    let reset = reset(next(&mut subscription).await);
    assert_eq!((reset.reason, event(&mut subscription).await.0), (ResetReason::Epoch, "0".into()));
    // Its id is good to go on from.
    let mut again = subscribed(&hub, Subscribe::to("a").after(reset.id)).await;
    assert_eq!(event(&mut again).await.0, "0");
}

/// What has left the retention is told, on whatever instance; what has not is given.
pub async fn what_is_no_longer_kept_is_a_reset(cluster: &impl Cluster) {
    let here = cluster.hub(PREFIX, retention());
    let first = publish(&here, "a", "0").await;
    // A broker may keep more than it has to.
    for number in 1..RETAINED * 8 {
        publish(&here, "a", number.to_string()).await;
    }
    let there = cluster.hub(PREFIX, retention());
    let mut late = subscribed(&there, Subscribe::to("a").after(first)).await;
    assert_eq!(reset(next(&mut late).await).reason, ResetReason::Evicted);
    is_at_end(&mut late, &here, "a").await;
    // Another topic has lost nothing since.
    let mut quiet = subscribed(&there, Subscribe::to("b").after(first)).await;
    is_at_end(&mut quiet, &here, "b").await;
}

/// A start with what was published before, on an instance that has none of it.
pub async fn the_last_few_and_the_newest_of_each_key(cluster: &impl Cluster) {
    let here = cluster.hub(PREFIX, retention());
    for number in 0..30_usize {
        let event = Event::text(number.to_string()).keyed(["x", "y", "z"][number % 3]);
        here.publish("a", event.expect("a key")).await.expect("a broker that takes it");
    }
    let there = cluster.hub(PREFIX, retention());
    let mut last = subscribed(&there, Subscribe::to("a").start(Start::Last(4))).await;
    assert_eq!(texts(&mut last, 4).await, ["26", "27", "28", "29"]);
    let mut newest = subscribed(&there, Subscribe::to("a").start(Start::NewestPerKey)).await;
    assert_eq!(texts(&mut newest, 3).await, ["27", "28", "29"]);
    is_at_end(&mut newest, &here, "a").await;
    assert_eq!(event(&mut last).await.0, "the end of a");
}

/// A topic that is added goes on from its next event, and the order across topics holds.
pub async fn topics_are_added_while_it_goes_on(cluster: &impl Cluster) {
    let (here, there) = (cluster.hub(PREFIX, retention()), cluster.hub(PREFIX, retention()));
    let mut subscription = subscribed(&here, "a").await;
    publish(&there, "a", "0").await;
    publish(&there, "b", "nobody gets it").await;
    subscription.add("b").expect("a valid topic");
    assert_eq!(event(&mut subscription).await.0, "0");
    tokio::time::timeout(crate::DEADLINE, subscription.ready()).await.expect("it goes on");
    let mut expected = Vec::new();
    for number in 1..20 {
        publish(&there, ["a", "b"][number % 2], number.to_string()).await;
        expected.push(number.to_string());
    }
    assert_eq!(texts(&mut subscription, 19).await, expected);
    let b = TopicName::new("b").expect("a name");
    assert!(subscription.remove(&b));
    publish(&there, "b", "nobody gets it").await;
    is_at_end(&mut subscription, &there, "a").await;
}

/// A pattern is followed on all instances: topics that are made anywhere come, from their first event on.
pub async fn patterns_bring_topics_of_other_instances(cluster: &impl Cluster) {
    let (here, there) = (cluster.hub(PREFIX, retention()), cluster.hub(PREFIX, retention()));
    let mut subscription = subscribed(&here, Subscribe::pattern("room.*")).await;
    let mut one = subscribed(&here, "room.3").await;
    let mut expected = Vec::new();
    for number in 0..20 {
        publish(&there, &format!("room.{}", number % 5), number.to_string()).await;
        publish(&there, &format!("room.{}.deep", number % 5), "nobody gets it").await;
        publish(&there, &format!("roomy.{}", number % 5), "nobody gets it").await;
        expected.push(number.to_string());
    }
    assert_eq!(texts(&mut subscription, 20).await, expected);
    assert_eq!(texts(&mut one, 4).await, ["3", "8", "13", "18"]);
    is_at_end(&mut subscription, &there, "room.9").await;
    is_at_end(&mut one, &there, "room.3").await;
}

/// A pattern resumes on an instance that has seen none of its topics.
pub async fn patterns_resume(cluster: &impl Cluster) {
    let here = cluster.hub(PREFIX, retention());
    let first = publish(&here, "room.0", "0").await;
    let mut expected = Vec::new();
    for number in 1..20 {
        publish(&here, &format!("room.{}", number % 5), number.to_string()).await;
        publish(&here, "hall", "nobody gets it").await;
        expected.push(number.to_string());
    }
    let there = cluster.hub(PREFIX, retention());
    let mut second = subscribed(&there, Subscribe::pattern("room.*").after(first)).await;
    assert_eq!(texts(&mut second, 19).await, expected);
    is_at_end(&mut second, &here, "room.2").await;
    is_at_end(&mut second, &here, "room.7").await;
}

/// An instance gets what it has subscribers for.
pub async fn nothing_comes_that_nobody_wants(cluster: &impl Cluster) {
    if !cluster.is_shared() {
        return;
    }
    let (here, there) = (cluster.hub(PREFIX, retention()), cluster.hub(PREFIX, retention()));
    let mut wanted = subscribed(&there, "wanted").await;
    for number in 0..20 {
        publish(&here, "unwanted", number.to_string()).await;
    }
    publish(&here, "wanted", "0").await;
    assert_eq!(event(&mut wanted).await.0, "0");
    if cluster.filters() {
        assert_eq!(there.broker_stats().received, 1);
        assert_eq!(here.broker_stats().received, 0);
    }
    assert_eq!(there.stats().published, 1, "nothing else is in any log");
    drop(wanted);
    // From when the server has been told, nothing comes any more.
    until("nobody is told of a topic that was left", || there.stats().topics <= 1).await;
    let mut other = subscribed(&there, "other").await;
    let before = there.broker_stats().received;
    for number in 0..20 {
        publish(&here, "wanted", number.to_string()).await;
    }
    publish(&here, "other", "0").await;
    assert_eq!(event(&mut other).await.0, "0");
    if cluster.filters() {
        assert_eq!(there.broker_stats().received, before + 1);
    }
}

/// However often the only subscriber of a topic leaves and comes back with its id, nothing is missing.
pub async fn who_leaves_and_comes_back_misses_nothing(cluster: &impl Cluster) {
    let (here, there) = (cluster.hub(PREFIX, retention()), cluster.hub(PREFIX, retention()));
    let mut subscription = subscribed(&there, "a").await;
    let mut number = 0;
    for round in 0..30 {
        let id = subscription.last_event_id();
        let (mut expected, leaves_first) = (Vec::new(), round % 2 == 0);
        if leaves_first {
            drop(subscription);
            for _ in 0..3 {
                publish(&here, "a", number.to_string()).await;
                expected.push(number.to_string());
                number += 1;
            }
            subscription = there.subscribe(Subscribe::to("a").after(id)).expect("valid");
        } else {
            publish(&here, "a", number.to_string()).await;
            expected.push(number.to_string());
            number += 1;
            drop(subscription);
            subscription = there.subscribe(Subscribe::to("a").after(id)).expect("valid");
            publish(&here, "a", number.to_string()).await;
            expected.push(number.to_string());
            number += 1;
        }
        assert_eq!(texts(&mut subscription, expected.len()).await, expected, "round {round}");
    }
}

/// Data of any kind and of the largest size, names and keys arrive as they were.
pub async fn large_and_binary_events(cluster: &impl Cluster) {
    let (here, there) = (cluster.hub(PREFIX, retention()), cluster.hub(PREFIX, retention()));
    let mut subscription = subscribed(&there, "ä.ö x").await;
    let most = here.config().limits.event_bytes - 64;
    let all_bytes: Vec<u8> = (0..=255).cycle().take(most).collect();
    let events = [
        Ok(Event::text("")),
        Event::text("line\r\nline\0 \u{1F600}").named("näme").and_then(|it| it.keyed("kéy\n\0")),
        Event::json(&serde_json::json!({ "a": [1, null, "ü"] })),
        Event::binary(Vec::new()).named("empty"),
        Ok(Event::binary(all_bytes)),
        Ok(Event::text("x".repeat(most))),
    ]
    .map(|event| event.expect("a valid event"));
    for event in &events {
        here.publish("ä.ö x", event.clone()).await.expect("a broker that takes it");
    }
    for expected in &events {
        let Delivery::Event(entry) = next(&mut subscription).await else { panic!("an event") };
        assert_eq!(entry.event(), expected);
    }
    // And out of history.
    let late = cluster.hub(PREFIX, retention());
    let mut last = subscribed(&late, Subscribe::to("ä.ö x").start(Start::Last(events.len()))).await;
    for expected in &events {
        let Delivery::Event(entry) = next(&mut last).await else { panic!("an event") };
        assert_eq!(entry.event(), expected);
    }
}

/// Topics by the hundred, each with its own subscriber.
pub async fn many_topics(cluster: &impl Cluster) {
    let (here, there) = (cluster.hub(PREFIX, retention()), cluster.hub(PREFIX, retention()));
    let mut subscriptions = Vec::new();
    for number in 0..500 {
        subscriptions.push(there.subscribe(format!("topic.{number}")).expect("valid"));
    }
    for subscription in &mut subscriptions {
        tokio::time::timeout(crate::DEADLINE, subscription.ready()).await.expect("it starts");
    }
    for number in 0..500 {
        publish(&here, &format!("topic.{number}"), number.to_string()).await;
    }
    for (number, subscription) in subscriptions.iter_mut().enumerate() {
        assert_eq!(event(subscription).await.0, number.to_string());
    }
    drop(subscriptions);
    until("nothing is left of topics that nobody wants", || there.stats().subscriptions == 0).await;
}

/// Two services on one server know nothing of each other.
pub async fn prefixes_are_apart(cluster: &impl Cluster) {
    let (one, other) = (cluster.hub("one", retention()), cluster.hub("other", retention()));
    let mut of_one = subscribed(&one, "a").await;
    let mut of_other = subscribed(&other, Subscribe::pattern(">")).await;
    publish(&one, "a", "1").await;
    let position = publish(&other, "a", "2").await;
    assert_eq!(event(&mut of_one).await.0, "1");
    assert_eq!(event(&mut of_other).await, ("2".to_owned(), position));
    is_at_end(&mut of_one, &one, "a").await;
    is_at_end(&mut of_other, &other, "a").await;
}

/// Many at once: nothing is lost, doubled or out of order, and all see the same.
pub async fn many_publishers_and_subscribers(cluster: &impl Cluster) {
    const PUBLISHERS: usize = 6;
    const EACH: usize = 40;
    let hubs: Vec<_> =
        (0..3).map(|_| cluster.hub(PREFIX, retention().events(PUBLISHERS * EACH))).collect();
    let mut readers = JoinSet::new();
    for reader in 0..6 {
        let mut subscription = subscribed(&hubs[reader % 3], ["a", "b"]).await;
        readers.spawn(async move {
            let mut got = Vec::new();
            for _ in 0..PUBLISHERS * EACH {
                got.push(event(&mut subscription).await);
            }
            got
        });
    }
    let mut publishers = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let hub = hubs[publisher % 3].clone();
        publishers.spawn(async move {
            for number in 0..EACH {
                publish(&hub, ["a", "b"][number % 2], format!("{publisher} {number}")).await;
            }
        });
    }
    while let Some(done) = publishers.join_next().await {
        done.expect("a publisher that does not panic");
    }
    let all = readers.join_all().await;
    let first = &all[0];
    assert!(all.iter().all(|got| got == first), "all see the same");
    let sequences: HashSet<_> = first.iter().map(|(_, position)| position.sequence()).collect();
    assert_eq!(sequences.len(), PUBLISHERS * EACH);
    let mut next_of = HashMap::new();
    for (text, _) in first {
        let (publisher, number) = text.split_once(' ').expect("two numbers");
        let next = next_of.entry(publisher).or_insert(0_usize);
        assert_eq!(number, next.to_string(), "in the order of its publisher");
        *next += 1;
    }
}

/// A hub that goes takes its task and its connection with it.
pub async fn a_hub_that_is_dropped_leaves_nothing(cluster: &impl Cluster) {
    let (here, there) = (cluster.hub(PREFIX, retention()), cluster.hub(PREFIX, retention()));
    let mut subscription = subscribed(&here, "a").await;
    publish(&there, "a", "0").await;
    drop(there);
    assert_eq!(event(&mut subscription).await.0, "0");
    is_at_end(&mut subscription, &here, "a").await;
}

fn reset(delivery: Delivery) -> Reset {
    match delivery {
        Delivery::Reset(reset) => reset,
        other => panic!("expected a reset, got {other:?}"),
    }
}
