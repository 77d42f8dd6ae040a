//! Every crate's root forbids unsafe code.

use crate::tidy::{finding::Finding, source::code};

pub const RULE: &str = "forbid-unsafe";

const ATTRIBUTE: &str = "#![forbid(unsafe_code)]";

pub fn check(path: &str, text: &str) -> Vec<Finding> {
    if !is_root(path) || code(text).contains(ATTRIBUTE) {
        return Vec::new();
    }
    let message = format!("a crate's root must say `{ATTRIBUTE}`; add it below the crate's docs");
    vec![Finding::new(RULE, path, 1, message)]
}

fn is_root(path: &str) -> bool {
    let folder = path.strip_suffix("/lib.rs").or_else(|| path.strip_suffix("/main.rs"));
    folder.is_some_and(|folder| folder == "src" || folder.ends_with("/src"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_without_it_is_found() {
        for path in ["src/lib.rs", "adapter-axum/src/lib.rs", "xtask/src/main.rs"] {
            assert_eq!(check(path, "// #![forbid(unsafe_code)]\nmod a;").len(), 1, "{path}");
        }
    }

    #[test]
    fn roots_with_it_and_other_files_pass() {
        assert_eq!(check("src/lib.rs", "//! Docs.\n\n#![forbid(unsafe_code)]\n"), []);
        for path in ["src/hub.rs", "examples/main.rs", "testkit/tests/lib.rs"] {
            assert_eq!(check(path, ""), [], "{path}");
        }
    }
}
