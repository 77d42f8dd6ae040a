//! Clients that drop off the network: nothing comes from them any more, and nothing tells that.
//!
//! They are on a host of their own, whose cable is pulled. Each case names the one deadline that is to
//! find out; the others, and the kernel's own, are so far away that nobody waits for them.

use std::{net::SocketAddr, time::Duration};

use realtime_core::{HubBuilder, Limits, Overflow};

use super::{
    Served, Suite,
    endings::Endings,
    served,
    storm::{descriptors, settled},
};
use crate::{hosts::Network, net::Dial, sse::Client, wait, ws::Peer};

/// A ping stays without an answer.
pub async fn ends_idle_websockets_by_the_pong_deadline(suite: Suite) {
    let field = Field::new(suite, |hub| {
        hub.websocket(|websocket| {
            websocket.ping_interval = SHORT;
            websocket.pong_deadline = SHORT;
        })
    });
    let gone = field.websockets_vanish(async |_| {}).await;
    assert_eq!(gone, ["pong_deadline"; CLIENTS]);
}

/// What is published stays without an acknowledgement, and then without room.
pub async fn ends_websockets_by_the_write_deadline(suite: Suite) {
    let field = Field::new(suite, |hub| hub.limits(|limits| limits.write_deadline = SHORT));
    let gone = field.websockets_vanish(publish_more).await;
    // The kernel may be the one that gives up, and then it is an error like any other.
    assert!(gone.iter().all(|cause| ["write_deadline", "vanished"].contains(cause)), "{gone:?}");
}

/// Heartbeats stay without an acknowledgement.
pub async fn ends_idle_streams_by_their_heartbeat(suite: Suite) {
    let field = Field::new(suite, |hub| {
        hub.sse(|sse| sse.heartbeat = SHORT).limits(|limits| limits.write_deadline = SHORT)
    });
    let gone = field.streams_vanish(async |_| {}).await;
    assert_eq!(gone, ["vanished"; CLIENTS]);
}

/// What is published stays without an acknowledgement, and then without room.
pub async fn ends_streams_by_the_write_deadline(suite: Suite) {
    let field = Field::new(suite, |hub| hub.limits(|limits| limits.write_deadline = SHORT));
    let gone = field.streams_vanish(publish_more).await;
    assert_eq!(gone, ["vanished"; CLIENTS]);
}

/// Where nobody ends the writes, what the hub holds for the streams is given back all the same.
pub async fn gives_back_streams_by_the_stall_deadline(suite: Suite) {
    let mut field = Field::new(suite, |hub| hub.limits(|limits| limits.stall_deadline = SHORT));
    field.keeps_sockets = true;
    let gone = field.streams_vanish(publish_more).await;
    assert_eq!(gone, ["write_deadline"; CLIENTS]);
}

/// A server on one host, and a network that leads to it from another.
struct Field {
    served: Served,
    /// Whether it is the hub alone that lets go.
    keeps_sockets: bool,
    ends: Endings,
    /// Removed when nobody is on it any more.
    network: Network,
}

impl Field {
    fn new(suite: Suite, configure: impl FnOnce(HubBuilder) -> HubBuilder) -> Self {
        let never = |limits: &mut Limits| {
            limits.stall_deadline = NEVER;
            limits.write_deadline = NEVER;
        };
        let network = Network::new();
        let served = suite.start_at(network.server(), |hub| {
            let hub = hub.overflow(Overflow::DropOldest).limits(never);
            configure(hub.websocket(|ws| ws.ping_interval = NEVER).sse(|sse| sse.heartbeat = NEVER))
        });
        Self { served, keeps_sockets: false, ends: Endings::new(), network }
    }

    fn dial(&self) -> Dial {
        let addr: SocketAddr = self.served.addr();
        Dial::to(addr).recv_buffer(4096).at_host(self.network.client())
    }

    async fn websocket(&self, ends: &Endings) -> Peer {
        let mut peer = Peer::connect(self.dial(), &ends.path("/ended-ws"), &[]).await;
        served::ready(&mut peer).await;
        peer
    }

    async fn stream(&self, ends: &Endings) -> Client {
        let client = Client::connect(self.dial(), &ends.path("/ended"), &[]).await;
        let mut client = client.expect("a response");
        client.read_until(|body| body.ends_with(b"\n\n")).await;
        client
    }

    async fn websockets_vanish(&self, meanwhile: impl AsyncFnMut(&Served)) -> Vec<&'static str> {
        self.websocket(&Endings::new()).await.reset();
        self.vanish(async || self.websocket(&self.ends).await, meanwhile).await
    }

    async fn streams_vanish(&self, meanwhile: impl AsyncFnMut(&Served)) -> Vec<&'static str> {
        self.stream(&Endings::new()).await.reset();
        self.vanish(async || self.stream(&self.ends).await, meanwhile).await
    }

    /// By what the clients ended that were there when the cable was pulled; nothing of them is left.
    async fn vanish<T>(
        &self,
        mut connect: impl AsyncFnMut() -> T,
        mut meanwhile: impl AsyncFnMut(&Served),
    ) -> Vec<&'static str> {
        let served = &self.served;
        served.released().await;
        settled().await;
        let before = descriptors();
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(connect().await);
        }
        self.network.cut();
        wait::until_async("whoever has vanished is let go of", async || {
            meanwhile(served).await;
            let stats = served.stats();
            let open = stats.connections_sse + stats.connections_websocket + stats.subscriptions;
            open == 0 && (self.keeps_sockets || stats.sockets == 0)
        })
        .await;
        if !self.keeps_sockets {
            // The clients' own sockets are in this process.
            wait::until("the server's descriptors are closed", || {
                descriptors() <= before + CLIENTS
            })
            .await;
        }
        // They are told when all is given back.
        wait::until("each end is told", || self.ends.causes().len() >= CLIENTS).await;
        self.ends.causes().iter().map(|cause| cause.as_str()).collect()
    }
}

/// More than goes into the buffers on the way, in the end.
async fn publish_more(served: &Served) {
    for _ in 0..20 {
        served.publish("a", &"x".repeat(2_000)).await;
    }
}

const CLIENTS: usize = 5;
const SHORT: Duration = Duration::from_millis(700);
const NEVER: Duration = Duration::from_secs(3600);
