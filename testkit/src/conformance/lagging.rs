//! A client that does not read, one that does, and how to fill the first one up.

use realtime_core::{Event, Retention};
use serde_json::Value;

use super::{Served, Suite, served};
use crate::{
    http::End,
    net::Dial,
    sse::Client,
    wait,
    ws::{Peer, Received},
};

/// How many events a slow client may lag.
pub(super) const LAG: u64 = 32;
/// How many keys the events have.
pub(super) const KEYS: u64 = 5;

/// A server, a fast client, and a slow one.
#[derive(Debug)]
pub(super) struct Lagging {
    pub(super) served: Served,
    pub(super) slow: Slow,
    pub(super) fast: Peer,
    /// The id with which the slow client began.
    pub(super) start: String,
    published: u64,
}

/// The slow client.
#[derive(Debug)]
pub(super) enum Slow {
    Sse(Box<Client>),
    WebSocket(Box<Peer>),
}

/// What it gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Event {
        number: u64,
        id: String,
    },
    Gap {
        missed: u64,
    },
    /// The server says why it ends the connection, in its transport's way.
    Bye(String),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Transport {
    Sse,
    WebSocket,
}

impl Lagging {
    pub(super) async fn start(suite: Suite, transport: Transport, policy: &str) -> Self {
        let all = Retention::default().events(100_000).bytes(1 << 30);
        let served = suite.start_with(|hub| {
            hub.retention(all).limits(|limits| {
                served::unpaced(limits);
                limits.log_bytes = 4 << 30;
            })
        });
        let dial = Dial::to(served.addr()).recv_buffer(4096);
        let query = format!("topic=load&overflow={policy}&lag={LAG}");
        let (slow, start) = match transport {
            Transport::Sse => {
                let client = Client::connect(dial, &format!("/events?{query}"), &[]).await;
                let mut client = client.expect("a response");
                client.read_until(|body| body.ends_with(b"\n\n")).await;
                let start = client.last_event_id().to_owned();
                (Slow::Sse(Box::new(client)), start)
            }
            Transport::WebSocket => {
                let mut peer = Peer::connect(dial, &format!("/ws?{query}"), &[]).await;
                let start = served::ready(&mut peer).await;
                (Slow::WebSocket(Box::new(peer)), start)
            }
        };
        let fast = served.ws("/raw?topic=load").await;
        Self { served, slow, fast, start, published: 0 }
    }

    /// Publishes until the slow client lags far behind its limit, or has been given up; the fast one
    /// reads along and misses nothing.
    pub(super) async fn fill(&mut self) {
        while self.published < MOST {
            for _ in 0..LAG / 4 {
                self.publish().await;
            }
            let stats = self.served.stats();
            if stats.max_lag > 2 * LAG || stats.slow_disconnects > 0 {
                // It has to be more than a moment's delay.
                for _ in 0..4 * LAG {
                    self.publish().await;
                }
                let stats = self.served.stats();
                if stats.max_lag > 4 * LAG || stats.slow_disconnects > 0 {
                    return;
                }
            }
        }
        panic!("{MOST} events of {SIZE} bytes went into the sockets: {:?}", self.served.stats());
    }

    /// Publishes one event, which the fast client gets, and returns its number.
    pub(super) async fn publish(&mut self) -> u64 {
        let number = self.published;
        self.published += 1;
        let text = format!("{number} {:SIZE$}", "");
        let event = Event::text(text.as_str()).keyed((number % KEYS).to_string());
        self.served.publish_event("load", event.expect("a key")).await;
        self.fast.expect_text(&text).await;
        number
    }

    pub(super) fn published(&self) -> u64 {
        self.published
    }

    /// Of what was published, both subscriptions have been given or told all.
    pub(super) async fn conserves(&self) {
        wait::until("delivered + missed + conflated = published", || {
            let stats = self.served.stats();
            stats.delivered + stats.missed + stats.conflated == 2 * stats.published
        })
        .await;
    }
}

impl Slow {
    pub(super) async fn next(&mut self) -> Item {
        match self {
            Self::Sse(client) => {
                let event = client.expect_event().await;
                item(&event.event, &event.last_event_id, &event.data)
            }
            Self::WebSocket(peer) => match peer.recv().await {
                Received::Text(text) => {
                    let message: Value = serde_json::from_str(&text).expect("JSON");
                    let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
                    let data = match &message["data"] {
                        Value::String(text) => text.clone(),
                        data => data.to_string(),
                    };
                    item(&text("event"), &text("id"), &data)
                }
                Received::Close(Some((code, reason))) => Item::Bye(format!("{code} {reason}")),
                other => panic!("expected an event or a close, got {other}"),
            },
        }
    }

    /// After the bye: the end is a clean one.
    pub(super) async fn ends(&mut self) {
        match self {
            Self::Sse(client) => assert_eq!(client.expect_end().await, End::Clean),
            Self::WebSocket(peer) => {
                peer.send_close(1000, "").await;
                peer.expect_eof().await;
            }
        }
    }

    /// Comes back with an id, and reads.
    pub(super) async fn resumed(&self, served: &Served, id: &str) -> Self {
        let query = format!("topic=load&last_event_id={id}&lag=1000000");
        match self {
            Self::Sse(_) => Self::Sse(Box::new(served.sse(&format!("/events?{query}")).await)),
            Self::WebSocket(_) => {
                let mut peer = served.ws(&format!("/ws?{query}")).await;
                assert_eq!(served::ready(&mut peer).await, id);
                Self::WebSocket(Box::new(peer))
            }
        }
    }
}

fn item(event: &str, id: &str, data: &str) -> Item {
    let json = || serde_json::from_str::<Value>(data).expect("JSON");
    match event {
        "realtime.gap" => Item::Gap { missed: json()["missed"].as_u64().expect("a number") },
        "realtime.bye" => Item::Bye(json()["reason"].as_str().unwrap_or_default().to_owned()),
        "" | "message" => {
            let number = data.split(' ').next().and_then(|number| number.parse().ok());
            Item::Event { number: number.expect("a number"), id: id.to_owned() }
        }
        other => panic!("unexpected {other}: {data}"),
    }
}

const SIZE: usize = 4096;
/// 32 MiB, several times what the kernel gives a socket.
const MOST: u64 = 8192;
