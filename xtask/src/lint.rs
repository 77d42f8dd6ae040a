//! `cargo xtask lint`: everything that is checked without running the code.

use std::process::Command;

use crate::{
    Result,
    process::{cargo, run, succeeds},
    steps::Steps,
    tidy,
};

const FEATURES: [&str; 5] = ["axum", "actix", "hyper", "redis", "nats"];

/// Runs every step, also after one failed, so that one run tells all.
pub fn run_all() -> Result {
    let mut steps = Steps::new("lint");
    steps.run("format", || run(cargo().args(["fmt", "--all", "--check"])));
    steps.run("format of fuzz", || run(&mut format_of_fuzz()));
    steps.run("tidy", tidy::run);
    steps.run("clippy", || run(&mut clippy()));
    steps.run("docs", || run(&mut docs()));
    steps.run("no features", || run(&mut facade(None)));
    for feature in FEATURES {
        steps.run(format!("feature {feature}"), || run(&mut facade(Some(feature))));
    }
    steps.run("deny", deny);
    steps.finish()
}

/// The fuzz crate is a workspace of its own. It is not built here: that takes flags of its own.
fn format_of_fuzz() -> Command {
    let mut command = cargo();
    command.args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]);
    command
}

fn clippy() -> Command {
    let mut command = cargo();
    command
        .args(["clippy", "--workspace", "--all-targets", "--all-features"])
        .args(["--", "-D", "warnings"]);
    command
}

fn docs() -> Command {
    let mut command = cargo();
    command
        .args(["doc", "--workspace", "--all-features", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings");
    command
}

fn facade(feature: Option<&str>) -> Command {
    let mut command = cargo();
    command.args(["check", "-p", "realtime", "--no-default-features"]);
    if let Some(feature) = feature {
        command.args(["--features", feature]);
    }
    command
}

fn deny() -> Result {
    if succeeds(cargo().args(["deny", "--version"])) {
        run(cargo().args(["deny", "check"]))
    } else {
        println!(
            "LEFT OUT: licences, advisories and sources were not checked, since cargo-deny is not \
             installed; `cargo install --locked cargo-deny` brings it"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_adapter_feature_is_checked_alone() {
        let arguments: Vec<_> = facade(Some("axum")).get_args().map(ToOwned::to_owned).collect();
        assert_eq!(
            arguments,
            ["check", "-p", "realtime", "--no-default-features", "--features", "axum"]
        );
    }
}
