//! The chores of this workspace; `cargo xtask help` lists them.

#![forbid(unsafe_code)]

mod autobahn;
mod browser;
mod chaos;
mod debian;
mod fuzz;
mod lint;
mod memory;
mod models;
mod process;
mod restarts;
mod scale;
mod servers;
mod soak;
mod steps;
mod test;
mod testbed;
mod tidy;
mod workspace;

use std::{env, process::ExitCode};

/// What a chore gives back: a value, or what was expected and what to do about it.
type Result<T = ()> = std::result::Result<T, String>;

const HELP: &str = "\
cargo xtask COMMAND

  test       make sure that a browser and the brokers' servers are there, build the examples, run
             every test
  lint       format, clippy, docs, each feature alone, tidy, cargo-deny if installed
  tidy       the structural rules over the source text
  autobahn   run Autobahn|Testsuite against the testbed example
               --adapter axum|actix|hyper   only this adapter (default: all three)
               --cases '1.*,2.*'            only these cases (default: groups 1 to 10)
  chaos      instances over one broker, of which now this, now that is broken, after which no client
             lacks an event or got one twice
               --broker redis               over which (nats and kafka are not built yet)
               --seconds N                  how long (default: 60)
               --seed N                     what is broken (default: another each time)
               --instances N                how many (default: 3; the adapters take turns)
               --clients N                  how many (default: 300)
               --forget                     the broker also loses its data, which clients are told
  fuzz       look for inputs that break a fuzz target; needs cargo-fuzz
               --seconds N                  how long for each target (default: 60)
               TARGET…                      only these (default: all)
  memory     bytes of user memory per idle connection, on each adapter
               --connections N              how many to open (default: 5000)
  models     run the core's models of concurrency under many schedules
               --seconds N                  for so long each, under schedules not seen yet
  restarts   rolling restarts under load on each adapter, after which no client lacks an event
               --clients N                  how many (default: 1000)
               --restarts N                 how often (default: 20)
               --adapter axum|actix|hyper   only this adapter (default: all three)
  scale      what a connection costs: real sockets on each adapter, a million sessions in memory
               --quick                      a thousand sockets, ten thousand sessions
               --adapter axum|actix|hyper   only this adapter (default: all three)
               --connections N              so many sockets (default: as many as may be open)
               --sessions N                 only so many sessions (default: 10 000 to 1 000 000)
  soak       a storm of clients against each adapter, after which nothing may be left
               --seconds N, --minutes N     for all adapters together (default: 60 s)
               --adapter axum|actix|hyper   only this adapter (default: all three)
               --seed N                     what the clients do (default: another each time)
  help       this text";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result {
    let arguments = env::args_os()
        .skip(1)
        .map(|argument| {
            argument.into_string().map_err(|raw| format!("argument {raw:?} is not UTF-8"))
        })
        .collect::<Result<Vec<String>>>()?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        ["test"] => test::run_all(),
        ["lint"] => lint::run_all(),
        ["tidy"] => tidy::run(),
        ["autobahn", options @ ..] => autobahn::run(options),
        ["chaos", options @ ..] => chaos::run(options),
        ["fuzz", options @ ..] => fuzz::run_all(options),
        ["models", options @ ..] => models::run_all(options),
        ["restarts", options @ ..] => restarts::run_all(options),
        ["scale", options @ ..] => scale::run(options),
        ["soak", options @ ..] => soak::run(options),
        ["memory", options @ ..] => memory::run(options),
        other => Err(format!("no such command: `{}`\n\n{HELP}", other.join(" "))),
    }
}
