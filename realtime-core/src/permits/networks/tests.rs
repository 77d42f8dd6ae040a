#![allow(clippy::disallowed_methods, reason = "a test has a clock")]

use proptest::prelude::*;

use super::*;

fn limits() -> Limits {
    Limits {
        connections_per_ip: 2,
        networks_per_block: 3,
        handshakes_per_ip: Rate::per_second(100).burst(1000),
        ..Limits::default()
    }
}

/// An IPv6 address: a block, a network in it, and a host that counts as that.
fn client(block: u16, network: u16, host: u16) -> ClientIp {
    ClientIp::new([0x2001, 0xdb8, block, network, 0, 0, 0, host].into())
}

fn v4(text: &str) -> ClientIp {
    ClientIp::new(text.parse().unwrap())
}

#[test]
fn a_block_has_so_many_times_what_a_network_has() {
    for (networks, other) in [
        ([client(1, 1, 1), client(1, 2, 1), client(1, 3, 1), client(1, 4, 1)], client(2, 1, 1)),
        (["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"].map(v4), v4("192.0.3.1")),
    ] {
        let mut table = Networks::default();
        let now = Instant::now();
        let mut inside = Vec::new();
        for client in &networks[..3] {
            for _ in 0..2 {
                inside.push((*client, table.enter(*client, &limits(), now).unwrap()));
            }
            let third = table.enter(*client, &limits(), now);
            assert_eq!(third, Err(LimitReached::ConnectionsPerIp { max: 2 }));
        }
        let newcomer = table.enter(networks[3], &limits(), now);
        assert_eq!(newcomer, Err(LimitReached::ConnectionsPerBlock { max: 6 }));
        assert_eq!(table.len(), 3, "who is refused for its block is not entered");
        table.enter(other, &limits(), now).unwrap();
        let (left, counted) = inside.pop().unwrap();
        table.leave(left, counted);
        table.enter(networks[3], &limits(), now).unwrap();
    }
}

#[test]
fn handshakes_of_a_block_are_limited_and_one_network_does_not_use_them_up() {
    let limits = Limits { handshakes_per_ip: Rate::per_second(1).burst(10), ..limits() };
    let mut table = Networks::default();
    let now = Instant::now();
    let mut attempt = |network: u16| {
        let entered = table.enter(client(1, network, 1), &limits, now);
        entered.map(|counted| table.leave(client(1, network, 1), counted)).is_ok()
    };
    assert_eq!((0..1000).filter(|_| attempt(1)).count(), 10);
    // What it was refused is its neighbours' still.
    assert_eq!((2..1000).filter(|network| attempt(*network)).count(), 20);
    assert!(table.len() <= 22, "a block does not fill the table");
    assert!(table.enter(client(2, 1, 1), &limits, now).is_ok());
}

#[test]
fn who_finds_the_table_full_counts_in_its_block() {
    let mut table = Networks::with_room(2, 2);
    let now = Instant::now();
    let in_both = Counted { network: true, block: true };
    let in_block = Counted { network: false, block: true };
    let in_none = Counted { network: false, block: false };
    assert_eq!(table.enter(client(1, 1, 1), &limits(), now), Ok(in_both));
    assert_eq!(table.enter(client(1, 2, 1), &limits(), now), Ok(in_both));
    for _ in 0..4 {
        assert_eq!(table.enter(client(1, 3, 1), &limits(), now), Ok(in_block));
    }
    let refused = table.enter(client(1, 3, 1), &limits(), now);
    assert_eq!(refused, Err(LimitReached::ConnectionsPerBlock { max: 6 }));
    assert_eq!(table.enter(client(2, 1, 1), &limits(), now), Ok(in_block));
    assert_eq!(table.enter(client(3, 1, 1), &limits(), now), Ok(in_none));
    // Room again: the buckets are full, and those that have left are gone.
    table.leave(client(1, 1, 1), in_both);
    table.leave(client(2, 1, 1), in_block);
    let later = now + Duration::from_secs(10);
    assert_eq!(table.enter(client(3, 1, 1), &limits(), later), Ok(in_both));
    table.leave(client(3, 1, 1), in_none);
    table.leave(client(1, 3, 1), in_block);
    assert_eq!(table.networks.by_address[&client(3, 1, 1).network()].connections, 1);
    assert_eq!(table.blocks.by_address[&client(1, 1, 1).block()].connections, 4);
    assert_eq!(table.blocks.by_address[&client(3, 1, 1).block()].connections, 1);
}

proptest! {
    /// Against a list of who is inside and where each was counted.
    #[test]
    fn counts_are_those_of_who_is_inside(
        steps in proptest::collection::vec((0_u8..5, 0_u16..4, 0_u16..4, 0_u16..2), 0..300)
    ) {
        let mut table = Networks::with_room(4, 2);
        let limits = limits();
        let mut now = Instant::now();
        let mut inside: Vec<(ClientIp, Counted)> = Vec::new();
        for (kind, block, network, host) in steps {
            let client = client(block, network, host);
            match kind {
                0..=2 => {
                    let of_network = inside.iter()
                        .filter(|(it, counted)| counted.network && it.network() == client.network());
                    let of_block = inside.iter()
                        .filter(|(it, counted)| counted.block && it.block() == client.block());
                    let expected = if of_network.count() == 2 {
                        Some(LimitReached::ConnectionsPerIp { max: 2 })
                    } else if of_block.count() == 6 {
                        Some(LimitReached::ConnectionsPerBlock { max: 6 })
                    } else {
                        None
                    };
                    let was_known = table.networks.by_address.contains_key(&client.network());
                    let entered = table.enter(client, &limits, now);
                    prop_assert_eq!(entered.err(), expected);
                    if let Ok(counted) = entered {
                        prop_assert!(counted.network || !was_known);
                        prop_assert!(counted.network || table.networks.by_address.len() == 4);
                        prop_assert!(counted.block || table.blocks.by_address.len() == 2);
                        inside.push((client, counted));
                    }
                }
                3 if !inside.is_empty() => {
                    let (client, counted) = inside.swap_remove(usize::from(network) % inside.len());
                    table.leave(client, counted);
                }
                _ => now += Duration::from_secs(4),
            }
            prop_assert!(table.networks.by_address.len() <= 4 && table.blocks.by_address.len() <= 2);
            for (address, entry) in &table.networks.by_address {
                let there = inside.iter()
                    .filter(|(it, counted)| counted.network && it.network() == *address);
                prop_assert_eq!(entry.connections as usize, there.count());
            }
            for (address, entry) in &table.blocks.by_address {
                let there = inside.iter()
                    .filter(|(it, counted)| counted.block && it.block() == *address);
                prop_assert_eq!(entry.connections as usize, there.count());
            }
            for (client, counted) in &inside {
                let network = table.networks.by_address.contains_key(&client.network());
                let block = table.blocks.by_address.contains_key(&client.block());
                prop_assert!((network || !counted.network) && (block || !counted.block));
            }
        }
        for (client, counted) in inside.drain(..) {
            table.leave(client, counted);
        }
        // Quiet for as long as buckets take to fill: whoever comes finds the tables empty.
        now += Duration::from_secs(10);
        for block in 100..102 {
            for network in 0..2 {
                let counted = table.enter(client(block, network, 0), &limits, now).unwrap();
                prop_assert_eq!(counted, Counted { network: true, block: true });
            }
        }
    }
}
