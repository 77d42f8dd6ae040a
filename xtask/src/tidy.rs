//! `cargo xtask tidy`: structural rules over the source text.
//!
//! Each rule is a pure function from a path and a text to findings. An exception is a
//! [marker](markers) with a reason.

mod adapters;
mod appends;
mod clock;
mod files;
mod finding;
mod machine_paths;
mod markers;
mod positions;
mod rooms;
mod roots;
mod siblings;
mod size;
mod source;
mod test_items;
mod tokens;

use crate::Result;
use files::File;
use finding::{Finding, Weight};

type Rule = fn(&str, &str) -> Vec<Finding>;

const RULES: [(&str, Rule); 9] = [
    (adapters::RULE, adapters::check),
    (siblings::RULE, siblings::check),
    (rooms::RULE, rooms::check),
    (appends::RULE, appends::check),
    (positions::RULE, positions::check),
    (clock::RULE, clock::check),
    (roots::RULE, roots::check),
    (machine_paths::RULE, machine_paths::check),
    (size::RULE, size::check),
];

pub fn run() -> Result {
    let files = files::read_all()?;
    let findings = check_all(&files);
    for finding in &findings {
        println!("{finding}");
    }
    let failures = findings.iter().filter(|finding| finding.weight == Weight::Failure).count();
    if failures > 0 {
        return Err(format!("{failures} structural rules broken, see above"));
    }
    println!("tidy: {} files keep {} rules", files.len(), RULES.len());
    Ok(())
}

fn check_all(files: &[File]) -> Vec<Finding> {
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let mut findings = siblings::check_names(&paths);
    findings.extend(files.iter().flat_map(|file| check(&file.path, &file.text)));
    findings
}

fn check(path: &str, text: &str) -> Vec<Finding> {
    let findings = RULES.iter().flat_map(|(_, rule)| rule(path, text)).collect();
    markers::apply(path, text, findings, &RULES.map(|(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        let findings = check_all(&files::read_all().expect("the repository is readable"));
        let failures: Vec<String> = findings
            .iter()
            .filter(|finding| finding.weight == Weight::Failure)
            .map(Finding::to_string)
            .collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }

    #[test]
    fn a_marker_reaches_the_rules() {
        let path = "adapter-hyper/src/serve.rs";
        assert_eq!(check(path, "use std::time::Duration;").len(), 2);
        let marked = "use std::time::Duration; // tidy: allow(adapter-policy): a setting's type";
        assert_eq!(check(path, marked), []);
    }
}
