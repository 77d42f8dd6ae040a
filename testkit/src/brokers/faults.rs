//! What every broker between instances does when its server, or the way to it, fails.

use std::{future::Future, time::Duration};

use realtime_core::{
    BrokerError, BrokerHealth, Delivery, Event, Hub, PublishError, Retention, Subscribe,
};
use tokio::time::{Instant, timeout};

use super::{Cluster, event, is_at_end, next, publish, retention, subscribed, texts};
use crate::{
    DEADLINE,
    faults::{BadNetwork, Network},
    wait::until,
};

/// A cluster whose server can be killed and started again.
pub trait Failing: Cluster {
    /// Where the server listens.
    fn addr(&self) -> std::net::SocketAddr;

    /// The hub of an instance that gets to the server by way of `addr`, and whose publishes and requests have this
    /// deadline.
    fn hub_by(
        &self,
        addr: std::net::SocketAddr,
        deadline: Duration,
        prefix: &str,
        retention: Retention,
    ) -> Hub;

    /// Kills the server, without a word.
    fn kill(&self) -> impl Future<Output = ()> + Send;

    /// Starts it again where it was, with what it has kept.
    fn restart(&self) -> impl Future<Output = ()> + Send;

    /// Has it forget everything.
    fn forget(&self) -> impl Future<Output = ()> + Send;
}

const PREFIX: &str = "faults";

/// Long enough for a server that answers, short enough to be waited for.
const PATIENCE: Duration = Duration::from_millis(700);

/// A server that is not there: publishes fail by their deadline, the hub says so, and everything goes on
/// when it comes.
pub async fn a_server_that_is_not_there_yet(cluster: &impl Failing) {
    let network = BadNetwork::to(cluster.addr()).await;
    network.set(Network::Refuses);
    let hub = cluster.hub_by(network.addr(), PATIENCE, PREFIX, retention());
    let mut subscription = hub.subscribe("a").expect("a valid request");
    is_unavailable(&hub, "a").await;
    assert!(matches!(hub.broker_health(), BrokerHealth::Unavailable { .. }));
    assert_eq!(hub.broker_stats().publishes_failed, 1);
    network.set(Network::Good);
    timeout(DEADLINE, subscription.ready()).await.expect("it starts");
    is_at_end(&mut subscription, &hub, "a").await;
    assert!(hub.broker_health().is_well());
}

/// A connection that is cut: what was published meanwhile is got out of history, once and in order.
pub async fn a_connection_that_is_cut(cluster: &impl Failing) {
    let network = BadNetwork::to(cluster.addr()).await;
    let hub = cluster.hub_by(network.addr(), PATIENCE, PREFIX, retention());
    let other = cluster.hub(PREFIX, retention());
    let mut subscription = subscribed(&hub, ["a", "b"]).await;
    let mut pattern = subscribed(&hub, Subscribe::pattern("room.*")).await;
    let mut expected = Vec::new();
    for round in 0..5 {
        network.set(Network::Refuses);
        for number in 0..4 {
            let text = format!("{round} {number}");
            publish(&other, ["a", "b"][number % 2], &text).await;
            publish(&other, &format!("room.{number}"), &text).await;
            expected.push(text);
        }
        network.set(Network::Good);
        assert_eq!(texts(&mut subscription, 4).await, expected[round * 4..]);
        assert_eq!(texts(&mut pattern, 4).await, expected[round * 4..]);
    }
    is_at_end(&mut subscription, &other, "b").await;
    is_at_end(&mut pattern, &other, "room.0").await;
    assert!(hub.broker_stats().repaired > 0);
    assert_eq!(hub.broker_stats().lost, 0);
}

/// Longer than the server keeps events: a gap is told, and what is left comes.
pub async fn an_outage_that_is_longer_than_history(cluster: &impl Failing) {
    let network = BadNetwork::to(cluster.addr()).await;
    let hub = cluster.hub_by(network.addr(), PATIENCE, PREFIX, retention());
    let other = cluster.hub(PREFIX, retention());
    let mut subscription = subscribed(&hub, ["a", "b"]).await;
    publish(&other, "a", "before").await;
    assert_eq!(event(&mut subscription).await.0, "before");
    network.set(Network::Refuses);
    until("it is noticed", || !hub.broker_health().is_well()).await;
    let published = super::RETAINED * 8;
    for number in 0..published {
        publish(&other, "a", number.to_string()).await;
    }
    publish(&other, "b", "the last").await;
    network.set(Network::Good);
    let Delivery::Gap(gap) = next(&mut subscription).await else { panic!("expected a gap") };
    assert_eq!((gap.topic.as_str(), gap.missed), ("a", None));
    let (first, _) = event(&mut subscription).await;
    let first: usize = first.parse().expect("a number");
    assert!(first > 0 && first <= published - super::RETAINED / 2, "{first}");
    let expected: Vec<_> = (first + 1..published).map(|it| it.to_string()).collect();
    assert_eq!(texts(&mut subscription, expected.len()).await, expected);
    assert_eq!(event(&mut subscription).await.0, "the last");
    is_at_end(&mut subscription, &other, "a").await;
    assert_eq!(hub.broker_stats().lost, 1);
}

/// A network that goes silent is noticed, though nothing ends.
pub async fn a_network_that_goes_silent(cluster: &impl Failing) {
    let network = BadNetwork::to(cluster.addr()).await;
    let hub = cluster.hub_by(network.addr(), PATIENCE, PREFIX, retention());
    let other = cluster.hub(PREFIX, retention());
    let mut subscription = subscribed(&hub, "a").await;
    network.set(Network::Silent);
    publish(&other, "a", "meanwhile").await;
    is_unavailable(&hub, "a").await;
    until("it is noticed", || !hub.broker_health().is_well()).await;
    network.cut();
    network.set(Network::Good);
    assert_eq!(event(&mut subscription).await.0, "meanwhile");
    // What was published here and not acknowledged may have been stored, or not.
    let (mut text, _) = (String::new(), publish(&other, "a", "the last").await);
    while text != "the last" {
        text = event(&mut subscription).await.0;
        assert!(["the last", "lost?"].contains(&&*text), "{text}");
    }
}

/// A slow network is slow, and nothing more.
pub async fn a_slow_network(cluster: &impl Failing) {
    let network = BadNetwork::to(cluster.addr()).await;
    let hub = cluster.hub_by(network.addr(), DEADLINE, PREFIX, retention());
    let mut subscription = subscribed(&hub, "a").await;
    network.set(Network::Slow(Duration::from_millis(50)));
    for number in 0..5 {
        publish(&hub, "a", number.to_string()).await;
    }
    assert_eq!(texts(&mut subscription, 5).await, ["0", "1", "2", "3", "4"]);
    is_at_end(&mut subscription, &hub, "a").await;
    assert_eq!(hub.broker_stats().connected, 1);
}

/// A server that is killed while it is published to, and keeps its data: everything that was acknowledged is
/// delivered, once and in order.
pub async fn a_server_that_dies_while_it_is_published_to(cluster: &impl Failing) {
    let hub =
        cluster.hub_by(cluster.addr(), Duration::from_secs(2), PREFIX, retention().events(100_000));
    let mut subscription = subscribed(&hub, "a").await;
    let publisher = tokio::spawn({
        let hub = hub.clone();
        async move {
            let mut acknowledged = Vec::new();
            let (mut number, mut after_outage) = (0_u64, 0);
            let mut failed = false;
            while after_outage < 50 {
                match hub.publish("a", Event::text(number.to_string())).await {
                    Ok(position) => {
                        acknowledged.push((number.to_string(), position));
                        after_outage += u64::from(failed);
                    }
                    Err(_) => failed = true,
                }
                number += 1;
            }
            (acknowledged, number)
        }
    });
    for _ in 0..50 {
        event(&mut subscription).await;
    }
    cluster.kill().await;
    until("it is noticed", || !hub.broker_health().is_well()).await;
    until("a publish has failed", || hub.broker_stats().publishes_failed > 0).await;
    cluster.restart().await;
    let (acknowledged, _) =
        timeout(DEADLINE * 2, publisher).await.expect("an end").expect("no panic");
    let mut late = subscribed(&hub, Subscribe::to("a").after(acknowledged[0].1)).await;
    let last = publish(&hub, "a", "the end").await;
    let mut got = Vec::new();
    loop {
        let (text, position) = event(&mut late).await;
        if position == last {
            break;
        }
        got.push((text, position));
    }
    for expected in &acknowledged[1..] {
        assert_eq!(got.iter().filter(|it| *it == expected).count(), 1, "{expected:?}");
    }
    let sequences: Vec<_> = got.iter().map(|(_, position)| position.sequence()).collect();
    assert!(sequences.is_sorted_by(|a, b| a < b));
    // Whoever was there all the time has got the same.
    let mut live = Vec::new();
    loop {
        let (text, position) = event(&mut subscription).await;
        if position == last {
            break;
        }
        live.push((text, position));
    }
    assert_eq!(live[..], got[got.len() - live.len()..]);
}

/// A server that has lost everything: who is subscribed is told, and gets what comes.
pub async fn a_server_that_has_forgotten_everything(cluster: &impl Failing) {
    let hub = cluster.hub_by(cluster.addr(), PATIENCE, PREFIX, retention());
    let mut subscription = subscribed(&hub, "a").await;
    let mut pattern = subscribed(&hub, Subscribe::pattern("*")).await;
    let before = publish(&hub, "a", "0").await;
    assert_eq!(event(&mut subscription).await.0, "0");
    assert_eq!(event(&mut pattern).await.0, "0");
    cluster.forget().await;
    let Delivery::Reset(reset) = next(&mut subscription).await else { panic!("a reset") };
    assert!(matches!(next(&mut pattern).await, Delivery::Reset(_)));
    let after = publish(&hub, "a", "1").await;
    assert_ne!(before.epoch(), after.epoch());
    assert_eq!(event(&mut subscription).await, ("1".to_owned(), after));
    assert_eq!(event(&mut pattern).await.0, "1");
    let mut again = subscribed(&hub, Subscribe::to("a").after(reset.id)).await;
    assert_eq!(event(&mut again).await.0, "1");
    let mut late = subscribed(&hub, Subscribe::to("a").after(before)).await;
    assert!(matches!(next(&mut late).await, Delivery::Reset(_)));
}

/// Sees that a publish fails, by its deadline.
async fn is_unavailable(hub: &Hub, topic: &str) {
    let began = Instant::now();
    let published = timeout(DEADLINE, hub.publish(topic, Event::text("lost?"))).await;
    let error = published.expect("an answer by its deadline").expect_err("it is not there");
    assert!(matches!(error, PublishError::Broker(BrokerError::Unavailable(_))), "{error}");
    assert!(began.elapsed() >= PATIENCE / 2, "it is given a chance to come back");
}

/// Makes a test of each case.
#[macro_export]
macro_rules! broker_faults {
    (start: $start:path) => {
        $crate::broker_faults! { @cases $start;
            a_server_that_is_not_there_yet
            a_connection_that_is_cut
            an_outage_that_is_longer_than_history
            a_network_that_goes_silent
            a_slow_network
            a_server_that_dies_while_it_is_published_to
            a_server_that_has_forgotten_everything
        }
    };
    (@cases $start:path; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::brokers::faults::$case(&$start().await).await;
            }
        )*
    };
}
