//! Every case of the conformance suite runs.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::{collections::BTreeSet, fs, path::Path};

/// A function that is neither in the list nor named by an adapter, for what only its servers do, is a
/// case that nobody runs.
#[test]
fn every_case_is_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance");
    let list = fs::read_to_string(folder.join("mod.rs")).unwrap();
    let mut listed = BTreeSet::new();
    let mut room = "";
    for line in list.lines().map(str::trim) {
        if let Some((name, rest)) = line.split_once(": [") {
            room = name;
            listed.extend(names(rest).map(|case| format!("{room}::{case}")));
        } else if line.ends_with(',') {
            listed.extend(names(line).map(|case| format!("{room}::{case}")));
        }
    }
    let mut cases = 0;
    for file in fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let room = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let functions = text.lines().filter_map(|line| line.strip_prefix("pub async fn "));
        for case in functions.filter_map(|line| line.strip_suffix("(suite: Suite) {")) {
            let case = format!("{room}::{case}");
            assert!(
                listed.contains(&case) || is_named_by_an_adapter(&case),
                "{case} is in no list: add it in conformance/mod.rs"
            );
            cases += 1;
        }
    }
    assert!(cases > 70, "found only {cases} cases: has their form changed?");
}

fn is_named_by_an_adapter(case: &str) -> bool {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    ["axum", "actix", "hyper"].iter().any(|adapter| {
        let test = workspace.join(format!("adapter-{adapter}/tests/conformance.rs"));
        fs::read_to_string(test).unwrap().contains(&format!("{case})"))
    })
}

fn names(line: &str) -> impl Iterator<Item = &str> {
    line.trim_end_matches(['[', ']', ',']).split(',').map(|name| name.trim_matches(['[', ']', ' ']))
}
