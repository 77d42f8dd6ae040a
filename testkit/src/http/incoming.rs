//! A response that is still arriving.

use std::{io, pin::pin};

use tokio::{
    io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    time::timeout_at,
};

use super::{
    Response,
    body::{Body, End},
    head::Head,
};
use crate::{
    deadline::{DEADLINE, deadline},
    net::{self, Dial, Read},
    transcript::preview,
};

/// A response whose head is there and whose body is read on demand.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) stream: TcpStream,
    pub(crate) head: Head,
    /// The body so far, without its transfer coding.
    pub(crate) body: Vec<u8>,
    pub(crate) end: Option<End>,
    framing: Body,
    /// What was read and is not body: only after 101.
    upgraded: Vec<u8>,
}

impl Incoming {
    /// Connects, sends `request` and reads the head; panics at the deadline.
    pub(crate) async fn open(dial: Dial, request: &[u8]) -> io::Result<Self> {
        match timeout_at(deadline(), dial.connect()).await {
            Ok(stream) => Self::on(stream?, request).await,
            Err(_) => panic!("no connection to {} within {DEADLINE:?}", dial.addr()),
        }
    }

    /// Sends `request` and reads the head; panics at the deadline.
    pub(crate) async fn on(mut stream: TcpStream, request: &[u8]) -> io::Result<Self> {
        let mut seen = Vec::new();
        let opening = send_and_read_head(&mut stream, request, &mut seen);
        match timeout_at(deadline(), opening).await {
            Ok(head) => Self::new(stream, head?, seen, request.starts_with(b"HEAD ")),
            Err(_) => panic!(
                "no response head within {DEADLINE:?}\nrequest: {}\nreceived: {}",
                preview(request),
                preview(&seen)
            ),
        }
    }

    fn new(
        stream: TcpStream,
        head: Head,
        rest: Vec<u8>,
        is_head_request: bool,
    ) -> io::Result<Self> {
        let framing = Body::announced_by(&head, is_head_request)?;
        let mut incoming =
            Self { stream, head, body: Vec::new(), end: None, framing, upgraded: Vec::new() };
        if incoming.head.status == 101 {
            incoming.upgraded = rest;
            incoming.end = Some(End::Clean);
        } else {
            incoming.take(&rest)?;
        }
        Ok(incoming)
    }

    /// Reads once, unless the body has ended; cancel safe.
    ///
    /// # Panics
    ///
    /// When the framing is broken.
    pub(crate) async fn fill(&mut self) {
        if self.end.is_some() {
            return;
        }
        let mut bytes = Vec::new();
        match net::read(&mut self.stream, &mut bytes).await {
            Read::Bytes => {
                if let Err(error) = self.take(&bytes) {
                    panic!("{error}\n{}", self.describe());
                }
            }
            Read::Fin => self.end = Some(self.framing.end_at_fin()),
            Read::Reset => self.end = Some(End::Reset),
        }
    }

    /// The head and the body so far, for the message of a failing test.
    pub(crate) fn describe(&self) -> String {
        let Head { status, reason, headers } = &self.head;
        let body = preview(&self.body);
        format!("{status} {reason}\n{headers:?}\nbody so far: {body}, end: {:?}", self.end)
    }

    /// The response as far as it came, its connection, and what followed a 101.
    pub(crate) fn into_parts(self) -> (Response, TcpStream, Vec<u8>) {
        let Head { status, reason, headers } = self.head;
        let end = self.end.unwrap_or(End::Cut);
        (Response { status, reason, headers, body: self.body, end }, self.stream, self.upgraded)
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.framing.feed(bytes, &mut self.body)?;
        if self.framing.is_done() {
            self.end = Some(End::Clean);
        }
        Ok(())
    }
}

/// Writes and reads at the same time: a server may answer, and close, before it has read all.
///
/// What follows the head stays in `seen`.
async fn send_and_read_head(
    stream: &mut TcpStream,
    request: &[u8],
    seen: &mut Vec<u8>,
) -> io::Result<Head> {
    let (mut reader, writer) = stream.split();
    let mut sending = pin!(send(writer, request));
    let head = {
        let mut reading = pin!(read_final_head(&mut reader, seen));
        tokio::select! {
            head = &mut reading => head?,
            () = &mut sending => return reading.await,
        }
    };
    if head.status == 101 {
        sending.await;
    }
    Ok(head)
}

/// Writes all; a server that has closed already still gets to be read.
async fn send(mut writer: WriteHalf<'_>, bytes: &[u8]) {
    let _ = write_all(&mut writer, bytes).await;
}

async fn write_all(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}

/// The first head that is not an interim response.
async fn read_final_head(reader: &mut ReadHalf<'_>, seen: &mut Vec<u8>) -> io::Result<Head> {
    loop {
        let head = read_head(reader, seen).await?;
        if head.status == 101 || head.status >= 200 {
            return Ok(head);
        }
    }
}

async fn read_head(reader: &mut ReadHalf<'_>, seen: &mut Vec<u8>) -> io::Result<Head> {
    loop {
        if let Some((head, length)) = Head::parse(seen)? {
            seen.drain(..length);
            return Ok(head);
        }
        if reader.read_buf(seen).await? == 0 {
            let what = format!("closed before the end of the head, after {}", preview(seen));
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
    }
}
