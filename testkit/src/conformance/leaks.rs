//! Handshakes of every kind, let in and refused, as many as there is time for.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    net::Ipv4Addr,
    time::Duration,
};

use fastrand::Rng;

use super::{
    Served, Suite,
    identity::{
        self, BAD, PANICS, PANICS_AT_ONCE, SLOW, UNAVAILABLE, Way, all_ways, good, message, soon,
    },
    served::unthrottled,
    storm::{descriptors, join, settled},
};
use crate::{
    http::{KeepAlive, Request, Response},
    net::{self, Dial},
    sse::Client,
    wait,
    ws::Peer,
};

/// All counters are at zero, the descriptors are closed, and each address and identity may have as
/// many connections as before.
pub async fn of_handshakes_there_are_none(suite: Suite) {
    let authentication = all_ways()
        .first_message_within(Duration::from_millis(50))
        .timeout(Duration::from_millis(20))
        .concurrency(8);
    let served = identity::served_with(suite, authentication, |hub| {
        hub.websocket(|ws| ws.close_deadline = CLOSE).limits(|limits| {
            unthrottled(limits);
            limits.connections_per_ip = PER_IP;
            limits.connections_per_subject = PER_SUBJECT;
            limits.connections = 3 * u64::from(PER_IP);
            limits.header_bytes = 2_048;
        })
    });
    // What runtimes open once is open after this.
    play(&served, Rng::with_seed(1), 200).await;
    served.untouched().await;
    settled().await;
    let before = descriptors();

    let seed = fastrand::u64(..);
    let tally = play(&served, Rng::with_seed(seed), HANDSHAKES).await;
    for status in [101, 200, 400, 401, 403, 405, 426, 429, 431, 503] {
        let times = tally.get(&status).copied().unwrap_or_default();
        assert!(times > HANDSHAKES / 1_000, "few of {status}: {tally:?}, seed {seed}");
    }
    served.untouched().await;
    wait::until(&format!("{before} descriptors are open again, seed {seed}"), || {
        descriptors() <= before
    })
    .await;
    // Connections that were gone before they were accepted are taken before this one is.
    identity::ws_of(&served, SUBJECTS[0], "/whoami").await.reset();
    served.untouched().await;
    has_all_its_places(&served).await;
}

/// Each address and each identity gets in as often as the limits say.
async fn has_all_its_places(served: &Served) {
    for address in addresses() {
        let mut inside = Vec::new();
        for number in 0..PER_IP {
            let token = good(&format!("{address}-{}", number / PER_SUBJECT).replace('.', "-"));
            let request = Way::Bearer.present(served.handshake("/whoami"), &token);
            let peer = Peer::open(served.from(address), &request).await;
            inside
                .push(peer.unwrap_or_else(|refused| panic!("{number} of {address}: {refused:?}")));
        }
        let request = Way::Bearer.present(served.handshake("/whoami"), &good("one-more"));
        served.refused_from(address, 429, &request).await;
        inside.into_iter().for_each(Peer::reset);
        served.untouched().await;
    }
    for subject in SUBJECTS {
        let mut inside = Vec::new();
        for _ in 0..PER_SUBJECT {
            inside.push(identity::ws_of(served, subject, "/whoami").await);
        }
        let request = Way::Bearer.present(served.handshake("/whoami"), &good(subject));
        served.refused(429, &request).await;
        inside.into_iter().for_each(Peer::reset);
        served.untouched().await;
    }
}

/// How often there was which answer.
type Tally = BTreeMap<u16, usize>;

async fn play(served: &Served, mut random: Rng, handshakes: usize) -> Tally {
    let tally = RefCell::default();
    let clients = addresses().flat_map(|address| [address; CLIENTS_PER_ADDRESS]);
    let clients: Vec<_> = clients.map(|address| (served.from(address), random.fork())).collect();
    let each = handshakes / clients.len();
    let mut running: Vec<_> = clients
        .into_iter()
        .map(|(dial, random)| {
            let client = Player {
                served,
                dial,
                refusals: KeepAlive::new(dial),
                random,
                open: VecDeque::new(),
                tally: &tally,
            };
            Box::pin(client.play(each))
        })
        .collect();
    join(&mut running).await;
    drop(running);
    tally.into_inner()
}

/// One client that comes and goes in all ways, some connections of its open at a time.
struct Player<'a> {
    served: &'a Served,
    dial: Dial,
    refusals: KeepAlive,
    random: Rng,
    open: VecDeque<Open>,
    tally: &'a RefCell<Tally>,
}

enum Open {
    Peer(Box<Peer>),
    Stream(Box<Client>),
}

impl Player<'_> {
    async fn play(mut self, handshakes: usize) {
        for _ in 0..handshakes {
            if self.random.u32(0..10) < 8 {
                self.be_refused().await;
            } else {
                self.get_in().await;
            }
        }
        while let Some(open) = self.open.pop_front() {
            self.leave(open).await;
        }
    }

    async fn be_refused(&mut self) {
        let is_websocket = self.random.bool();
        let request = if is_websocket {
            identity::handshake(self.served, "/ws?topic=a")
        } else {
            self.served.request("/events?topic=a")
        };
        let subject = self.subject();
        let signed = Way::Bearer.present(request.clone(), &good(subject));
        let way = Way::BOTH[self.random.usize(0..Way::BOTH.len())];
        let (status, request) = match self.random.u32(0..17) {
            0..=2 => (401, way.present(request, BAD)),
            3 => (401, request.header("Authorization", "Bearer")),
            4 => (401, request.header("Cookie", "session=a; session=b")),
            5 => (400, signed.query("topic=*")),
            6 => (400, Way::Cookie.present(request, &good(subject)).query("topic=")),
            7 => (431, signed.header("Padding", "x".repeat(2_048))),
            8 if is_websocket => {
                let request = self.served.handshake("/echo").method("POST");
                (405, Way::Bearer.present(request, &good(subject)))
            }
            8 => (405, signed.method("POST")),
            9 => (503, Way::Bearer.present(request, UNAVAILABLE)),
            10 => (503, Way::Bearer.present(request, [PANICS, PANICS_AT_ONCE][subject.len() % 2])),
            11 if is_websocket => (426, signed.without("Upgrade")),
            12 => (403, evil(Way::Cookie.present(request.without("Origin"), &good(subject)))),
            13 if is_websocket => (400, signed.header("Sec-WebSocket-Key", "short")),
            14 if is_websocket => (403, evil(signed.without("Origin"))),
            15 if self.random.u32(0..20) == 0 => (503, Way::Bearer.present(request, SLOW)),
            15 => (401, Way::Bearer.present(request, &identity::expired(subject))),
            _ => (401, Way::Query.present(Way::Query.present(request, BAD), BAD)),
        };
        let response = self.refusals.exchange(&request).await;
        let is_known = [status, 400, 429, 503].contains(&response.status);
        assert!(is_known, "{status}: {}\n{response:?}", request.bytes().escape_ascii());
        self.count(response.status);
    }

    async fn get_in(&mut self) {
        if self.open.len() >= 4
            && let Some(oldest) = self.open.pop_front()
        {
            self.leave(oldest).await;
        }
        let subject = self.subject();
        let token = if self.random.u32(0..10) == 0 { soon(subject) } else { good(subject) };
        let way = Way::WEBSOCKET[self.random.usize(0..Way::WEBSOCKET.len())];
        match self.random.u32(0..8) {
            0..=2 => {
                let way = if Way::BOTH.contains(&way) { way } else { Way::Bearer };
                let path = ["/mine", "/events?topic=a"][self.random.usize(0..2)];
                let request = way.present(self.served.request(path), &token);
                let client = Client::send(self.dial, &request).await.expect("a response");
                self.count(client.status);
                self.open.push_back(Open::Stream(Box::new(client)));
            }
            3..=5 => {
                let path = ["/whoami", "/ws?topic=a"][self.random.usize(0..2)];
                let request = way.present(identity::handshake(self.served, path), &token);
                self.opened(Peer::open(self.dial, &request).await);
            }
            6 => {
                let path = ["/whoami", "/ws?topic=a"][self.random.usize(0..2)];
                let opened = Peer::handshake(self.dial, path, &[]).await;
                let Ok(mut peer) = opened else { return self.opened(opened) };
                let said = [message(&token), message(BAD), message(SLOW), "nonsense".into()];
                peer.send_text(&said[self.random.usize(0..said.len())]).await;
                self.opened(Ok(peer));
            }
            _ => {
                // Gone before anybody could answer.
                let request = Way::Bearer.present(self.served.request("/mine"), &token).bytes();
                let part = self.random.usize(0..=request.len());
                let stream = self.dial.connect().await.expect("a connection");
                let _ = stream.try_write(&request[..part]);
                net::reset(stream);
            }
        }
    }

    async fn leave(&mut self, open: Open) {
        match (open, self.random.u32(0..4)) {
            (Open::Peer(mut peer), 0) => {
                peer.send_close(1000, "").await;
                peer.reset();
            }
            (Open::Peer(mut peer), 1) => peer.close_fin().await,
            (Open::Peer(peer), _) => peer.reset(),
            (Open::Stream(client), 0) => client.close().await,
            (Open::Stream(client), _) => client.reset(),
        }
    }

    fn opened(&mut self, opened: Result<Peer, Response>) {
        match opened {
            Ok(peer) => {
                self.count(101);
                self.open.push_back(Open::Peer(Box::new(peer)));
            }
            Err(refused) => {
                assert!([429, 503].contains(&refused.status), "{refused:?}");
                self.count(refused.status);
            }
        }
    }

    fn count(&self, status: u16) {
        *self.tally.borrow_mut().entry(status).or_default() += 1;
    }

    fn subject(&mut self) -> &'static str {
        SUBJECTS[self.random.usize(0..SUBJECTS.len())]
    }
}

fn evil(request: Request) -> Request {
    request.header("Origin", "http://evil.example")
}

fn addresses() -> impl Iterator<Item = Ipv4Addr> {
    (1..=4).map(|last| Ipv4Addr::new(127, 0, 0, last))
}

const SUBJECTS: [&str; 8] = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];
const CLIENTS_PER_ADDRESS: usize = 5;
const PER_IP: u32 = 12;
const PER_SUBJECT: u32 = 4;
const CLOSE: Duration = Duration::from_millis(200);
const HANDSHAKES: usize = 100_000;
