//! Real sockets on the loopback interface: the testbed in one process, clients in several.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use super::{
    kernel::{self, Memory},
    options::Options,
};
use crate::{
    Result,
    memory::{self, resident_at_rest},
    testbed::{self, Server},
    workspace,
};

/// Half of the processes have event streams, half have WebSockets.
const PROCESSES: usize = 4;

/// Descriptors that a server has beside its connections, with room for who publishes.
const SPARE: usize = 100;

/// Connections that are open before the count begins, so that what is made once is made.
const WARM_UP: usize = 20;

/// By when all clients are let in, and by when all have an event.
const PATIENCE: Duration = Duration::from_secs(120);

const EVENT_BYTES: usize = 128;

#[derive(Debug)]
pub struct Measured {
    pub adapter: &'static str,
    pub connections: usize,
    /// Resident, of each.
    pub sse_bytes: f64,
    pub websocket_bytes: f64,
    /// What the kernel holds for the two sockets of a connection, its server's and its client's.
    pub kernel_bytes: f64,
    pub opened_per_second: f64,
    /// Of a core.
    pub idle_ms_per_second: f64,
    /// From the beginning of the request that publishes until the last client has it.
    pub wave_ms: f64,
    pub cpu_ns_per_delivery: f64,
    /// Until that request is answered.
    pub publish_p50_us: f64,
    pub publish_p99_us: f64,
}

pub fn measure(
    options: &Options,
    adapter: &'static str,
    bench: &Path,
    folder: &Path,
) -> Result<Measured> {
    let testbed = workspace::target()?.join(testbed::BINARY);
    let log = folder.join(format!("scale-{adapter}.log"));
    let server = Server::start_with(&testbed, adapter, &["--threads", "1"], &[], &log)?;
    let most = kernel::most_descriptors()?.saturating_sub(SPARE + WARM_UP);
    let connections = options.connections.unwrap_or(most).min(most);
    let each = connections / PROCESSES;
    let connections = each * PROCESSES;

    let _warm = Clients::start(bench, &server, 1, WARM_UP / 2, WARM_UP / 2)?;
    let kernel_before = Memory::read()?;
    let before = memory_at_rest(&server)?;
    let began = Instant::now();
    let mut clients = Vec::new();
    for nth in 0..PROCESSES / 2 {
        clients.push(Clients::start(bench, &server, nth + 2, each, 0)?);
    }
    let mut opening = began.elapsed();
    let between = memory_at_rest(&server)?;
    let began = Instant::now();
    for nth in PROCESSES / 2..PROCESSES {
        clients.push(Clients::start(bench, &server, nth + 2, 0, each)?);
    }
    opening += began.elapsed();
    let after = memory_at_rest(&server)?;
    let kernel_after = Memory::read()?;
    let half = (connections / 2) as f64;
    let of_kernel = |memory: Memory| memory.slab + memory.tcp;

    let idle = cpu_of(&server, || {
        thread::sleep(Duration::from_secs(options.idle));
        Ok(())
    })?;
    let (mut waves, mut calls) = (Vec::new(), Vec::new());
    let publishing = cpu_of(&server, || {
        for event in 0..options.events {
            // A connection for each: while a wave lasts, the server may close one that is idle.
            let mut publisher = Publisher::connect(&server)?;
            let began = SystemTime::now();
            calls.push(publisher.publish()?);
            for clients in &clients {
                let last = clients.had(event)?;
                waves.push(last.duration_since(began).unwrap_or_default());
            }
        }
        Ok(())
    })?;
    // The last of all processes is what a wave took.
    let mut waves: Vec<_> =
        waves.chunks(clients.len()).filter_map(|each| each.iter().max().copied()).collect();
    drop(clients);
    server.stop()?;
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    Ok(Measured {
        adapter,
        connections,
        sse_bytes: (between - before) / half,
        websocket_bytes: (after - between) / half,
        kernel_bytes: (of_kernel(kernel_after) - of_kernel(kernel_before)) / connections as f64,
        opened_per_second: connections as f64 / opening.as_secs_f64(),
        idle_ms_per_second: idle.as_secs_f64() * 1e3 / options.idle as f64,
        wave_ms: micros(quantile(&mut waves, 50)) / 1e3,
        cpu_ns_per_delivery: publishing.as_secs_f64() * 1e9 / (connections * options.events) as f64,
        publish_p50_us: micros(quantile(&mut calls, 50)),
        publish_p99_us: micros(quantile(&mut calls, 99)),
    })
}

fn memory_at_rest(server: &Server) -> Result<f64> {
    // It may come to no rest while heartbeats are sent.
    let kib = resident_at_rest(server.process()).or_else(|_| memory::resident(server.process()))?;
    Ok(kib as f64 * 1024.0)
}

fn cpu_of(server: &Server, meanwhile: impl FnOnce() -> Result) -> Result<Duration> {
    let before = kernel::ran(server.process())?;
    meanwhile()?;
    Ok(kernel::ran(server.process())?.saturating_sub(before))
}

fn quantile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

/// A process of clients; they leave when this is dropped.
struct Clients {
    process: Child,
    /// It ends when this is closed.
    input: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Clients {
    /// Opens so many event streams and WebSockets from an address for itself, and waits until all are.
    fn start(
        bench: &Path,
        server: &Server,
        source: usize,
        streams: usize,
        websockets: usize,
    ) -> Result<Self> {
        let mut process = Command::new(bench)
            .args(["clients", &server.address().to_string(), &source.to_string()])
            .args([streams.to_string(), websockets.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("could not start clients: {error}"))?;
        let (tell, lines) = mpsc::channel();
        if let Some(output) = process.stdout.take() {
            thread::spawn(move || {
                let lines = BufReader::new(output).lines().map_while(std::io::Result::ok);
                // Nobody listens any more after the last.
                lines.for_each(|line| drop(tell.send(line)));
            });
        }
        let input = process.stdin.take();
        let clients = Self { process, input, lines };
        let line = clients.line()?;
        if line == "open" { Ok(clients) } else { Err(format!("a client should be let in: {line}")) }
    }

    /// When the last of them had the event, counted from the first.
    fn had(&self, event: usize) -> Result<SystemTime> {
        let line = self.line()?;
        let nanoseconds =
            line.strip_prefix(&format!("had {event} ")).and_then(|it| it.parse().ok());
        let nanoseconds = nanoseconds
            .ok_or_else(|| format!("clients should have event {event}, they say: {line}"))?;
        Ok(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds))
    }

    fn line(&self) -> Result<String> {
        self.lines.recv_timeout(PATIENCE).map_err(|_| {
            format!("clients should say something within {} s; see above", PATIENCE.as_secs())
        })
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.input = None;
        // Both fail only if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Who publishes.
struct Publisher(TcpStream);

impl Publisher {
    fn connect(server: &Server) -> Result<Self> {
        let connect = || {
            let socket = TcpStream::connect(server.address())?;
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            Ok(socket)
        };
        connect().map(Self).map_err(|error: std::io::Error| format!("could not connect: {error}"))
    }

    /// How long it took until the server said that it was published.
    fn publish(&mut self) -> Result<Duration> {
        // The clients look for this sign.
        let event = format!("@{}", "x".repeat(EVENT_BYTES - 1));
        let request = format!(
            "POST /publish?topic=scale HTTP/1.1\r\nHost: x\r\nContent-Length: {EVENT_BYTES}\r\n\r\n{event}"
        );
        let failed = |error| format!("could not publish: {error}");
        let began = Instant::now();
        self.0.write_all(request.as_bytes()).map_err(failed)?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let mut buffer = [0; 1024];
            match self.0.read(&mut buffer).map_err(failed)? {
                0 => return Err("the server closed the publisher's connection".to_owned()),
                length => answer.extend_from_slice(&buffer[..length]),
            }
        }
        let took = began.elapsed();
        if answer.starts_with(b"HTTP/1.1 200") {
            Ok(took)
        } else {
            Err(format!("publishing should succeed: {}", answer.escape_ascii()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_was_measured() {
        let mut times: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(quantile(&mut times, 50), Duration::from_millis(51));
        assert_eq!(quantile(&mut times, 99), Duration::from_millis(100));
        assert_eq!(quantile(&mut times[..1], 99), Duration::from_millis(1));
    }
}
