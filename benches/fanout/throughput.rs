//! How many deliveries a server makes in a second of its core.

use std::time::{Duration, Instant};

use crate::{
    client::Clients,
    measure::{Spread, spread},
    plan::{Entry, LIMIT, Plan, SINGLE, TODAY, Transport},
    server::Server,
    table::{Table, ratio},
};

/// What a run is made of.
#[derive(Clone, Copy)]
struct Setting {
    transport: Transport,
    clients: usize,
    bytes: usize,
    window: u64,
}

/// Million deliveries per second of the server's time, and of all time.
struct Figures {
    per_cpu: f64,
    per_wall: f64,
    load: f64,
}

pub(crate) fn measure(plan: &Plan) {
    for &transport in &plan.transports {
        for &clients in &plan.clients {
            for &bytes in &plan.bytes {
                for &window in &plan.windows {
                    compare(plan, Setting { transport, clients, bytes, window });
                }
            }
        }
    }
}

fn compare(plan: &Plan, setting: Setting) {
    let entries = plan.entries(setting.transport);
    let mut rounds: Vec<Vec<Figures>> = entries.iter().map(|_| Vec::new()).collect();
    for _ in 0..plan.rounds {
        for (entry, figures) in entries.iter().zip(&mut rounds) {
            figures.push(run(plan, *entry, setting));
        }
    }
    let per_cpu: Vec<_> = rounds.iter().map(|it| spread(it.iter().map(|it| it.per_cpu))).collect();
    let of = |name| {
        let place = entries.iter().position(|it: &Entry| it.name == name)?;
        Some(per_cpu[place].median)
    };
    let (limit, single, today) = (of(LIMIT), of(SINGLE), of(TODAY));
    println!(
        "\nthroughput, {}, {} clients, {} B, {} in flight (million deliveries; medians of {}):",
        setting.transport.name(),
        setting.clients,
        setting.bytes,
        setting.window,
        plan.rounds
    );
    let mut table = Table::new(&[
        "server",
        "per s of CPU",
        "min–max",
        "per s",
        "CPU s per M",
        "load",
        "of limit",
        "of single",
        "× today",
    ]);
    for ((entry, figures), per_cpu) in entries.iter().zip(&rounds).zip(&per_cpu) {
        let Spread { median, least, most } = *per_cpu;
        let per_wall = spread(figures.iter().map(|it| it.per_wall)).median;
        let load = spread(figures.iter().map(|it| it.load)).median;
        table.row(vec![
            entry.label(setting.transport).to_owned(),
            format!("{median:.3}"),
            format!("{least:.2}–{most:.2}"),
            format!("{per_wall:.3}"),
            format!("{:.4}", 1.0 / median),
            format!("{load:.2}"),
            ratio(median, limit),
            ratio(median, single),
            ratio(median, today),
        ]);
    }
    table.print();
}

fn run(plan: &Plan, entry: Entry, setting: Setting) -> Figures {
    let Setting { transport, clients, bytes, window } = setting;
    let mut server = Server::start(entry.name, transport, bytes, &plan.under);
    let mut clients = Clients::connect(&mut server, transport, clients);
    clients.pump(&mut server, window, plan.time / 8, &mut |_| {});
    let (ran, began) = (server.ran(), Instant::now());
    let deliveries = clients.pump(&mut server, window, plan.time, &mut |_| {});
    let (ran, took) = (server.ran() - ran, began.elapsed());
    drop(server);
    let millions = deliveries as f64 / 1e6;
    let seconds = |time: Duration| time.as_secs_f64().max(1e-9);
    Figures {
        per_cpu: millions / seconds(ran),
        per_wall: millions / seconds(took),
        load: seconds(ran) / seconds(took),
    }
}
