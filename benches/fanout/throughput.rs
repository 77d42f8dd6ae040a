//! How many deliveries a server makes in a second of its core: the parts `throughput`, `guards` and
//! `slow`.

use std::time::{Duration, Instant};

use crate::{
    chart::{Bar, Chart},
    client::{Clients, Reading},
    measure::{Spread, in_turn, median, of, spread},
    plan::{Entry, Kind, LIMIT, Plan, SINGLE, TODAY, Transport},
    server::{END_MARK, Server},
    table::{Table, ratio},
};

/// Of how many clients one stalls in the part `slow`.
const STALLED: usize = 10;

/// Bytes that fill a socket which nobody reads: the kernel lets it grow to 4 MiB.
const FULL: usize = 6 * 1024 * 1024;

/// What a run is made of.
#[derive(Clone, Copy)]
struct Setting {
    transport: Transport,
    clients: usize,
    stalled: usize,
    bytes: usize,
    window: u64,
}

impl Setting {
    fn title(&self) -> String {
        let Self { transport, clients, bytes, window, .. } = self;
        format!("{}, {clients} clients, {bytes} B, {window} in flight", transport.name())
    }
}

/// Million deliveries per second of the server's time, and of all time; how much of it the server ran.
struct Figures {
    per_cpu: f64,
    per_wall: f64,
    load: f64,
}

fn medians(rounds: &[Vec<Figures>], of: impl Fn(&Figures) -> f64) -> Vec<f64> {
    rounds.iter().map(|it| median(it.iter().map(&of))).collect()
}

/// Everybody, in all settings.
pub(crate) fn throughput(plan: &Plan) {
    let mut chart = Chart::new("Million deliveries per second of server CPU, one thread");
    for &transport in &plan.transports {
        for clients in plan.crowds() {
            for &bytes in &plan.bytes {
                for &window in &plan.windows {
                    let setting = Setting { transport, clients, stalled: 0, bytes, window };
                    compare(plan, setting, &mut chart);
                }
            }
        }
    }
    chart.write("fanout-throughput");
}

fn compare(plan: &Plan, setting: Setting, chart: &mut Chart) {
    let entries = plan.entries(setting.transport, &[Kind::Limit, Kind::Ours, Kind::Rival]);
    let rounds = in_turn(plan, &entries, |entry| run(plan, entry, setting));
    let per_cpu = medians(&rounds, |it| it.per_cpu);
    let (per_wall, load) = (medians(&rounds, |it| it.per_wall), medians(&rounds, |it| it.load));
    let [limit, single, today] = [LIMIT, SINGLE, TODAY].map(|it| of(it, &entries, &per_cpu));
    let mut table = Table::new(&[
        "server",
        "M/s of CPU",
        "min–max",
        "of limit",
        "of single",
        "× today",
        "CPU s per M",
        "M/s",
        "load",
    ]);
    let mut bars = Vec::new();
    for (nth, entry) in entries.iter().enumerate() {
        let figure = per_cpu[nth];
        let spread = spread(rounds[nth].iter().map(|it| it.per_cpu));
        let name = entry.label(setting.transport).to_owned();
        table.row(vec![
            name.clone(),
            format!("{figure:.3}"),
            format!("{:.2}–{:.2}", spread.least, spread.most),
            ratio(figure, limit),
            ratio(figure, single),
            ratio(figure, today),
            format!("{:.4}", 1.0 / figure),
            format!("{:.3}", per_wall[nth]),
            format!("{:.2}", load[nth]),
        ]);
        let text = format!("{figure:.2} ({} of the limit)", ratio(figure, limit));
        bars.push(Bar { name, kind: entry.kind, figure, text });
    }
    println!("\nthroughput, {} (million deliveries; medians of {}):", setting.title(), plan.rounds);
    table.print();
    chart.panel(setting.title(), bars);
}

/// Ours, with everything on and off.
pub(crate) fn guards(plan: &Plan) {
    let mut chart = Chart::new("Million deliveries per second of server CPU, guards on and off");
    // The difference is small: as many rounds again.
    let plan = Plan { rounds: plan.rounds * 2 - 1, ..plan.clone() };
    for &transport in &plan.transports {
        let mut entries = plan.entries(transport, &[Kind::Ours, Kind::Bare]);
        // Each next to what it is compared with.
        entries.sort_by_key(|it| it.name);
        let (clients, bytes) = (plan.clients_or(1000), plan.bytes[0]);
        for &window in &plan.windows {
            let setting = Setting { transport, clients, stalled: 0, bytes, window };
            let rounds = in_turn(&plan, &entries, |entry| run(&plan, entry, setting));
            let per_cpu = medians(&rounds, |it| it.per_cpu);
            let mut table = Table::new(&["server", "M/s of CPU", "min–max", "of guards off"]);
            let mut bars = Vec::new();
            for (nth, entry) in entries.iter().enumerate() {
                let of_all = spread(rounds[nth].iter().map(|it| it.per_cpu));
                let bare = entries.iter().position(|it| it.name == format!("{}-bare", entry.name));
                let figure = per_cpu[nth];
                let share = bare.map_or_else(String::new, |bare| {
                    let pairs = rounds[nth].iter().zip(&rounds[bare]);
                    let Spread { median, least, most } =
                        spread(pairs.map(|(on, off)| on.per_cpu / off.per_cpu));
                    format!("{median:.3} ({least:.2}–{most:.2})")
                });
                let name = entry.label(transport).to_owned();
                table.row(vec![
                    name.clone(),
                    format!("{figure:.3}"),
                    format!("{:.2}–{:.2}", of_all.least, of_all.most),
                    share,
                ]);
                bars.push(Bar { name, kind: entry.kind, figure, text: format!("{figure:.2}") });
            }
            println!("\nguards, {} (medians of {}):", setting.title(), plan.rounds);
            table.print();
            chart.panel(setting.title(), bars);
        }
    }
    chart.write("fanout-guards");
}

/// All clients but one in ten, and those with the tenth that reads nothing.
pub(crate) fn slow(plan: &Plan) {
    let mut chart = Chart::new("Deliveries to who reads, a tenth beside that reads nothing");
    for &transport in &plan.transports {
        let entries = plan.entries(transport, &[Kind::Limit, Kind::Ours, Kind::Rival]);
        // Large messages fill who stalls before the measuring begins.
        let (clients, bytes) = (plan.clients_or(1000), plan.bytes[plan.bytes.len() - 1]);
        let stalled = clients / STALLED;
        let setting = Setting { transport, clients, stalled, bytes, window: plan.windows[0] };
        let alone = Setting { clients: clients - stalled, stalled: 0, ..setting };
        let rounds = in_turn(plan, &entries, |it| (run(plan, it, alone), run(plan, it, setting)));
        let mut table = Table::new(&[
            "server",
            "alone, M/s of CPU",
            "beside",
            "min–max",
            "ratio",
            "alone, M/s",
            "beside",
            "ratio",
        ]);
        let mut bars = Vec::new();
        for (entry, rounds) in entries.iter().zip(&rounds) {
            let alone = median(rounds.iter().map(|(it, _)| it.per_cpu));
            let beside = spread(rounds.iter().map(|(_, it)| it.per_cpu));
            let alone_wall = median(rounds.iter().map(|(it, _)| it.per_wall));
            let beside_wall = median(rounds.iter().map(|(_, it)| it.per_wall));
            let name = entry.label(transport).to_owned();
            let share = ratio(beside.median, Some(alone));
            table.row(vec![
                name.clone(),
                format!("{alone:.3}"),
                format!("{:.3}", beside.median),
                format!("{:.2}–{:.2}", beside.least, beside.most),
                share.clone(),
                format!("{alone_wall:.3}"),
                format!("{beside_wall:.3}"),
                ratio(beside_wall, Some(alone_wall)),
            ]);
            let text = format!("{:.2} M/s of CPU ({share} of alone)", beside.median);
            bars.push(Bar { name, kind: entry.kind, figure: beside.median, text });
        }
        println!(
            "\nslow, {}, {stalled} of them read nothing; deliveries to the others (medians of {}):",
            setting.title(),
            plan.rounds
        );
        table.print();
        chart.panel(setting.title(), bars);
    }
    chart.write("fanout-slow");
}

fn run(plan: &Plan, entry: Entry, setting: Setting) -> Figures {
    let Setting { transport, clients, stalled, bytes, window } = setting;
    let mut server = Server::start(entry.name, transport, bytes, &plan.under);
    let mut clients = Clients::connect(&server, transport, clients);
    // Who follows is to be there.
    clients.pump(&mut server, 1, Duration::ZERO, &mut |_| {});
    clients.stall(stalled);
    let mut marks = 0;
    let mut count = |reading: &Reading<'_>| {
        marks += memchr::memchr_iter(END_MARK, reading.bytes).count() as u64;
    };
    if plan.is_quick {
        let deliveries = clients.pump(&mut server, window, plan.time / 8, &mut count);
        assert_eq!(marks, deliveries, "messages are to have come whole");
    } else {
        clients.pump(&mut server, window, plan.time / 8, &mut |_| {});
    }
    // Who stalls is to have no room left, as far as the server is fast enough for that.
    let (mut filled, filling) = (0, Instant::now());
    while stalled > 0 && filled < FULL && filling.elapsed() < plan.time * 6 {
        let deliveries = clients.pump(&mut server, window, plan.time / 8, &mut |_| {});
        filled += deliveries as usize / (setting.clients - stalled) * bytes;
    }
    let (ran, began) = (server.ran(), Instant::now());
    let deliveries = clients.pump(&mut server, window, plan.time, &mut |_| {});
    let (ran, took) = (server.ran() - ran, began.elapsed());
    drop(server);
    let millions = deliveries as f64 / 1e6;
    let (ran, took) = (ran.as_secs_f64(), took.as_secs_f64());
    Figures { per_cpu: millions / ran, per_wall: millions / took, load: ran / took }
}
