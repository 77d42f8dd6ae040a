#![allow(clippy::disallowed_methods, reason = "a test has a clock")]

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::atomic::AtomicUsize,
    task::{Context, Poll, Wake, Waker},
};

use proptest::prelude::*;

use super::{subjects::SubjectPermit, *};
use crate::rate::Rate;

fn permits() -> Arc<Permits> {
    Arc::new(Permits::new(Arc::default()))
}

fn limits() -> Limits {
    Limits {
        connections: 4,
        connections_per_ip: 2,
        handshakes_per_ip: Rate::per_second(10).burst(100),
        ..Limits::default()
    }
}

fn address(last: u8) -> Option<ClientIp> {
    Some(ClientIp::new(Ipv4Addr::new(192, 0, 2, last).into()))
}

fn establish(permits: &Arc<Permits>, subject: &str) -> SubjectPermit {
    permits.watch().establish(subject, 64).unwrap()
}

#[test]
fn permits_come_back_on_drop() {
    let permits = permits();
    let now = Instant::now();
    let limits = limits();
    let one = permits.admit(Transport::Sse, address(1), &limits, now).unwrap();
    let _two = permits.admit(Transport::WebSocket, address(1), &limits, now).unwrap();
    let third = permits.admit(Transport::Sse, address(1), &limits, now);
    assert_eq!(third.unwrap_err(), LimitReached::ConnectionsPerIp { max: 2 });
    let _other = permits.admit(Transport::Sse, address(2), &limits, now).unwrap();
    let _unknown = permits.admit(Transport::Sse, None, &limits, now).unwrap();
    let fifth = permits.admit(Transport::Sse, address(2), &limits, now);
    assert_eq!(fifth.unwrap_err(), LimitReached::Connections { max: 4 });
    drop(one);
    assert_eq!(permits.counters.connections_sse.load(Ordering::Relaxed), 2);
    assert_eq!(permits.counters.connections_websocket.load(Ordering::Relaxed), 1);
    assert!(permits.admit(Transport::Sse, address(1), &limits, now).is_ok());
}

#[test]
fn handshakes_of_one_network_do_not_use_up_anothers() {
    let permits = permits();
    let now = Instant::now();
    let limits = limits();
    for _ in 0..100 {
        drop(permits.admit(Transport::Sse, address(1), &limits, now).unwrap());
    }
    for millis in [0, 50, 99] {
        let refused =
            permits.admit(Transport::Sse, address(1), &limits, now + Duration::from_millis(millis));
        let retry_after = Duration::from_millis(100 - millis);
        assert_eq!(refused.unwrap_err(), LimitReached::Handshakes { retry_after });
    }
    assert!(permits.admit(Transport::Sse, address(2), &limits, now).is_ok());
    assert!(permits.admit(Transport::Sse, None, &limits, now).is_ok());
    let later = now + Duration::from_millis(100);
    assert!(permits.admit(Transport::Sse, address(1), &limits, later).is_ok());
}

#[test]
fn networks_are_forgotten_once_they_are_quiet() {
    let permits = permits();
    let now = Instant::now();
    let limits = limits();
    let kept = permits.admit(Transport::Sse, address(1), &limits, now).unwrap();
    let network = |n: u32| Some(ClientIp::new(IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + n))));
    for n in 0..5000 {
        drop(permits.admit(Transport::Sse, network(n), &limits, now).unwrap());
    }
    assert_eq!(lock(&permits.networks).len(), 5001, "their buckets are not full again");
    let later = now + Duration::from_secs(10);
    for n in 5000..12_000 {
        drop(permits.admit(Transport::Sse, network(n), &limits, later).unwrap());
    }
    assert!(lock(&permits.networks).len() < 8000, "{}", lock(&permits.networks).len());
    assert_eq!(lock(&permits.networks).connections(), 1);
    drop(kept);
    assert_eq!(lock(&permits.networks).connections(), 0);
}

#[test]
fn more_networks_than_can_be_remembered_take_no_memory_and_keep_nobody_out() {
    let permits = permits();
    let now = Instant::now();
    let limits = Limits { connections: 10, ..limits() };
    // Each in a block of its own, of which fewer are remembered than of networks.
    let client = |n: u32| Some(ClientIp::new(IpAddr::from(Ipv4Addr::from_bits(n.rotate_left(8)))));
    for n in 0..70_000 {
        drop(permits.admit(Transport::Sse, client(n), &limits, now).unwrap());
    }
    assert_eq!(lock(&permits.networks).len(), 65_536);
    // Who is not remembered is not counted, and neither when it leaves.
    let uncounted: Vec<_> = (0..5)
        .map(|_| permits.admit(Transport::Sse, client(70_001), &limits, now).unwrap())
        .collect();
    let later = now + Duration::from_secs(10);
    let counted = permits.admit(Transport::Sse, client(70_001), &limits, later).unwrap();
    assert_eq!(lock(&permits.networks).len(), 1, "the others' buckets are full again");
    drop(uncounted);
    assert_eq!(lock(&permits.networks).connections(), 1);
    drop(counted);
    assert_eq!(permits.counters.connections.load(Ordering::Relaxed), 0);
}

#[test]
fn sockets_are_limited_in_all_by_network_and_by_block() {
    let permits = permits();
    // In all 4 + 16, of an address 2 + 3, of a block three times as many.
    let limits =
        Limits { spare_sockets: 16, spare_sockets_per_ip: 3, networks_per_block: 3, ..limits() };
    let mut held: Vec<_> =
        (0..5).map(|_| permits.take_socket(address(1), &limits).unwrap()).collect();
    let one_more = permits.take_socket(address(1), &limits).unwrap_err();
    assert_eq!(one_more, LimitReached::SocketsPerIp { max: 5 });
    for last in [2, 3] {
        held.extend((0..5).map(|_| permits.take_socket(address(last), &limits).unwrap()));
    }
    let of_block = permits.take_socket(address(4), &limits).unwrap_err();
    assert_eq!(of_block, LimitReached::SocketsPerIp { max: 15 });
    // A proxy's are limited in all.
    held.extend((0..5).map(|_| permits.take_socket(None, &limits).unwrap()));
    let elsewhere = Some(ClientIp::new(Ipv4Addr::new(198, 51, 100, 1).into()));
    for client in [None, elsewhere] {
        let refused = permits.take_socket(client, &limits).unwrap_err();
        assert_eq!(refused, LimitReached::Sockets { max: 20 });
    }
    assert_eq!(permits.counters.sockets_refused.load(Ordering::Relaxed), 4);
    drop(held.remove(0));
    held.push(permits.take_socket(address(1), &limits).unwrap());
    assert_eq!((permits.sockets(), lock(&permits.sockets).addresses()), (20, 4));
    drop(held);
    assert_eq!((permits.sockets(), lock(&permits.sockets).addresses()), (0, 0));
}

#[test]
fn the_room_of_a_storm_is_given_back_while_some_stay() {
    let permits = permits();
    let limits = Limits { spare_sockets: 100_000, ..limits() };
    let connect = |nth: u32| {
        let client = ClientIp::new(Ipv4Addr::from_bits(0x0a00_0000 + (nth << 8)).into());
        let socket = permits.take_socket(Some(client), &limits).unwrap();
        (socket, establish(&permits, &nth.to_string()))
    };
    let mut held: Vec<_> = (0..20_000).map(connect).collect();
    assert!(lock(&permits.sockets).room() >= 20_000);
    assert!(lock(&permits.subjects).room() >= 20_000);
    held.truncate(100);
    let most = 2 * ROOM_FLOOR;
    let room = (lock(&permits.sockets).room(), lock(&permits.subjects).room());
    assert!(room.0 <= most && room.1 <= most, "{room:?}");
    assert_eq!((permits.sockets(), permits.subjects()), (100, 100), "who stays, counts");
}

#[test]
fn an_identity_has_so_many_connections_and_no_more() {
    let permits = permits();
    let one = permits.watch().establish("alice", 2).unwrap();
    let _two = permits.watch().establish("alice", 2).unwrap();
    let third = permits.watch().establish("alice", 2).unwrap_err();
    assert_eq!(third, NotEstablished::Limit(LimitReached::ConnectionsPerSubject { max: 2 }));
    assert!(permits.watch().establish("bob", 2).is_ok());
    drop(one);
    assert!(permits.watch().establish("alice", 2).is_ok());
    assert_eq!(permits.subjects(), 1);
}

#[test]
fn revoking_wakes_every_connection_of_the_subject_and_no_other() {
    let permits = permits();
    let alice = [establish(&permits, "alice"), establish(&permits, "alice")];
    let bob = establish(&permits, "bob");
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let cx = Context::from_waker(&waker);
    for permit in alice.iter().chain([&bob]) {
        assert!(permit.poll_revoked(&cx).is_pending());
    }
    assert_eq!(permits.revoke("alice", &"logged out".into()), 2);
    assert_eq!(permits.revoke("nobody", &"".into()), 0);
    assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    for permit in &alice {
        assert_eq!(permit.poll_revoked(&cx), Poll::Ready("logged out".into()));
    }
    assert!(bob.poll_revoked(&cx).is_pending());
    assert_eq!(permits.revoke("alice", &"again".into()), 2);
    assert_eq!(alice[0].poll_revoked(&cx), Poll::Ready("logged out".into()), "the first reason");
    drop((alice, bob));
    assert_eq!(permits.subjects(), 0);
}

#[test]
fn what_is_revoked_while_it_is_checked_is_not_established() {
    let permits = permits();
    let (alice, bob, late) = (permits.watch(), permits.watch(), permits.watch());
    permits.revoke("alice", &"".into());
    assert_eq!(alice.establish("alice", 1).unwrap_err(), NotEstablished::Revoked);
    assert!(bob.establish("bob", 1).is_ok());
    assert!(permits.watch().establish("alice", 1).is_ok(), "checked since");
    // More revocations than are remembered: who may have been among them starts anew.
    for _ in 0..2000 {
        permits.revoke("carol", &"".into());
    }
    assert_eq!(late.establish("dave", 1).unwrap_err(), NotEstablished::TooOld);
    assert!(permits.watch().establish("dave", 1).is_ok());
}

proptest! {
    #[test]
    fn nothing_is_left_when_all_have_gone(steps in proptest::collection::vec((0_u8..4, 0_u8..3, 0_u8..3), 0..200)) {
        let permits = permits();
        let limits = limits();
        let now = Instant::now();
        let mut held = Vec::new();
        let mut principals = Vec::new();
        for (kind, network, subject) in steps {
            let subject = ["alice", "bob", "carol"][usize::from(subject)];
            match kind {
                0 => held.extend(permits.admit(Transport::Sse, address(network), &limits, now)),
                1 if !held.is_empty() => { held.swap_remove(usize::from(network) % held.len()); }
                2 => principals.extend(permits.watch().establish(subject, 3)),
                3 if !principals.is_empty() => {
                    permits.revoke(subject, &"".into());
                    principals.swap_remove(usize::from(network) % principals.len());
                }
                _ => {}
            }
            prop_assert_eq!(lock(&permits.networks).connections() as usize, held.len());
            prop_assert_eq!(permits.counters.connections.load(Ordering::Relaxed) as usize, held.len());
        }
        drop((held, principals));
        prop_assert_eq!(lock(&permits.networks).connections(), 0);
        prop_assert_eq!(permits.counters.connections.load(Ordering::Relaxed), 0);
        prop_assert_eq!(permits.subjects(), 0);
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
