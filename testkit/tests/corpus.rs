//! Every input that a fuzzer has found worth keeping, through its target.

#![allow(clippy::expect_used, clippy::panic, reason = "test code")]

use std::{
    collections::BTreeSet,
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use realtime_testkit::fuzz::TARGETS;

#[test]
fn every_input_keeps_its_targets_properties() {
    let mut broken = Vec::new();
    for (name, target) in TARGETS {
        let inputs = inputs(&fuzz().join("corpus").join(name));
        assert!(!inputs.is_empty(), "fuzz/corpus/{name} needs seeds; see CONTRIBUTING.md");
        for input in inputs {
            let bytes = fs::read(&input).expect("a file of the repository");
            if catch_unwind(|| target(&bytes)).is_err() {
                broken.push(format!("{name}: {}", input.display()));
            }
        }
    }
    assert!(broken.is_empty(), "what is broken is told above, by:\n{}", broken.join("\n"));
}

#[test]
fn every_target_keeps_its_properties_for_short_inputs() {
    for (_, target) in TARGETS {
        target(b"");
        (0..=u8::MAX).for_each(|byte| target(&[byte]));
    }
}

/// A corpus that nothing reads would be kept for nothing, and a target without a program is not run.
#[test]
fn targets_corpora_and_programs_belong_together() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len(), "a name is there twice");
    assert_eq!(names(&fuzz().join("corpus")), targets, "fuzz/corpus/");
    assert_eq!(names(&fuzz().join("fuzz_targets")), targets, "fuzz/fuzz_targets/");
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).expect("a file of the repository");
    for target in targets {
        let program = format!("name = \"{target}\"\npath = \"fuzz_targets/{target}.rs\"\n");
        assert!(manifest.contains(&program), "fuzz/Cargo.toml needs a [[bin]] with\n{program}");
    }
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn inputs(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    paths
}

/// The names of what is in a folder, without their extensions.
fn names(folder: &Path) -> BTreeSet<String> {
    let stem = |path: &PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    inputs(folder).iter().filter_map(stem).collect()
}
