//! What following patterns costs in a table of 65 000 topics, beside following a topic by its name.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark tells its figures")]

mod head;
mod side_by_side;

use futures_util::FutureExt;
use head::Head;
use realtime::{Event, Hub, Identity, Subscribe, TopicName, driver};

const TOPICS: usize = 65_000;

/// A hub whose clients may have the topics whose names begin so.
fn hub(permitted: &'static str) -> Hub {
    let hub = Hub::builder()
        .authorize(move |_: Option<&Identity>, _, topic: &TopicName| {
            topic.as_str().starts_with(permitted)
        })
        .build()
        .expect("valid");
    for number in 0..TOPICS {
        let topic = format!("orders.{}.{number}", number % 100);
        let published = hub.publish(topic, Event::text("x")).now_or_never();
        published.expect("at once").expect("published");
    }
    hub
}

/// An event stream is opened and dropped.
fn follow(hub: &Hub, subscribe: impl Into<Subscribe>) -> bool {
    let admitted = driver::accept_event_stream(hub, &Head::default()).now_or_never();
    let request = admitted.expect("nothing is checked").expect("let in");
    driver::Body::open(request, subscribe).is_ok()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    let (few, all) = (hub("orders.7.7"), hub(""));
    let named = |times| (0..times).for_each(|_| assert!(follow(&few, "orders.7.7")));
    let compare = |what: &str, hub: &Hub, patterns: &[&str], is_let_in: bool| {
        let subscribe = || patterns.iter().fold(Subscribe::none(), |it, add| it.and_pattern(*add));
        let by_pattern = &mut |times| {
            (0..times).for_each(|_| assert_eq!(follow(hub, subscribe()), is_let_in));
        };
        side_by_side::compare(what, 1, ("by pattern", by_pattern), ("by name", &mut { named }));
    };
    println!("\nopening an event stream in a table of {TOPICS} topics, in turn in one run:");
    compare("8 patterns with prefixes of nothing", &few, &OWN, true);
    compare("8 patterns without a prefix", &few, &NONE, true);
    compare("one that matches 650, 11 permitted", &few, &["orders.7.*"], true);
    compare("`>`, 11 permitted", &few, &[">"], true);
    compare("`>`, refused as too much", &all, &[">"], false);
}

const OWN: [&str; 8] =
    ["own.0.*", "own.1.*", "own.2.*", "own.3.*", "own.4.*", "own.5.*", "own.6.*", "own.7.*"];
const NONE: [&str; 8] = [
    "*.none.0.>",
    "*.none.1.>",
    "*.none.2.>",
    "*.none.3.>",
    "*.none.4.>",
    "*.none.5.>",
    "*.none.6.>",
    "*.none.7.>",
];
