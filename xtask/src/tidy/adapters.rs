//! Adapters are free of policy: no time, no choice between futures, no limits.

use crate::tidy::{
    finding::{Finding, line_of},
    source::{is_test_file, production_code},
    tokens::{below, find},
};

pub const RULE: &str = "adapter-policy";

const FOLDERS: [&str; 3] = ["adapter-axum/src/", "adapter-actix/src/", "adapter-hyper/src/"];

/// Crates whose `time` module is out of bounds.
const CLOCKS: [&str; 5] = ["tokio", "std", "core", "actix_rt", "actix_web::rt"];

const TOKENS: [&str; 26] = [
    // Time
    "Instant",
    "SystemTime",
    "Duration",
    "sleep",
    "sleep_until",
    "Sleep",
    "timeout",
    "timeout_at",
    "interval",
    "interval_at",
    "Interval",
    // Waiting for one of several
    "select!",
    "select_biased!",
    "select(",
    // Bounds and queues
    "Semaphore",
    "mpsc",
    "channel(",
    "Limits {",
    "Limits::",
    "LagLimit {",
    "LagLimit::",
    "Retention {",
    "Retention::",
    "Overflow::",
    // Admission
    "OriginPolicy::",
    "Permit",
];

pub fn check(path: &str, text: &str) -> Vec<Finding> {
    if !FOLDERS.iter().any(|folder| path.starts_with(folder)) || is_test_file(path) {
        return Vec::new();
    }
    let code = production_code(text);
    let mut places: Vec<(usize, String)> = Vec::new();
    for token in TOKENS {
        places.extend(find(&code, token).into_iter().map(|at| (at, format!("`{token}`"))));
    }
    for clock in CLOCKS {
        let names = below(&code, clock).into_iter().filter(|(_, name)| *name == "time");
        places.extend(names.map(|(at, _)| (at, format!("`{clock}::time`"))));
    }
    places.sort();
    places
        .into_iter()
        .map(|(at, what)| {
            let message = format!(
                "{what} is policy, and an adapter only maps head, rejection, bytes and spawn; \
                 move it to realtime-core, where all adapters have it"
            );
            Finding::new(RULE, path, line_of(text, at), message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        check("adapter-axum/src/a.rs", text).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn policy_is_found() {
        for bad in [
            "use tokio::time;",
            "use tokio::{net, time};",
            "use std::time::Instant;",
            "let wait = Duration::from_secs(1);",
            "tokio::select! {}",
            "sleep(wait).await",
            "timeout(wait, work).await",
            "let limits = Limits { connections: 1 };",
            "let overflow = Overflow::Conflate;",
            "let (to, from) = mpsc::channel(8);",
        ] {
            assert!(!lines(bad).is_empty(), "{bad}");
        }
        assert_eq!(lines("fn a() {}\nfn b() { sleep() }"), [2]);
    }

    #[test]
    fn glue_is_fine() {
        for good in [
            "/// Waits for a `Duration`.\nfn a() {}",
            "let text = \"sleep\";",
            "use realtime_core::Limits;\nfn limits(limits: Limits) {}",
            "let timeout_free = 1;",
            "#[cfg(test)] mod tests { use std::time::Duration; }",
            "use std::sync::Arc;",
        ] {
            assert_eq!(lines(good), [0; 0], "{good}");
        }
    }

    #[test]
    fn only_the_sources_of_adapters_are_held_to_it() {
        for path in ["realtime-core/src/driver.rs", "adapter-axum/tests/a.rs"] {
            assert_eq!(check(path, "use tokio::time;"), []);
        }
        assert_eq!(check("adapter-hyper/src/tests.rs", "use tokio::time;"), []);
    }
}
