//! No file names a place that only one machine has.

use crate::tidy::finding::Finding;

pub const RULE: &str = "machine-path";

/// In two parts each, so that this file does not break its own rule.
const PLACES: [&str; 4] =
    [concat!("/", "root/"), concat!("/", "work/"), concat!("/", "home/"), concat!("/", "Users/")];

pub fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(place) = PLACES.iter().find(|place| names(line, place)) {
            let message = format!(
                "`{place}` is a place on one machine; use a path relative to the repository, or \
                 an environment variable"
            );
            findings.push(Finding::new(RULE, path, index + 1, message));
        }
    }
    findings
}

/// Whether an absolute path starts with this place: `a/home/b`, `host/home/` and `~/home/` don't.
fn names(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|before| !before.is_alphanumeric() && !"_-.~}$".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_places_are_found() {
        for place in PLACES {
            for line in [format!("{place}x"), format!("cd {place}x"), format!("p=\"{place}x\"")] {
                assert_eq!(check("a.sh", &format!("\n{line}\n"))[0].line, 2, "{line}");
            }
            assert_eq!(check("README.md", &format!("see `file://{place}x`")).len(), 1);
        }
    }

    #[test]
    fn relative_paths_and_addresses_are_fine() {
        for place in PLACES {
            for line in [format!("target{place}x"), format!("$HOME{place}x"), format!("~{place}x")]
            {
                assert_eq!(check("a.sh", &line), [], "{line}");
            }
            assert_eq!(check("a.md", &format!("https://example.com{place}x")), []);
        }
    }
}
