//! The server under test as a process of its own: started, told what to publish, looked at, ended.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};
use socket2::{Domain, Socket, Type};
use tokio::io::AsyncReadExt;

use crate::{floors, limit, ours, plan::Transport, rivals};

/// The core of the server; the clients have the next.
const SERVER_CORE: usize = 0;

/// How long a server may take to listen; under valgrind that is seconds.
const START: Duration = Duration::from_secs(60);

/// How long a server may take to end by itself, which a profiler needs.
const END: Duration = Duration::from_secs(20);

/// A running server; dropping it ends it.
pub(crate) struct Server {
    child: Child,
    control: TcpStream,
    addr: SocketAddr,
    process: u32,
}

impl Server {
    /// Starts this program once more, as that server; `under` is what to run it with, if anything.
    pub(crate) fn start(name: &str, transport: Transport, bytes: usize, under: &[String]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let control = listener.local_addr().expect("an address").to_string();
        let this = std::env::current_exe().expect("this program");
        let mut words = under.iter().map(Into::into).chain([this.into_os_string()]);
        let mut child = Command::new(words.next().expect("a program"))
            .args(words)
            .args(["--server-only", name, "--transport", transport.name()])
            .args(["--bytes", &bytes.to_string(), "--control", &control])
            .stdin(Stdio::null())
            .spawn()
            .expect("this program runs");
        let control = accept(&listener, &mut child);
        control.set_nodelay(true).expect("no delay");
        let mut line = String::new();
        BufReader::new(&control).read_line(&mut line).expect("where it listens");
        let (addr, process) = line.trim().split_once(' ').expect("an address and a process");
        let (addr, process) = (addr.parse(), process.parse());
        Self {
            child,
            control,
            addr: addr.expect("an address"),
            process: process.expect("a number"),
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Has it publish until there are so many messages in all.
    pub(crate) fn publish_until(&mut self, count: u64) {
        self.control.write_all(&count.to_le_bytes()).expect("the server lives");
    }

    /// How long its threads were running so far.
    pub(crate) fn ran(&self) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process)).expect("it lives");
        let ran = threads.filter_map(|thread| {
            let stat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            stat.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(ran.sum())
    }
}

impl Server {
    /// Bytes that are resident.
    pub(crate) fn resident(&self) -> f64 {
        let sums = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.process));
        let sums = sums.expect("it lives");
        let kib = sums.lines().find_map(|line| line.strip_prefix("Rss:")?.strip_suffix("kB"));
        kib.and_then(|kib| kib.trim().parse::<f64>().ok()).expect("a number") * 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends when nobody controls it any more; both fail only if it has ended already.
        let _ = self.control.shutdown(std::net::Shutdown::Both);
        let ends = Instant::now() + END;
        while self.child.try_wait().is_ok_and(|it| it.is_none()) && Instant::now() < ends {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server's connection, unless it dies before.
fn accept(listener: &TcpListener, child: &mut Child) -> TcpStream {
    listener.set_nonblocking(true).expect("a listener that does not block");
    let ends = Instant::now() + START;
    loop {
        if let Ok((socket, _)) = listener.accept() {
            socket.set_nonblocking(false).expect("a socket that blocks");
            return socket;
        }
        let ended = child.try_wait().expect("a child");
        if ended.is_some() || Instant::now() > ends {
            // Fails only if it has ended already.
            let _ = child.kill();
            panic!("the server does not start: {ended:?}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What a server has to do, in its own process.
pub(crate) struct Task {
    pub(crate) listener: TcpListener,
    pub(crate) orders: TcpStream,
    pub(crate) transport: Transport,
    pub(crate) bytes: usize,
}

/// Is the server `name`, until nobody controls it any more.
pub(crate) fn serve(name: &str, transport: Transport, bytes: usize, control: &str) {
    pin(SERVER_CORE);
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a port");
    listener.listen(4096).expect("a listener");
    listener.set_nonblocking(true).expect("a listener that does not block");
    let listener = TcpListener::from(listener);
    let mut orders = TcpStream::connect(control).expect("somebody controls it");
    let addr = listener.local_addr().expect("an address");
    let line = format!("{addr} {}\n", std::process::id());
    orders.write_all(line.as_bytes()).expect("somebody controls it");
    orders.set_nonblocking(true).expect("a socket that does not block");
    orders.set_nodelay(true).expect("no delay");
    let task = Task { listener, orders, transport, bytes };
    let is_known =
        ours::serve(name, &task) || rivals::serve(name, &task) || floors::serve(name, &task);
    if !is_known {
        limit::serve(name, task);
    }
}

/// Has this thread and those that it starts run on one core; where there are fewer, anywhere.
pub(crate) fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    let _ = sched_setaffinity(None, &cores);
}

/// Nanoseconds of the clock that all processes share.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Before the time in a message.
pub(crate) const MARK: u8 = b'~';
/// Digits of the time.
pub(crate) const DIGITS: usize = 19;
/// Ends a message, and stands nowhere else.
pub(crate) const END_MARK: u8 = b'@';

/// A message of that many bytes that says when it was made.
pub(crate) fn message(bytes: usize) -> String {
    let mut message = format!("{}{:0DIGITS$}", char::from(MARK), now());
    message.extend(std::iter::repeat_n('x', bytes - DIGITS - 2));
    message.push(char::from(END_MARK));
    message
}

/// Publishes as it is told, and ends the process when nobody tells it any more.
pub(crate) async fn obey(orders: TcpStream, bytes: usize, mut publish: impl AsyncFnMut(String)) {
    let mut orders = tokio::net::TcpStream::from_std(orders).expect("a socket");
    let mut published = 0;
    while let Ok(until) = orders.read_u64_le().await {
        while published < until {
            publish(message(bytes)).await;
            published += 1;
        }
    }
    std::process::exit(0);
}

impl Task {
    /// The socket that orders come from, once more.
    pub(crate) fn orders(&self) -> TcpStream {
        self.orders.try_clone().expect("a descriptor")
    }

    /// The listener, for tokio.
    pub(crate) fn listener(&self) -> tokio::net::TcpListener {
        let listener = self.listener.try_clone().expect("a descriptor");
        tokio::net::TcpListener::from_std(listener).expect("a listener")
    }
}

/// Runs a server on one thread.
pub(crate) fn block_on(server: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(server);
}
