//! A service whose process is replaced again and again, on one port, while clients stay:
//! `cargo run --example rolling_restart --features axum`, then open the address that it prints.
//!
//! The next process listens beside the one before (`SO_REUSEPORT`) until that one, having been sent
//! SIGTERM, has let all clients go: each is told when to come back, so that they don't all come at once,
//! and none has to be cut.
//!
//! What a client missed meanwhile is in the memory of a process that is gone, since the hub's embedded
//! broker ends with it. So each client is told `realtime.reset`, with an id of the new process, and the
//! page loads its state anew. With a broker that outlives the processes nothing is lost.
//!
//! - `instance.rs`: one process of the service, which is all that there is to write;
//! - this file: what an orchestrator does.
#![forbid(unsafe_code)]

#[cfg(unix)]
mod instance;

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

const USAGE: &str = "\
Usage: rolling_restart [--listen ADDRESS] [--every SECONDS]

  --listen ADDRESS    where to listen (default: 127.0.0.1:8080); port 0 takes a free one
  --every SECONDS     how often the process is replaced (default: 10)";

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run(std::env::args().skip(1)).await else { return ExitCode::SUCCESS };
    // There is nowhere left to tell that this failed.
    let _ = writeln!(io::stderr(), "rolling_restart: {error}");
    ExitCode::FAILURE
}

async fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let (mut listen, mut every, mut is_instance) = ("127.0.0.1:8080".to_owned(), 10, false);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
        match &*argument {
            "--listen" => listen = value()?,
            "--every" => every = value()?.parse().map_err(|_| "--every wants a number")?,
            "--instance" => is_instance = true,
            "--help" | "-h" => return Ok(writeln!(io::stdout(), "{USAGE}")?),
            other => return Err(format!("unknown argument {other:?}; --help tells more").into()),
        }
    }
    let listen = listen.parse().map_err(|_| "--listen wants an address, such as 127.0.0.1:8080")?;
    #[cfg(unix)]
    return if is_instance {
        instance::run(listen).await
    } else {
        orchestrator::run(listen, std::time::Duration::from_secs(every)).await
    };
    #[cfg(not(unix))]
    {
        let (_, _, _): (std::net::SocketAddr, u64, bool) = (listen, every, is_instance);
        Err("this example needs SIGTERM and SO_REUSEPORT".into())
    }
}

/// Replaces the process of the service, without a moment in which nobody listens.
#[cfg(unix)]
mod orchestrator {
    use std::{error::Error, io::Write as _, net::SocketAddr, process::Stdio, time::Duration};

    use rustix::process::{Pid, Signal, kill_process};
    use tokio::{
        io::{AsyncBufReadExt as _, BufReader, Lines},
        process::{Child, ChildStdout, Command},
        signal::ctrl_c,
        time::sleep,
    };

    use crate::instance;

    pub(super) async fn run(listen: SocketAddr, every: Duration) -> Result<(), Box<dyn Error>> {
        // It never listens: the port is ours also where 0 was asked for, and the same for all.
        let port = instance::bind(listen)?;
        let listen = port.local_addr()?.as_socket().ok_or("not an address of the internet")?;
        let mut current = Process::start(listen).await?;
        writeln!(std::io::stdout(), "listening on http://{listen}")?;
        loop {
            tokio::select! {
                () = sleep(every) => {}
                // The process got it too.
                asked = ctrl_c() => {
                    asked?;
                    return current.end().await;
                }
            }
            let next = Process::start(listen).await?;
            current.ask_to_stop()?;
            current.end().await?;
            current = next;
        }
    }

    struct Process {
        child: Child,
        output: Lines<BufReader<ChildStdout>>,
    }

    impl Process {
        /// Starts one, and waits until it listens.
        async fn start(listen: SocketAddr) -> Result<Self, Box<dyn Error>> {
            let mut child = Command::new(std::env::current_exe()?)
                .args(["--instance", "--listen", &listen.to_string()])
                // It ends when this one does, in whatever way.
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            let output = child.stdout.take().ok_or("no output")?;
            let mut output = BufReader::new(output).lines();
            output.next_line().await?.ok_or("the process ended before it listened")?;
            Ok(Self { child, output })
        }

        fn ask_to_stop(&self) -> Result<(), Box<dyn Error>> {
            let id = self.child.id().ok_or("the process has ended by itself")?;
            let id = Pid::from_raw(id.try_into()?).ok_or("no process has the id 0")?;
            Ok(kill_process(id, Signal::TERM)?)
        }

        /// Waits until it has let all clients go, and tells what it says about that.
        async fn end(mut self) -> Result<(), Box<dyn Error>> {
            while let Some(line) = self.output.next_line().await? {
                writeln!(std::io::stdout(), "{line}")?;
            }
            let status = self.child.wait().await?;
            if status.success() { Ok(()) } else { Err(format!("the process {status}").into()) }
        }
    }
}
