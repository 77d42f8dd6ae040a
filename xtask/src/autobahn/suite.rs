//! Autobahn|Testsuite in an environment of its own below the build folder.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    Result,
    autobahn::options::Cases,
    process::{find_program, run, succeeds, wait},
};

const VIRTUALENV: &str = "virtualenv==20.21.1";
const TESTSUITE: &str = "autobahntestsuite==25.10.1";
/// The standard cases take a fraction of a minute, compression up to ten.
const RUN_LIMIT: Duration = Duration::from_secs(30 * 60);
const NOTHING_TO_DO: &str = "will run 0 test cases";

/// The installed test client.
#[derive(Debug)]
pub struct Suite {
    wstest: PathBuf,
}

impl Suite {
    /// Installs it once; the environment (pip's settings among others) is passed on.
    pub fn install(folder: &Path) -> Result<Self> {
        let suite = Self { wstest: folder.join("python2/bin/wstest") };
        let stamp = folder.join("installed");
        // With the place: virtual environments can't be moved.
        let content = format!("{VIRTUALENV} {TESTSUITE} {}\n", folder.display());
        if fs::read_to_string(&stamp).is_ok_and(|found| found == content) {
            return Ok(suite);
        }
        let python2 = python2()?;
        for environment in ["python3", "python2"].map(|name| folder.join(name)) {
            if environment.exists() {
                fs::remove_dir_all(&environment).map_err(|error| {
                    format!("could not remove {}: {error}", environment.display())
                })?;
            }
        }
        install(folder, &python2)?;
        write(&stamp, &content)?;
        Ok(suite)
    }

    /// Runs the cases against a server; gives the text of the suite's `index.json`.
    pub fn run(&self, url: &str, cases: &Cases, folder: &Path) -> Result<String> {
        let specification = folder.join("fuzzingclient.json");
        write(&specification, &specification_of(url, cases, &folder.join("reports")))?;
        let log = folder.join("wstest.log");
        let output = File::create(&log)
            .map_err(|error| format!("could not write {}: {error}", log.display()))?;
        let errors = output.try_clone().map_err(|error| format!("could not log: {error}"))?;
        let mut client = Command::new(&self.wstest)
            .args(["-m", "fuzzingclient", "-s"])
            .arg(&specification)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("could not start {}: {error}", self.wstest.display()))?;
        let ended = wait_for(&mut client, &log);
        // Both fail only if it has ended.
        let _ = client.kill();
        let _ = client.wait();
        ended?;
        let index = folder.join("reports/index.json");
        fs::read_to_string(&index).map_err(|error| {
            format!("the suite left no {}: {error}; see {}", index.display(), log.display())
        })
    }
}

/// Waits for the client's end. With nothing to do it never ends, which only its log tells.
fn wait_for(client: &mut Child, log: &Path) -> Result {
    let deadline = Instant::now() + RUN_LIMIT;
    while wait(client, Duration::from_secs(2))?.is_none() {
        if fs::read_to_string(log).is_ok_and(|said| said.contains(NOTHING_TO_DO)) {
            return Err("no case of the suite has such a number; see `--cases`".to_owned());
        }
        if Instant::now() >= deadline {
            let minutes = RUN_LIMIT.as_secs() / 60;
            return Err(format!(
                "the suite should end within {minutes} minutes and did not; see {}",
                log.display()
            ));
        }
    }
    Ok(())
}

fn install(folder: &Path, python2: &Path) -> Result {
    let python3 = find_program(&["python3"]).ok_or_else(|| {
        "autobahn needs `python3` on PATH to make a virtual environment; install it".to_owned()
    })?;
    let (first, second) = (folder.join("python3"), folder.join("python2"));
    run(Command::new(python3).args(["-m", "venv"]).arg(&first)).map_err(|reason| {
        format!("{reason}; on Debian and Ubuntu the package python3-venv is needed")
    })?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(Command::new(first.join("bin/python")).args(pip).arg(VIRTUALENV))?;
    run(Command::new(first.join("bin/virtualenv"))
        .args(["--quiet", "-p"])
        .arg(python2)
        .arg(&second))?;
    run(Command::new(second.join("bin/python")).args(pip).arg(TESTSUITE))
}

/// A CPython 2.7, which is all that the suite runs on.
fn python2() -> Result<PathBuf> {
    if let Some(chosen) = env::var_os("PYTHON27").map(PathBuf::from) {
        return if is_python2(&chosen) {
            Ok(chosen)
        } else {
            Err(format!("PYTHON27 is {} and should be a Python 2.7", chosen.display()))
        };
    }
    let candidates = pyenv_versions().into_iter().chain(find_program(&["python2.7"]));
    candidates.into_iter().find(|candidate| is_python2(candidate)).ok_or_else(|| {
        "Autobahn|Testsuite needs CPython 2.7 and none was found in PYTHON27, in pyenv's \
         versions, or as `python2.7` on PATH. With pyenv: `pyenv install 2.7.18`. Otherwise \
         install a CPython 2.7 and run again with PYTHON27=/path/to/python2.7"
            .to_owned()
    })
}

/// `python2.7` of each 2.7 that pyenv installed; pyenv's own `python2.7` works only if selected.
fn pyenv_versions() -> Vec<PathBuf> {
    let roots = [
        env::var_os("PYENV_ROOT").map(PathBuf::from),
        env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv")),
    ];
    let mut versions: Vec<PathBuf> = roots
        .into_iter()
        .flatten()
        .filter_map(|root| fs::read_dir(root.join("versions")).ok())
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.file_name().is_some_and(is_2_7))
        .map(|path| path.join("bin/python2.7"))
        .collect();
    versions.sort();
    versions
}

fn is_2_7(name: &OsStr) -> bool {
    name == "2.7" || name.to_string_lossy().starts_with("2.7.")
}

fn is_python2(program: &Path) -> bool {
    let check = "import sys; sys.exit(sys.version_info[:2] != (2, 7))";
    succeeds(Command::new(program).args(["-c", check]))
}

fn specification_of(url: &str, cases: &Cases, reports: &Path) -> String {
    json!({
        "outdir": reports,
        "servers": [{ "agent": "testbed", "url": url, "options": { "version": 18 } }],
        "cases": cases.included(),
        "exclude-cases": cases.excluded(),
        "exclude-agent-cases": {},
    })
    .to_string()
}

fn write(path: &Path, content: &str) -> Result {
    fs::write(path, content).map_err(|error| format!("could not write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_2_7_counts() {
        for (name, counts) in [("2.7", true), ("2.7.18", true), ("2.75", false), ("3.12.1", false)]
        {
            assert_eq!(is_2_7(name.as_ref()), counts, "{name}");
        }
    }

    #[test]
    fn the_specification_leaves_compression_out() {
        let text = specification_of("ws://h/echo", &Cases::Standard, Path::new("reports"));
        let specification: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(specification["servers"][0]["url"], "ws://h/echo");
        assert_eq!(specification["exclude-cases"], json!(["11.*", "12.*", "13.*"]));
    }
}
