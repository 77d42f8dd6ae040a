//! How what a session costs changes with how many there are: as many as asked for, in one process.
//!
//! `cargo xtask scale` runs this for several numbers and makes a table and a chart of it; alone it
//! prints what it has measured as a line of JSON. It is a program of its own for each number, so that
//! the memory of one is not that of another.
//!
//! `cargo bench --bench scale -- sessions --sessions 10000 --topics 1000 --heartbeat 30`, `… -- floor
//! --sessions 10000`, or for clients over sockets, which xtask starts, `… -- clients ADDRESS …`.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark tells its figures")]

mod clients;
mod process;
mod sessions;
mod wire;

#[path = "../head/mod.rs"]
mod head;
#[path = "../ran/mod.rs"]
mod ran;

use std::{env, panic, process::exit, time::Duration};

use sessions::Plan;

fn main() {
    // Also one of a task: nobody is to wait for what will not come.
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print(info);
        exit(101);
    }));
    let arguments: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    let number = |name: &str| {
        let value = arguments.iter().skip_while(|it| *it != name).nth(1);
        value.map(|it| it.parse::<u64>().expect("a number"))
    };
    let sessions = number("--sessions").unwrap_or(1_000).max(2);
    let plan = Plan {
        sessions,
        topics: number("--topics").unwrap_or(100).clamp(1, sessions),
        heartbeat: number("--heartbeat").map(Duration::from_secs),
    };
    match arguments.first().map(String::as_str) {
        Some("clients") => clients::run(&arguments[1..]),
        Some("floor") => println!("{}", sessions::floor(sessions)),
        _ => println!("{}", sessions::measure(plan)),
    }
}
