//! What the hub does without any connection, beside `tokio::sync::broadcast` where it can do the same.
//!
//! Subscribers are polled by hand. Those that wait are parked with a waker of their own, as a task is; what
//! happens between what is measured, such as everybody's taking and parking again, doesn't count.
//!
//! `cargo bench --bench hub` does all of it, in some minutes; a part of a name does less, such as
//! `cargo bench --bench hub -- topics`, and `--quick` shows that it works. The chart is
//! `target/bench/hub.svg`.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark tells its figures")]

mod ours;
mod publish;
mod read;
mod threads;
mod topics;

#[path = "../cases/mod.rs"]
mod cases;
#[path = "../figures/mod.rs"]
mod figures;
#[path = "../head/mod.rs"]
mod head;
#[path = "../receivers/mod.rs"]
mod receivers;
#[path = "../side_by_side/mod.rs"]
mod side_by_side;
#[path = "../streams/mod.rs"]
mod streams;

use cases::Cases;

fn main() {
    let mut cases = Cases::new("hub", "The hub beside tokio's broadcast");
    publish::measure(&mut cases);
    read::measure(&mut cases);
    topics::measure(&mut cases);
    publish::percentiles(&mut cases);
    threads::measure(&mut cases);
    cases.finish();
}
