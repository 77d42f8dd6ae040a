//! The browser tests' two programs, Chromium and its driver.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    Result,
    process::{find_program, output, run, succeeds},
};

const BROWSERS: [&str; 4] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const DRIVERS: [&str; 1] = ["chromedriver"];
const UPDATE: &str = "apt-get update";
const INSTALL: &str = "apt-get install -y chromium chromium-driver";

/// Makes sure that both are on `PATH`; installs them where apt-get can.
pub fn ensure() -> Result {
    if report_found() {
        return Ok(());
    }
    install()?;
    if report_found() {
        Ok(())
    } else {
        Err(format!("`{INSTALL}` succeeded, yet {}", expectation()))
    }
}

fn report_found() -> bool {
    match (find_program(&BROWSERS), find_program(&DRIVERS)) {
        (Some(browser), Some(driver)) => {
            println!("{}, {}", file_name(&browser), file_name(&driver));
            true
        }
        _ => false,
    }
}

fn install() -> Result {
    if find_program(&["apt-get"]).is_none() {
        return Err(format!("{}, and there is no apt-get to install them", expectation()));
    }
    let privilege: &[&str] = if is_root() {
        &[]
    } else if succeeds(Command::new("sudo").args(["-n", "true"])) {
        &["sudo", "-n"]
    } else {
        return Err(format!("{}; run: sudo {UPDATE} && sudo {INSTALL}", expectation()));
    };
    run(&mut apt(privilege, UPDATE))?;
    run(&mut apt(privilege, INSTALL))
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

fn expectation() -> String {
    format!(
        "the browser tests need a Chromium ({}) and `{}` on PATH",
        BROWSERS.map(|name| format!("`{name}`")).join(", "),
        DRIVERS.join(", "),
    )
}

fn file_name(program: &Path) -> String {
    program.file_name().unwrap_or_default().to_string_lossy().into_owned()
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
            words(&apt(&["sudo", "-n"], INSTALL)),
            "sudo -n env DEBIAN_FRONTEND=noninteractive apt-get install -y chromium chromium-driver"
        );
    }
}
