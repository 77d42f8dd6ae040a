//! Only a broker makes positions.

use crate::tidy::{
    finding::{Finding, line_of},
    source::{is_test_file, production_code},
    tokens::find,
};

pub const RULE: &str = "position-issuer";

const TOKEN: &str = "PositionIssuer";

pub fn check(path: &str, text: &str) -> Vec<Finding> {
    if !path.ends_with(".rs") || is_test_file(path) || may_name_it(path) {
        return Vec::new();
    }
    find(&production_code(text), TOKEN)
        .into_iter()
        .map(|at| {
            let message = format!(
                "`{TOKEN}` belongs to brokers; take the position that `Broker::publish` gave, so \
                 that an id is valid on every instance"
            );
            Finding::new(RULE, path, line_of(text, at), message)
        })
        .collect()
}

fn may_name_it(path: &str) -> bool {
    let in_core = path.strip_prefix("realtime-core/src/").is_some_and(|file| {
        ["position.rs", "position/", "broker.rs", "broker/"]
            .iter()
            .any(|place| file == *place || place.ends_with('/') && file.starts_with(place))
    });
    in_core || path.starts_with("broker-") || path == "src/lib.rs" || path.ends_with("/src/lib.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    const USE: &str = "fn a() { PositionIssuer::new(epoch) }";

    #[test]
    fn others_must_not_name_the_issuer() {
        for path in [
            "realtime-core/src/hub.rs",
            "realtime-core/src/brokerage.rs",
            "adapter-axum/src/sse.rs",
            "examples/chat.rs",
        ] {
            assert_eq!(check(path, USE).len(), 1, "{path}");
        }
    }

    #[test]
    fn brokers_and_the_type_itself_may() {
        for path in [
            "realtime-core/src/position.rs",
            "realtime-core/src/broker.rs",
            "realtime-core/src/broker/local.rs",
            "realtime-core/src/lib.rs",
            "broker-redis/src/publish.rs",
            "src/lib.rs",
            "realtime-core/src/hub/tests.rs",
        ] {
            assert_eq!(check(path, USE), [], "{path}");
        }
        assert_eq!(
            check("realtime-core/src/hub.rs", "// PositionIssuer\nlet a = \"PositionIssuer\";"),
            []
        );
    }
}
