//! Hosts of their own on this machine, and a cable between them that can be pulled.
//!
//! A peer that drops off the network sends nothing: no FIN, no RST, no acknowledgement. No socket option
//! does that, and no proxy either, whose own sockets go on to acknowledge. So the hosts are Linux's network
//! namespaces, and the cable is a pair of virtual Ethernet devices.

use std::{
    io,
    net::Ipv4Addr,
    process::{self, Command},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// Two hosts and the cable between them; dropping it removes them, once their sockets are closed.
#[derive(Debug)]
pub(crate) struct Network {
    number: usize,
}

impl Network {
    /// Makes them.
    ///
    /// # Panics
    ///
    /// With what to install or to allow, where that can't be done.
    pub(crate) fn new() -> Self {
        static NETWORKS: AtomicUsize = AtomicUsize::new(0);
        let network = Self { number: NETWORKS.fetch_add(1, Ordering::Relaxed) };
        let [server, client] = [network.server(), network.client()];
        for host in [server, client] {
            // There is one of this name only if a process of this number was killed.
            let _ = ip(&["netns", "del", &host.name()]);
            must(&["netns", "add", &host.name()]);
        }
        let (one, other) = (server.name(), client.name());
        let pair = ["type", "veth", "peer", "name", CABLE, "netns", &other];
        must(&[&["link", "add", CABLE, "netns", &one][..], &pair].concat());
        for host in [server, client] {
            let address = format!("{}/30", host.ip());
            must(&["-n", &host.name(), "address", "add", &address, "dev", CABLE]);
            must(&["-n", &host.name(), "link", "set", CABLE, "up"]);
        }
        network
    }

    /// The host at which servers listen.
    pub(crate) fn server(&self) -> Host {
        Host { network: self.number, is_server: true }
    }

    /// The host from which clients come.
    pub(crate) fn client(&self) -> Host {
        Host { network: self.number, is_server: false }
    }

    /// Pulls the cable at the clients' end: nothing arrives any more in either direction, and nobody is
    /// told.
    pub(crate) fn cut(&self) {
        must(&["-n", &self.client().name(), "link", "set", CABLE, "down"]);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in [self.server(), self.client()] {
            // Fails only if it was not made.
            let _ = ip(&["netns", "del", &host.name()]);
        }
    }
}

/// One of a network's hosts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Host {
    network: usize,
    is_server: bool,
}

impl Host {
    /// Its address; the same in every network, since no network knows of another.
    pub(crate) fn ip(self) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, if self.is_server { 1 } else { 2 })
    }

    /// Does `work` on this host, as far as that makes sockets and threads: they stay there.
    ///
    /// # Panics
    ///
    /// When `work` does, and with what to allow, where a thread may not go there.
    pub(crate) fn run<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        let there = move || {
            let place = format!("/run/netns/{}", self.name());
            enter(&place)
                .unwrap_or_else(|error| panic!("could not enter {place}: {error}; {NEEDS}"));
            work()
        };
        thread::scope(|scope| scope.spawn(there).join()).expect("a thread that got there")
    }

    /// No other process has one of this name.
    fn name(self) -> String {
        let side = if self.is_server { "server" } else { "client" };
        format!("realtime-{}-{}-{side}", process::id(), self.network)
    }
}

/// Takes this thread to the host at `place`.
#[cfg(target_os = "linux")]
fn enter(place: &str) -> io::Result<()> {
    use std::{fs::File, os::fd::AsFd as _};

    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

    let place = File::open(place)?;
    Ok(move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))?)
}

#[cfg(not(target_os = "linux"))]
fn enter(_: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn must(arguments: &[&str]) {
    if let Err(error) = ip(arguments) {
        panic!("`ip {}`: {error}; {NEEDS}", arguments.join(" "));
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

const CABLE: &str = "cable";
const NEEDS: &str = "this test makes network namespaces: it needs Linux, `ip` (Debian: apt-get install \
    iproute2), and to run as root, in a container with --cap-add=NET_ADMIN --cap-add=SYS_ADMIN";
