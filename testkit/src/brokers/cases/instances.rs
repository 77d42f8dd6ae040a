//! What instances tell each other.

use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures_core::Stream as _;
use realtime_core::{HttpVersion, Hub, Identity, RequestHead, TopicName, driver};
use tokio::time::timeout;

use super::PREFIX;
use crate::{
    DEADLINE,
    brokers::{Cluster, event, is_at_end, retention, subscribed},
    wait::until_async,
};

/// How many subscribers a topic has is known on each instance.
pub async fn subscribers_are_counted_over_all_instances(cluster: &impl Cluster) {
    let hubs: Vec<_> = (0..3).map(|_| cluster.hub(PREFIX, retention())).collect();
    let mut subscriptions = Vec::new();
    for (hub, count) in hubs.iter().zip([1, 2, 3]) {
        for _ in 0..count {
            subscriptions.push(subscribed(hub, "a").await);
        }
    }
    let topic = TopicName::new("a").expect("a name");
    let instances = if cluster.is_shared() { 3 } else { 1 };
    for hub in &hubs {
        until_async("each has heard of the others", async || {
            let occupancy = hub.occupancy(&topic).await;
            (occupancy.instances, occupancy.silent) == (instances, 0)
        })
        .await;
        assert_eq!(hub.occupancy(&topic).await.subscribers, 6);
    }
    drop(subscriptions);
    assert_eq!(hubs[0].occupancy(&topic).await.subscribers, 0);
}

/// A subject that is disconnected on one instance is on the others.
pub async fn a_subject_is_disconnected_on_all_instances(cluster: &impl Cluster) {
    let (here, there) = (cluster.hub(PREFIX, retention()), cluster.hub(PREFIX, retention()));
    // Both have been heard from, so they listen.
    let (mut one, mut other) = (subscribed(&here, "a").await, subscribed(&there, "a").await);
    is_at_end(&mut one, &there, "a").await;
    assert_eq!(event(&mut other).await.0, "the end of a");
    let mut alice_here = Watched::new(&here, "alice").await;
    let mut alice_there = Watched::new(&there, "alice").await;
    let mut bob_there = Watched::new(&there, "bob").await;
    let counted = here.disconnect("alice", "signed out");
    assert_eq!(counted, if cluster.is_shared() { 1 } else { 2 });
    for alice in [&mut alice_here, &mut alice_there] {
        alice.ended().await;
    }
    assert!(!bob_there.has_ended());
    // Whoever comes back afterwards stays.
    let mut again = Watched::new(&here, "alice").await;
    is_at_end(&mut one, &here, "a").await;
    assert!(!again.has_ended());
}

/// A connection of a subject, as an adapter has it.
struct Watched(driver::Body);

/// The head of its request.
struct PlainHead;

impl RequestHead for PlainHead {
    fn method(&self) -> &str {
        "GET"
    }

    fn version(&self) -> HttpVersion {
        HttpVersion::Http11
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn header_values<'a>(&'a self, _: &'a str) -> impl Iterator<Item = &'a [u8]> {
        std::iter::empty()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }

    fn bytes(&self) -> usize {
        0
    }
}

impl Watched {
    async fn new(hub: &Hub, subject: &str) -> Self {
        let request = driver::accept_event_stream(hub, &PlainHead).await.expect("a connection");
        let request = request.identify(Identity::new(subject)).expect("an identity");
        let (_, body) = driver::Body::open(request, "nothing").expect("a stream");
        Self(body)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match Pin::new(&mut self.0).poll_next(cx) {
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    async fn ended(&mut self) {
        let ended = std::future::poll_fn(|cx| self.poll(cx));
        timeout(DEADLINE, ended).await.expect("it ends");
    }

    fn has_ended(&mut self) -> bool {
        self.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }
}
