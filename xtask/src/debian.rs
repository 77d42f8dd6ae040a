//! Programs that Debian has, where apt-get can install them.

use std::process::{Command, Stdio};

use crate::{
    Result,
    process::{find_program, output, run, succeeds},
};

const UPDATE: &str = "apt-get update";

/// Makes sure that `found` finds something, which it describes; installs `packages` otherwise.
///
/// `expectation` says what is needed.
pub fn ensure(expectation: &str, packages: &str, found: impl Fn() -> Option<String>) -> Result {
    let report = || found().inspect(|what| println!("{what}")).is_some();
    if report() {
        return Ok(());
    }
    let install = format!("apt-get install -y {packages}");
    if find_program(&["apt-get"]).is_none() {
        return Err(format!("{expectation}, and there is no apt-get to install it"));
    }
    let privilege: &[&str] = if is_root() {
        &[]
    } else if succeeds(Command::new("sudo").args(["-n", "true"])) {
        &["sudo", "-n"]
    } else {
        return Err(format!("{expectation}; run: sudo {UPDATE} && sudo {install}"));
    };
    run(&mut apt(privilege, UPDATE))?;
    run(&mut apt(privilege, &install))?;
    if report() { Ok(()) } else { Err(format!("`{install}` succeeded, yet {expectation}")) }
}

fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn apt(privilege: &[&str], line: &str) -> Command {
    let program = privilege.first().copied().unwrap_or("env");
    let mut command = Command::new(program);
    if let Some(options) = privilege.get(1..) {
        command.args(options).arg("env");
    }
    command.arg("DEBIAN_FRONTEND=noninteractive").args(line.split(' ')).stdin(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_runs_with_or_without_sudo() {
        let words = |command: &Command| {
            let arguments =
                command.get_args().map(|argument| argument.to_string_lossy().into_owned());
            let mut words = vec![command.get_program().to_string_lossy().into_owned()];
            words.extend(arguments);
            words.join(" ")
        };
        assert_eq!(words(&apt(&[], UPDATE)), "env DEBIAN_FRONTEND=noninteractive apt-get update");
        assert_eq!(
            words(&apt(&["sudo", "-n"], "apt-get install -y some other")),
            "sudo -n env DEBIAN_FRONTEND=noninteractive apt-get install -y some other"
        );
    }

    #[test]
    fn what_is_there_is_not_installed() {
        assert_eq!(ensure("a test needs nothing", "", || Some("nothing".to_owned())), Ok(()));
    }
}
