//! Running other programs.

use std::{
    env,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{Result, workspace};

/// The cargo that runs this program, in the workspace's root and without input.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace::root()).stdin(Stdio::null());
    command
}

/// Runs a command that writes to our own output.
pub fn run(command: &mut Command) -> Result {
    let line = command_line(command);
    println!("$ {line}");
    let status = command.status().map_err(|error| format!("could not start `{line}`: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{line}` failed ({status}); its output above says why"))
    }
}

/// What a command prints.
pub fn output(command: &mut Command) -> Result<String> {
    let line = command_line(command);
    let output = command.output().map_err(|error| format!("could not start `{line}`: {error}"))?;
    if output.status.success() {
        String::from_utf8(output.stdout)
            .map_err(|error| format!("`{line}` should print UTF-8: {error}"))
    } else {
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(format!("`{line}` failed ({}): {}", output.status, complaint.trim()))
    }
}

/// Whether a command can be started and succeeds; prints nothing.
pub fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The first of these programs that is on `PATH`.
pub fn find_program(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|program| program.is_file())
}

/// Waits for a child until the limit; `None` means that it still runs.
pub fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        let status = child.try_wait().map_err(|error| format!("could not wait: {error}"))?;
        if status.is_some() || Instant::now() >= deadline {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn command_line(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let mut line = name.to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        let quote = if argument.contains(' ') { "'" } else { "" };
        line = format!("{line} {quote}{argument}{quote}");
    }
    line
}
