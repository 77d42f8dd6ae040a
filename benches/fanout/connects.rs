//! How often clients can come: the part `connects`.

use std::time::Instant;

use crate::{
    chart::{Bar, Chart},
    client::Clients,
    measure::{in_turn, median, spread},
    plan::{Entry, Kind, Plan, TODAY, Transport},
    server::Server,
    table::{Table, ratio},
};

/// Connects per second of the server's time, and of all time.
struct Figures {
    per_cpu: f64,
    per_wall: f64,
}

pub(crate) fn connects(plan: &Plan) {
    let mut chart = Chart::new("Handshakes per second of server CPU, 64 at a time");
    for &transport in &plan.transports {
        let entries = plan.entries(transport, &[Kind::Limit, Kind::Ours, Kind::Rival]);
        let rounds = in_turn(plan, &entries, |entry| run(plan, entry, transport));
        let per_cpu = |rounds: &Vec<Figures>| spread(rounds.iter().map(|it| it.per_cpu));
        let per_cpu: Vec<_> = rounds.iter().map(per_cpu).collect();
        let today = entries.iter().position(|it| it.name == TODAY).map(|it| per_cpu[it].median);
        let mut table = Table::new(&["server", "per s of CPU", "min–max", "× today", "per s"]);
        let mut bars = Vec::new();
        for (nth, entry) in entries.iter().enumerate() {
            let (figure, name) = (per_cpu[nth], entry.label(transport).to_owned());
            table.row(vec![
                name.clone(),
                format!("{:.0}", figure.median),
                format!("{:.0}–{:.0}", figure.least, figure.most),
                ratio(figure.median, today),
                format!("{:.0}", median(rounds[nth].iter().map(|it| it.per_wall))),
            ]);
            let text = format!("{:.0}", figure.median);
            bars.push(Bar { name, kind: entry.kind, figure: figure.median, text });
        }
        println!("\nconnects, {} (medians of {}):", transport.name(), plan.rounds);
        table.print();
        chart.panel(transport.name(), bars);
    }
    chart.write("fanout-connects");
}

fn run(plan: &Plan, entry: Entry, transport: Transport) -> Figures {
    let server = Server::start(entry.name, transport, plan.bytes[0], &plan.under);
    Clients::come_and_go(&server, transport, plan.time / 8);
    let (ran, began) = (server.ran(), Instant::now());
    let count = Clients::come_and_go(&server, transport, plan.time) as f64;
    let (ran, took) = (server.ran() - ran, began.elapsed());
    Figures { per_cpu: count / ran.as_secs_f64(), per_wall: count / took.as_secs_f64() }
}
