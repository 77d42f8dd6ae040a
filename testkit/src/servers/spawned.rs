//! A server's process with its port and directory: [`Spawned`].

use std::{
    fs::{self, File},
    io::ErrorKind,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::deadline::DEADLINE;

/// A directory that goes when this does.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(what: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Relaxed);
        let name = format!("realtime-{what}-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Another process had this number, and did not come to remove it.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a temporary directory can be made");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Spawned {
    child: Child,
    log: PathBuf,
}

impl Spawned {
    /// Starts `program`, which writes what it has to say to a log in `directory`.
    pub(crate) fn start(
        program: &str,
        install: &str,
        arguments: &[String],
        at: &Directory,
    ) -> Self {
        let log = at.path().join("log");
        let file = File::options().create(true).append(true).open(&log).expect("a log can be made");
        let child = Command::new(program)
            .args(arguments)
            .current_dir(at.path())
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("the log can be shared"))
            .stderr(file)
            .spawn();
        match child {
            Ok(child) => Self { child, log },
            Err(error) if error.kind() == ErrorKind::NotFound => panic!("install {install}"),
            Err(error) => panic!("{program} does not start: {error}"),
        }
    }

    /// Waits until `is_ready`. False when the process has ended before.
    pub(crate) fn wait_until_ready(&mut self, mut is_ready: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + DEADLINE;
        while !is_ready() {
            if self.child.try_wait().expect("a child can be asked").is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "not ready after {DEADLINE:?}:\n{}", self.log());
            sleep(Duration::from_millis(5));
        }
        true
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends SIGKILL and waits until the process is gone.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody listens on now. Somebody may a moment later: try again with another.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    listener.local_addr().expect("a listener has an address").port()
}
