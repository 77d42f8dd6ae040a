//! redis-server, also as a sentinel: [`RedisServer`], [`RedisSentinel`].

use std::{fs, time::Instant};

use crate::{
    deadline::DEADLINE,
    servers::{
        redis_client::{RedisClient, RedisReply},
        spawned::{Directory, Spawned, free_port},
    },
};

const INSTALL: &str = "redis-server (Debian: apt-get install redis-server)";
/// How often another port is tried when somebody else was faster to take it.
const ATTEMPTS: usize = 5;

/// How a [`RedisServer`] is to run.
#[derive(Clone, Debug, Default)]
pub struct RedisOptions {
    append_only: bool,
    password: Option<String>,
    cluster: bool,
}

impl RedisOptions {
    /// In memory only, open to everybody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every command that writes goes to the append-only file before it is answered, and to the disk once
    /// a second.
    #[must_use]
    pub fn append_only(mut self) -> Self {
        self.append_only = true;
        self
    }

    /// Only for who knows `password`.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// A cluster of one node, which has all slots.
    #[must_use]
    pub fn cluster(mut self) -> Self {
        self.cluster = true;
        self
    }
}

/// A real redis-server on a free port of 127.0.0.1, in a temporary directory.
///
/// Dropped, it is killed and its directory removed.
#[derive(Debug)]
pub struct RedisServer {
    // Before the directory: the process goes first.
    process: Spawned,
    directory: Directory,
    port: u16,
    options: RedisOptions,
}

impl RedisServer {
    /// Starts one that keeps nothing on disk.
    ///
    /// # Panics
    /// As [`with`](Self::with).
    pub fn start() -> Self {
        Self::with(RedisOptions::new())
    }

    /// Starts one, and returns once it answers.
    ///
    /// # Panics
    /// When redis-server is missing, or does not answer within [`DEADLINE`](crate::DEADLINE).
    pub fn with(options: RedisOptions) -> Self {
        let directory = Directory::new("redis");
        for _ in 0..ATTEMPTS {
            let port = free_port();
            if let Some(process) = spawn(&options, port, &directory) {
                let server = Self { process, directory, port, options };
                server.own_all_slots();
                return server;
            }
        }
        panic!("redis-server has ended {ATTEMPTS} times:\n{}", log(&directory));
    }

    /// The port that it listens on, also after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, with the password if there is one.
    pub fn url(&self) -> String {
        match &self.options.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    /// Sends SIGKILL, and returns once the process is gone. What it had in memory is lost.
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
        panic!("redis-server does not start again:\n{}", log(&self.directory));
    }

    /// A connection to it, authenticated.
    ///
    /// # Panics
    /// When it does not take one.
    pub fn client(&self) -> RedisClient {
        let mut client = RedisClient::connect(self.port).expect("redis-server takes connections");
        if let Some(password) = &self.options.password {
            let reply = client.call(&[b"AUTH", password.as_bytes()]).expect("an answer");
            assert_eq!(reply, RedisReply::Status("OK".into()), "in answer to AUTH");
        }
        client
    }

    /// Sends one command over a connection of its own.
    ///
    /// # Panics
    /// When it is not answered within [`DEADLINE`](crate::DEADLINE). An error is an answer.
    pub fn call(&self, arguments: &[&[u8]]) -> RedisReply {
        self.client().call(arguments).expect("an answer")
    }

    fn own_all_slots(&self) {
        if !self.options.cluster {
            return;
        }
        let added = self.call(&[b"CLUSTER", b"ADDSLOTSRANGE", b"0", b"16383"]);
        assert_eq!(added, RedisReply::Status("OK".into()));
        let deadline = Instant::now() + DEADLINE;
        while !says(&self.call(&[b"CLUSTER", b"INFO"]), "cluster_state:ok") {
            assert!(Instant::now() < deadline, "no cluster:\n{}", log(&self.directory));
            std::thread::yield_now();
        }
    }
}

/// Whether a reply's bytes contain `text`.
fn says(reply: &RedisReply, text: &str) -> bool {
    matches!(reply, RedisReply::Bulk(Some(bytes)) if String::from_utf8_lossy(bytes).contains(text))
}

fn log(directory: &Directory) -> String {
    fs::read_to_string(directory.path().join("log")).unwrap_or_default()
}

/// Nothing when it has ended at once, as it does when its port is taken.
fn spawn(options: &RedisOptions, port: u16, directory: &Directory) -> Option<Spawned> {
    let port_text = port.to_string();
    let mut arguments: Vec<String> =
        ["--bind", "127.0.0.1", "--port", &port_text, "--save", ""].map(str::to_owned).to_vec();
    let mut option = |name: &str, value: &str| {
        arguments.extend([name.to_owned(), value.to_owned()]);
    };
    if options.append_only {
        option("--appendonly", "yes");
        option("--appendfsync", "everysec");
    }
    if let Some(password) = &options.password {
        option("--requirepass", password);
    }
    if options.cluster {
        option("--cluster-enabled", "yes");
        option("--cluster-port", &free_port().to_string());
    }
    let mut process = Spawned::start("redis-server", INSTALL, &arguments, directory);
    let id = process.id();
    let password = options.password.as_deref();
    process.wait_until_ready(|| is_answering(port, password, id)).then_some(process)
}

/// Whether this process, and no other that has taken its port, has loaded its data.
fn is_answering(port: u16, password: Option<&str>, id: u32) -> bool {
    let ask = || {
        let mut client = RedisClient::connect(port)?;
        if let Some(password) = password {
            client.call(&[b"AUTH", password.as_bytes()])?;
        }
        let is_loaded = matches!(client.call(&[b"PING"])?, RedisReply::Status(_));
        let info = client.call(&[b"INFO", b"server"])?;
        Ok::<bool, std::io::Error>(is_loaded && says(&info, &format!("process_id:{id}\r\n")))
    };
    ask().unwrap_or(false)
}

/// A real redis-server as the sentinel that watches one master.
///
/// Dropped, it is killed and its directory removed.
#[derive(Debug)]
pub struct RedisSentinel {
    _process: Spawned,
    _directory: Directory,
    port: u16,
}

impl RedisSentinel {
    /// Starts one that knows `master` as `service`.
    ///
    /// # Panics
    /// When redis-server is missing, or does not answer within [`DEADLINE`](crate::DEADLINE).
    pub fn watching(master: &RedisServer, service: &str) -> Self {
        let directory = Directory::new("sentinel");
        for _ in 0..ATTEMPTS {
            let port = free_port();
            let path = directory.path().join("sentinel.conf");
            let mut settings = format!(
                "bind 127.0.0.1\nport {port}\nsentinel monitor {service} 127.0.0.1 {} 1\n",
                master.port
            );
            if let Some(password) = &master.options.password {
                settings.push_str(&format!("sentinel auth-pass {service} {password}\n"));
            }
            fs::write(&path, settings).expect("a file can be written");
            let arguments = [path.display().to_string(), "--sentinel".to_owned()];
            let mut process = Spawned::start("redis-server", INSTALL, &arguments, &directory);
            let id = process.id();
            if process.wait_until_ready(|| is_answering(port, None, id)) {
                return Self { _process: process, _directory: directory, port };
            }
        }
        panic!("the sentinel has ended {ATTEMPTS} times:\n{}", log(&directory));
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}
