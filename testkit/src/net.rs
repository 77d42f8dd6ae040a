//! Connecting, and the ways a TCP connection ends.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::hosts::Host;

/// Where and how a client connects; a plain [`SocketAddr`] converts into one.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Dial {
    addr: SocketAddr,
    recv_buffer: Option<u32>,
    from: Option<IpAddr>,
    host: Option<Host>,
}

impl Dial {
    /// Connects to `addr` with the system's socket options.
    pub fn to(addr: SocketAddr) -> Self {
        Self { addr, recv_buffer: None, from: None, host: None }
    }

    /// Sets `SO_RCVBUF` before connecting, so that a client which does not read fills up soon.
    ///
    /// The kernel doubles the value and has a floor of a few KiB. What the server may have under
    /// way also counts its own send buffer.
    pub fn recv_buffer(mut self, bytes: u32) -> Self {
        self.recv_buffer = Some(bytes);
        self
    }

    /// Connects from this local address; on Linux all of `127.0.0.0/8` is there to play many hosts.
    pub fn from_ip(mut self, ip: IpAddr) -> Self {
        self.from = Some(ip);
        self
    }

    /// Connects from another host.
    pub(crate) fn at_host(mut self, host: Host) -> Self {
        self.host = Some(host);
        self
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Connects with `TCP_NODELAY`, so that what was written apart leaves apart.
    pub(crate) async fn connect(self) -> io::Result<TcpStream> {
        let is_v4 = self.addr.is_ipv4();
        let socket = move || if is_v4 { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        // A socket belongs to the host that it was made at.
        let socket = self.host.map_or_else(socket, |host| host.run(socket))?;
        if let Some(bytes) = self.recv_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(ip) = self.from {
            socket.bind(SocketAddr::new(ip, 0))?;
        }
        let stream = socket.connect(self.addr).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl From<SocketAddr> for Dial {
    fn from(addr: SocketAddr) -> Self {
        Self::to(addr)
    }
}

/// What one read brought.
pub(crate) enum Read {
    Bytes,
    Fin,
    Reset,
}

/// Appends to `buffer` what the kernel has; cancel safe.
///
/// # Panics
///
/// On an IO error that is not the peer's reset.
pub(crate) async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Read {
    buffer.reserve(READ_SIZE);
    match stream.read_buf(buffer).await {
        Ok(0) => Read::Fin,
        Ok(_) => Read::Bytes,
        Err(error) if is_reset(&error) => Read::Reset,
        Err(error) => panic!("read failed: {error}"),
    }
}

/// Whether the peer sent RST. The kernel reports it once, to whichever call comes first.
pub(crate) fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted)
}

/// Sends FIN and keeps the reading side.
pub(crate) async fn send_fin(stream: &mut TcpStream) {
    // Fails only if the peer has reset the connection already, which ends it as well.
    let _ = stream.shutdown().await;
}

/// Sends RST instead of FIN.
pub(crate) fn reset(stream: TcpStream) {
    stream.set_zero_linger().expect("SO_LINGER is settable on an open socket");
    drop(stream);
}

const READ_SIZE: usize = 4096;
