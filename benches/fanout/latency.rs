//! How long a message takes from the call that publishes it until a client has read it, where one is
//! published now and then: the part `latency`.

use std::{collections::HashMap, time::Duration};

use crate::{
    chart::{Bar, Chart},
    client::{Clients, Reading},
    measure::{in_turn, median, of},
    plan::{Entry, Kind, LIMIT, Plan, Transport},
    server::{DIGITS, MARK, Server, now},
    table::{Table, ratio},
};

/// Between two messages: 20 a second.
const PERIOD: Duration = Duration::from_millis(50);

/// Messages that are not counted: buffers and caches get warm.
const WARMING: u64 = 5;

/// The parts of the deliveries that are at most so late.
const PERCENTILES: [f64; 3] = [0.5, 0.99, 0.999];

pub(crate) fn latency(plan: &Plan) {
    let mut chart = Chart::new("From publish to the client's read, 20 messages per second, p99");
    for &transport in &plan.transports {
        let entries = plan.entries(transport, &[Kind::Limit, Kind::Ours, Kind::Rival]);
        let clients = plan.clients_or(1000);
        let rounds = in_turn(plan, &entries, |entry| run(plan, entry, transport, clients));
        let at = |nth: usize| -> Vec<f64> {
            rounds.iter().map(|it| median(it.iter().map(|late| late[nth]))).collect()
        };
        let late: Vec<_> = (0..PERCENTILES.len()).map(at).collect();
        let limit: Vec<_> = late.iter().map(|it| of(LIMIT, &entries, it)).collect();
        let mut table = Table::new(&[
            "server",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "× limit at p50",
            "at p99",
            "at p99.9",
        ]);
        let mut bars = Vec::new();
        for (nth, entry) in entries.iter().enumerate() {
            let name = entry.label(transport).to_owned();
            let figures = late.iter().map(|it| format!("{:.3}", it[nth]));
            let ratios = late.iter().zip(&limit).map(|(it, limit)| ratio(it[nth], *limit));
            table.row([name.clone()].into_iter().chain(figures).chain(ratios).collect());
            let text =
                format!("{:.2} ms ({} × the limit)", late[1][nth], ratio(late[1][nth], limit[1]));
            bars.push(Bar { name, kind: entry.kind, figure: late[1][nth], text });
        }
        let title = format!("{}, {clients} clients, {} B", transport.name(), plan.bytes[0]);
        println!("\nlatency, {title} (medians of {}):", plan.rounds);
        table.print();
        chart.panel(title, bars);
    }
    chart.write("fanout-latency");
}

/// How late deliveries were at each of the percentiles, in milliseconds.
fn run(plan: &Plan, entry: Entry, transport: Transport, clients: usize) -> [f64; 3] {
    let mut server = Server::start(entry.name, transport, plan.bytes[0], &plan.under);
    let mut clients = Clients::connect(&server, transport, clients);
    clients.pump(&mut server, 1, Duration::ZERO, &mut |_| {});
    clients.pace(&mut server, WARMING, PERIOD, &mut |_| {});
    let count = (plan.time.as_secs_f64() / PERIOD.as_secs_f64()).ceil() as u64;
    // When each message was published, and who read which when.
    let (mut published, mut read) = (HashMap::new(), Vec::new());
    clients.pace(&mut server, count, PERIOD, &mut |reading: &Reading<'_>| {
        let now = now();
        let (before, after) = reading.received;
        // Where a message has come in parts, another client tells.
        let times: Vec<_> = times(reading.bytes).collect();
        if times.len() as u64 == after - before {
            published.extend((before + 1..=after).zip(times));
        }
        read.extend((before + 1..=after).map(|message| (message, now)));
    });
    drop(server);
    let late = read.iter().map(|(message, at)| {
        let published = published.get(message).expect("somebody read it whole");
        at.checked_sub(*published).expect("it was published before")
    });
    let mut late: Vec<_> = late.collect();
    late.sort_unstable();
    PERCENTILES.map(|part| late[((late.len() - 1) as f64 * part) as usize] as f64 / 1e6)
}

/// When the messages that begin in these bytes were published.
fn times(bytes: &[u8]) -> impl Iterator<Item = u64> {
    memchr::memchr_iter(MARK, bytes).filter_map(|mark| {
        let digits = bytes.get(mark + 1..mark + 1 + DIGITS)?;
        str::from_utf8(digits).ok()?.parse().ok()
    })
}
