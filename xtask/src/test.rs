//! `cargo xtask test`: all tests, with what they need.

use crate::{
    Result, browser, models,
    process::{cargo, run},
    servers,
    steps::Steps,
};

pub fn run_all() -> Result {
    let mut steps = Steps::new("test");
    // The integration tests start example binaries; `cargo test` alone does not promise those.
    let _ = steps.run("browser", browser::ensure)
        && steps.run("servers", servers::ensure)
        && steps.run("examples", || run(cargo().args(["build", "--examples", "--all-features"])))
        && steps.run("tests", || {
            let nats = servers::current_nats()?;
            let arguments = ["test", "--workspace", "--all-features"];
            run(cargo().args(arguments).env(servers::CURRENT_NATS, nats))
        })
        && steps.run("models", || models::run_all(&[]));
    steps.finish()
}
