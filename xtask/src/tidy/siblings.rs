//! The three adapters have the same files, and none is long.

use std::collections::BTreeSet;

use crate::tidy::{finding::Finding, source::is_test_file};

pub const RULE: &str = "adapter-siblings";

const ADAPTERS: [&str; 3] = ["adapter-axum", "adapter-actix", "adapter-hyper"];
const LONGEST: usize = 300;

/// Compares the adapters' file names; `paths` are those of the whole repository.
pub fn check_names(paths: &[&str]) -> Vec<Finding> {
    let files = |adapter: &str| -> BTreeSet<&str> {
        let folder = format!("{adapter}/src/");
        paths.iter().filter_map(|path| path.strip_prefix(folder.as_str())).collect()
    };
    let all: BTreeSet<&str> = ADAPTERS.iter().flat_map(|adapter| files(adapter)).collect();
    let mut findings = Vec::new();
    for adapter in ADAPTERS {
        for missing in all.difference(&files(adapter)) {
            let owners: Vec<&str> =
                ADAPTERS.into_iter().filter(|other| files(other).contains(missing)).collect();
            let message = format!(
                "missing here but present in {}; the adapters have the same files, so add it or \
                 move its content where all three have a file",
                owners.join(" and ")
            );
            findings.push(Finding::new(RULE, &format!("{adapter}/src/{missing}"), 1, message));
        }
    }
    findings
}

/// Checks the length of one file.
pub fn check(path: &str, text: &str) -> Vec<Finding> {
    let is_ours = ADAPTERS.iter().any(|adapter| path.starts_with(&format!("{adapter}/src/")));
    let lines = text.lines().count();
    if !is_ours || is_test_file(path) || !path.ends_with(".rs") || lines <= LONGEST {
        return Vec::new();
    }
    let message = format!(
        "{lines} lines, an adapter's file has at most {LONGEST}; what the other adapters do too \
         belongs to realtime-core"
    );
    vec![Finding::new(RULE, path, lines, message)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_sibling_is_named() {
        let findings = check_names(&[
            "adapter-axum/src/lib.rs",
            "adapter-actix/src/lib.rs",
            "adapter-hyper/src/lib.rs",
            "adapter-hyper/src/serve.rs",
            "adapter-hyper/tests/only_here.rs",
        ]);
        let paths: Vec<&str> = findings.iter().map(|finding| finding.path.as_str()).collect();
        assert_eq!(paths, ["adapter-axum/src/serve.rs", "adapter-actix/src/serve.rs"]);
        assert!(findings[0].message.contains("adapter-hyper"));
    }

    #[test]
    fn equal_siblings_pass() {
        assert_eq!(check_names(&ADAPTERS.map(|_| "src/lib.rs")), []);
        let same =
            ["adapter-axum/src/sse.rs", "adapter-actix/src/sse.rs", "adapter-hyper/src/sse.rs"];
        assert_eq!(check_names(&same), []);
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(check("adapter-axum/src/ws.rs", &"\n".repeat(300)), []);
        assert_eq!(check("adapter-axum/src/ws.rs", &"\n".repeat(301)).len(), 1);
        assert_eq!(check("adapter-axum/tests/ws.rs", &"\n".repeat(301)), []);
    }
}
