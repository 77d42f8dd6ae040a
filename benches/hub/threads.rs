//! Readers on several threads at once: what waiting for locks costs.
//!
//! A window of events is published, and then all readers are let go at once, each thread with its share of
//! the subscriptions, until all have all; then comes the next window. So each reads the same batches
//! however many threads there are. That threads have to be let go costs something, too: a row for itself.

use std::{
    cell::Cell,
    hint::black_box,
    num::NonZero,
    rc::Rc,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use realtime::{Event, Hub, ws::Format};
use rustix::{
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};
use tokio::sync::broadcast;

use crate::{
    cases::Cases,
    figures::{
        chart::{Bar, Kind},
        table::{Table, ratio},
    },
    ours::{Subscriptions, TEXT, TOPIC, publish, waker},
    publish::{BROADCAST, CAPACITY},
    receivers::Receivers,
    streams::{self, Streams},
};

const SUBSCRIBERS: usize = 1_000;
const THREADS: [usize; 3] = [1, 2, 16];

const WINDOW: usize = 16;

/// A frame's head, and the text.
const FRAME: usize = 2 + TEXT.len();

/// What the readers do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Events,
    Frames,
    Broadcast,
    /// Nobody reads.
    Nothing,
}

/// Events that are delivered each second.
#[derive(Clone, Copy)]
struct Rates {
    of_wall: f64,
    of_cpu: f64,
}

/// All subscriptions of one thread take what is there. Returns how much it was.
type Sweep = Box<dyn FnMut() -> usize>;

pub(crate) fn measure(cases: &mut Cases) {
    let name = format!("{SUBSCRIBERS} readers on threads");
    if !cases.options().wants(&name) {
        return;
    }
    let (rounds, windows) = if cases.options().is_quick { (1, 4) } else { (9, 300) };
    let ways = [
        (Way::Events, "realtime", Kind::Ours),
        (Way::Frames, "realtime, encoded", Kind::Bare),
        (Way::Broadcast, BROADCAST, Kind::Rival),
        (Way::Nothing, "as if, when nobody reads", Kind::Limit),
    ];
    let mut table = Table::new(&[
        "million deliveries per second",
        "of wall",
        "of CPU",
        "cores busy",
        "of CPU, × 1 thread",
        "of CPU, × broadcast",
    ]);
    let mut bars = Vec::new();
    let mut alone = [None; 4];
    for threads in THREADS {
        let mut measured = ways.map(|_| Vec::new());
        for _ in 0..rounds {
            for ((way, ..), measured) in ways.iter().zip(&mut measured) {
                measured.push(run(*way, threads, windows));
            }
        }
        let medians = measured.map(|rates| Rates {
            of_wall: median(rates.iter().map(|it| it.of_wall)),
            of_cpu: median(rates.iter().map(|it| it.of_cpu)),
        });
        for (nth, (_, who, kind)) in ways.into_iter().enumerate() {
            let Rates { of_wall, of_cpu } = medians[nth];
            let name = format!("{who}, {threads} thread{}", if threads == 1 { "" } else { "s" });
            table.row(vec![
                name.clone(),
                format!("{of_wall:.2}"),
                format!("{of_cpu:.2}"),
                format!("{:.2}", of_wall / of_cpu),
                ratio(of_cpu, Some(*alone[nth].get_or_insert(of_cpu))),
                ratio(of_cpu, Some(medians[2].of_cpu)),
            ]);
            bars.push(Bar { name, kind, figure: of_cpu, text: format!("{of_cpu:.2} M/s of CPU") });
        }
    }
    println!("\n{name}, {WINDOW} events at a time (medians of {rounds}, in turn):");
    table.print();
    cases.panel(&format!("{name}, deliveries per second of CPU"), bars);
}

/// Has every subscription take `windows` windows of events.
fn run(way: Way, threads: usize, windows: usize) -> Rates {
    let hub = Hub::new();
    let (sender, _) = broadcast::channel(CAPACITY);
    let window = Barrier::new(threads + 1);
    let share = |nth: usize| SUBSCRIBERS * (nth + 1) / threads - SUBSCRIBERS * nth / threads;
    thread::scope(|scope| {
        for nth in 0..threads {
            let (hub, sender, window) = (hub.clone(), sender.clone(), &window);
            scope.spawn(move || {
                pin(nth);
                let _timers = streams::enter_runtime();
                let mut sweep = sweep(way, hub, sender, share(nth));
                window.wait();
                for _ in 0..=windows {
                    window.wait();
                    assert_eq!(sweep(), share(nth) * WINDOW);
                    window.wait();
                }
            });
        }
        let one_window = || {
            for _ in 0..WINDOW {
                match way {
                    Way::Events | Way::Frames => {
                        publish(&hub, TOPIC, Event::text(TEXT));
                    }
                    Way::Broadcast => drop(sender.send(Event::text(TEXT))),
                    Way::Nothing => {}
                }
            }
            window.wait();
            window.wait();
        };
        // Who isn't there yet would miss it.
        window.wait();
        one_window();
        let (wall, cpu) = (Instant::now(), cpu());
        (0..windows).for_each(|_| one_window());
        let deliveries = (windows * WINDOW * SUBSCRIBERS) as f64 / 1e6;
        Rates {
            of_wall: deliveries / wall.elapsed().as_secs_f64(),
            of_cpu: deliveries / (self::cpu() - cpu).as_secs_f64(),
        }
    })
}

fn sweep(way: Way, hub: Hub, sender: broadcast::Sender<Event>, share: usize) -> Sweep {
    match way {
        Way::Events => {
            let mut subscriptions = Subscriptions::of(&hub, (0..share).map(|_| TOPIC));
            Box::new(move || subscriptions.take())
        }
        Way::Frames => {
            let mut streams = Streams::websockets_of(&hub, share, Format::Raw);
            Box::new(move || streams.take() / FRAME)
        }
        Way::Nothing => Box::new(move || share * WINDOW),
        Way::Broadcast => {
            let taken = Rc::new(Cell::new(0));
            let mut receivers = Receivers::new(sender, share, waker, || {
                let taken = Rc::clone(&taken);
                move |event| {
                    drop(black_box(event));
                    taken.set(taken.get() + 1);
                }
            });
            Box::new(move || {
                receivers.take();
                taken.take()
            })
        }
    }
}

/// Has this thread, the `nth`, stay on one core: who is let go is else often put beside who lets it go.
fn pin(nth: usize) {
    let mut core = CpuSet::new();
    core.set(nth % thread::available_parallelism().map_or(1, NonZero::get));
    // Where that isn't allowed, the system chooses.
    let _ = sched_setaffinity(None, &core);
}

/// How long all threads of this process were running so far.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.try_into().expect("positive"),
        time.tv_nsec.try_into().expect("less than a second"),
    )
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
