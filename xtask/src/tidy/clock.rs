//! The core is given its time: only the driver reads a clock or sleeps.

use crate::tidy::{
    finding::{Finding, line_of},
    source::{is_test_file, production_code},
    tokens::find,
};

pub const RULE: &str = "core-clock";

const TOKENS: [&str; 6] = [
    "Instant::now",
    "SystemTime::now",
    "get_current_timestamp",
    "sleep",
    "sleep_until",
    ".elapsed(",
];

pub fn check(path: &str, text: &str) -> Vec<Finding> {
    let Some(file) = path.strip_prefix("realtime-core/src/") else { return Vec::new() };
    if file == "driver.rs" || file.starts_with("driver/") || is_test_file(path) {
        return Vec::new();
    }
    let code = production_code(text);
    let mut findings: Vec<Finding> = TOKENS
        .iter()
        .flat_map(|token| find(&code, token).into_iter().map(move |at| (at, token)))
        .map(|(at, token)| {
            let message = format!(
                "`{token}` only in driver.rs and driver/; take `now: Instant` as a parameter"
            );
            Finding::new(RULE, path, line_of(text, at), message)
        })
        .collect();
    findings.sort_by_key(|finding| finding.line);
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_outside_of_the_driver_is_found() {
        for bad in [
            "let now = Instant::now();",
            "let now = std::time::SystemTime::now();",
            "tokio::time::sleep(wait).await;",
            "use tokio::time::sleep_until;",
            "if began.elapsed() > limit {}",
        ] {
            assert_eq!(check("realtime-core/src/hub.rs", bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn the_driver_tests_and_other_crates_may() {
        let text = "let now = Instant::now();";
        for path in [
            "realtime-core/src/driver.rs",
            "realtime-core/src/driver/connection.rs",
            "realtime-core/src/hub/tests.rs",
            "testkit/src/wait.rs",
        ] {
            assert_eq!(check(path, text), [], "{path}");
        }
        assert_eq!(
            check("realtime-core/src/hub.rs", "fn a(now: Instant) {} // no Instant::now"),
            []
        );
        let test = "#[cfg(test)]\nmod tests { fn a() { Instant::now(); } }";
        assert_eq!(check("realtime-core/src/hub.rs", test), []);
    }
}
