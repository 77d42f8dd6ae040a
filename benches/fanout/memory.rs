//! What an open connection takes in the server's memory: the part `memory`.

use std::{thread::sleep, time::Duration};

use crate::{
    chart::{Bar, Chart},
    client::Clients,
    measure::{in_turn, median},
    plan::{Entry, Kind, Plan, Transport},
    server::Server,
    table::Table,
};

/// Connections.
pub(crate) const OPEN: usize = 10_000;

/// For what a server does after it has answered.
const SETTLING: Duration = Duration::from_millis(300);

/// Kibibytes of each connection when all have just come and after they have been sent something; MiB
/// that are left when all have gone.
struct Figures {
    idle: f64,
    used: f64,
    left: f64,
}

pub(crate) fn memory(plan: &Plan) {
    let mut chart = Chart::new("Resident memory of the server for each idle connection");
    // Memory is steady.
    let plan = Plan { rounds: plan.rounds.min(3), ..plan.clone() };
    for &transport in &plan.transports {
        let kinds = [Kind::Limit, Kind::Ours, Kind::Rival, Kind::Floor];
        let entries = plan.entries(transport, &kinds);
        let open = plan.clients_or(OPEN);
        let rounds = in_turn(&plan, &entries, |entry| run(&plan, entry, transport, open));
        let mut table = Table::new(&["server", "idle, KiB", "after 64 messages", "left, MiB"]);
        let mut bars = Vec::new();
        for (entry, rounds) in entries.iter().zip(&rounds) {
            let name = entry.label(transport).to_owned();
            let idle = median(rounds.iter().map(|it| it.idle));
            let used = median(rounds.iter().map(|it| it.used));
            let left = median(rounds.iter().map(|it| it.left));
            let cells = [format!("{idle:.2}"), format!("{used:.2}"), format!("{left:.1}")];
            table.row([name.clone()].into_iter().chain(cells).collect());
            let text = format!("{idle:.1} KiB");
            bars.push(Bar { name, kind: entry.kind, figure: idle, text });
        }
        let title = format!("{}, {open} connections", transport.name());
        println!("\nmemory of each, {title} (medians of {}):", plan.rounds);
        table.print();
        chart.panel(title, bars);
    }
    chart.write("fanout-memory");
}

fn run(plan: &Plan, entry: Entry, transport: Transport, open: usize) -> Figures {
    let mut server = Server::start(entry.name, transport, plan.bytes[0], &plan.under);
    let settling = if plan.is_quick { SETTLING / 10 } else { SETTLING };
    // What the first connection sets up is no connection's.
    drop(Clients::connect(&server, transport, 1));
    sleep(settling);
    let before = server.resident();
    let mut clients = Clients::connect(&server, transport, open);
    sleep(settling);
    let each = |resident: f64| (resident - before) / open as f64 / 1024.0;
    let idle = each(server.resident());
    if entry.kind != Kind::Floor {
        clients.pump(&mut server, 64, Duration::ZERO, &mut |_| {});
        sleep(settling);
    }
    let used = each(server.resident());
    drop(clients);
    sleep(settling * 5);
    Figures { idle, used, left: (server.resident() - before) / 1024.0 / 1024.0 }
}
