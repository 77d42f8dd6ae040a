//! Only the hub's `deliver` appends to a topic.

use crate::tidy::{
    finding::{Finding, line_of},
    source::{is_test_file, production_code},
    tokens::find,
};

pub const RULE: &str = "only-deliver-appends";

const FOLDER: &str = "realtime-core/src/";
/// `hub/sharing.rs` has what a broker calls, the others pass on to the log.
const CALLERS: [&str; 4] = ["fanout.rs", "fanout/shared.rs", "hub/sharing.rs", "log/past.rs"];
const CALL: &str = "append(";

pub fn check(path: &str, text: &str) -> Vec<Finding> {
    let Some(file) = path.strip_prefix(FOLDER) else { return Vec::new() };
    if is_test_file(path) {
        return Vec::new();
    }
    let code = production_code(text);
    let calls: Vec<usize> =
        find(&code, CALL).into_iter().filter(|at| code[..*at].ends_with('.')).collect();
    let allowed = usize::from(CALLERS.contains(&file));
    calls
        .into_iter()
        .skip(allowed)
        .map(|at| {
            let message = "only what a broker calls in hub/sharing.rs appends, so that ids are \
                           valid on every instance: publish through the broker";
            Finding::new(RULE, path, line_of(text, at), message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONCE: &str = "fn a() { topic.append(position, event); }";
    const TWICE: &str = "fn a() { topic.append(position, event); topic.append(other, event); }";

    #[test]
    fn a_second_way_to_append_is_found() {
        assert_eq!(check("realtime-core/src/subscription.rs", ONCE).len(), 1);
        assert_eq!(check("realtime-core/src/hub.rs", ONCE).len(), 1);
        assert_eq!(check("realtime-core/src/hub/sharing.rs", TWICE).len(), 1);
    }

    #[test]
    fn deliver_and_the_log_below_it_may() {
        assert_eq!(check("realtime-core/src/hub/sharing.rs", ONCE), []);
        assert_eq!(check("realtime-core/src/fanout.rs", ONCE), []);
        assert_eq!(check("realtime-core/src/log/tests.rs", TWICE), []);
        assert_eq!(check("realtime-core/src/log.rs", "fn append(&mut self) {}"), []);
    }
}
