//! `cargo xtask memory`: what an idle connection costs the server.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Result,
    testbed::{self, ADAPTERS, Server},
    workspace,
};

/// Connections that are open before the count begins, so that what is made once is made.
const WARM_UP: usize = 20;

/// How long the server's memory may take to come to rest.
const REST_LIMIT: Duration = Duration::from_secs(10);

const WEBSOCKET: &str = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SSE: &str = "GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";

pub fn run(arguments: &[&str]) -> Result {
    let connections = match arguments {
        [] => 5000,
        ["--connections", count] => count
            .parse()
            .ok()
            .filter(|count| *count > 0)
            .ok_or_else(|| format!("`--connections` takes a number above 0, not `{count}`"))?,
        _ => return Err("memory knows only --connections N".to_owned()),
    };
    testbed::build()?;
    let target = workspace::target()?;
    println!("KiB of resident memory per idle connection, {connections} open:");
    println!("adapter  WebSocket    SSE");
    for adapter in ADAPTERS {
        let cost = |request: &str| -> Result<f64> {
            let log = target.join(format!("memory-{adapter}.log"));
            let server = Server::start(&target.join(testbed::BINARY), adapter, &log)?;
            let cost = idle_cost(&server, request, connections)?;
            server.stop()?;
            Ok(cost)
        };
        println!("{adapter:<8} {:>9.2} {:>6.2}", cost(WEBSOCKET)?, cost(SSE)?);
    }
    Ok(())
}

fn idle_cost(server: &Server, request: &str, connections: usize) -> Result<f64> {
    let open = |count: usize| {
        (0..count).map(|_| open(server.address(), request)).collect::<Result<Vec<_>>>()
    };
    let _warm = open(WARM_UP)?;
    let before = resident_at_rest(server.process())?;
    let _open = open(connections)?;
    let after = resident_at_rest(server.process())?;
    Ok((after as f64 - before as f64) / connections as f64)
}

/// Opens a connection and reads the answer's head, and the first block of an event stream.
fn open(address: SocketAddr, request: &str) -> Result<TcpStream> {
    let failed = |error| {
        format!(
            "could not open a connection: {error}; is the limit on open files (ulimit -n) high enough?"
        )
    };
    let mut socket = TcpStream::connect(address).map_err(failed)?;
    socket.set_read_timeout(Some(REST_LIMIT)).map_err(failed)?;
    socket.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    let is_whole = |answer: &[u8]| {
        let text = String::from_utf8_lossy(answer);
        text.contains("\r\n\r\n") && (request == WEBSOCKET || text.contains("\nid: "))
    };
    while !is_whole(&answer) {
        let mut buffer = [0; 1024];
        match socket.read(&mut buffer).map_err(failed)? {
            0 => return Err("the server closed a connection that should stay open".to_owned()),
            length => answer.extend_from_slice(&buffer[..length]),
        }
    }
    Ok(socket)
}

/// The resident memory in KiB, once it has been the same for half a second.
pub fn resident_at_rest(process: u32) -> Result<u64> {
    let deadline = Instant::now() + REST_LIMIT;
    let (mut last, mut same) = (resident(process)?, 0);
    while same < 5 {
        if Instant::now() > deadline {
            return Err(format!(
                "the server's memory should come to rest within {} s and did not",
                REST_LIMIT.as_secs()
            ));
        }
        thread::sleep(Duration::from_millis(100));
        let now = resident(process)?;
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    Ok(last)
}

/// The resident memory in KiB.
pub fn resident(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path)
        .map_err(|error| format!("could not read {path} (Linux only): {error}"))?;
    resident_in(&status).ok_or_else(|| format!("{path} should have a line `VmRSS:` in kB"))
}

fn resident_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_memory_is_found_among_the_rest() {
        let status = "VmHWM:\t   99999 kB\nVmRSS:\t   15820 kB\nRssAnon:\t 1 kB\n";
        assert_eq!(resident_in(status), Some(15820));
        assert_eq!(resident_in("VmRSS:\t many"), None);
    }

    #[test]
    fn mistakes_are_told() {
        assert!(run(&["--connections", "0"]).is_err_and(|told| told.contains("above 0")));
        assert!(run(&["--fast"]).is_err_and(|told| told.contains("--connections")));
    }
}
