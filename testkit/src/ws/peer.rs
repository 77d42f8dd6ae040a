//! A scripted client.

use std::{io, time::Duration};

use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{
    decode::{Decoder, Received},
    frame::{Frame, opcode},
    handshake,
};
use crate::{
    deadline::{DEADLINE, deadline},
    http::{Incoming, Request, Response},
    net::{self, Dial, Read},
    transcript::{Transcript, preview},
};

/// A WebSocket client that sends what it is told to and receives strictly.
///
/// Nothing runs in the background and nothing is answered: neither pings nor closes, unless the
/// script does it (see [`answer_pings`](Self::answer_pings)). A peer that is not asked to receive
/// does not read.
///
/// The `send_` methods don't fail when the server has closed, since its close may be under way at
/// any time: the transcript notes it and the next [`recv`](Self::recv) tells.
#[derive(Debug)]
pub struct Peer {
    pub(super) stream: TcpStream,
    pub(super) transcript: Transcript,
    response: Response,
    decoder: Decoder,
    end: Option<Received>,
    /// A write took the report of a reset, of which a read then sees only FIN.
    saw_reset: bool,
    one_byte_at_a_time: bool,
    answer_pings: bool,
}

impl Peer {
    /// Opens a WebSocket.
    ///
    /// `headers` are added to those of a right handshake, or take their place.
    ///
    /// # Panics
    ///
    /// With the response when it is not 101, and as [`handshake`](Self::handshake).
    pub async fn connect(dial: impl Into<Dial>, path: &str, headers: &[(&str, &str)]) -> Self {
        Self::handshake(dial, path, headers)
            .await
            .unwrap_or_else(|response| panic!("refused\n{response:?}"))
    }

    /// Opens a WebSocket, or returns the response that refuses it.
    ///
    /// # Errors
    ///
    /// Any response but 101, with its body.
    ///
    /// # Panics
    ///
    /// When the server can't be reached, closes without a response, takes too long, or accepts
    /// with a 101 that is wrong.
    pub async fn handshake(
        dial: impl Into<Dial>,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Response> {
        Self::handshake_with_trailing(dial, path, headers, &[]).await
    }

    /// As [`handshake`](Self::handshake), with frame bytes in the request's own segment.
    ///
    /// # Errors
    ///
    /// Any response but 101, with its body.
    ///
    /// # Panics
    ///
    /// As [`handshake`](Self::handshake).
    pub async fn handshake_with_trailing(
        dial: impl Into<Dial>,
        path: &str,
        headers: &[(&str, &str)],
        trailing: &[u8],
    ) -> Result<Self, Response> {
        let dial = dial.into();
        Self::open(dial, &handshake::request(dial, path).set(headers).body(trailing)).await
    }

    /// As [`handshake`](Self::handshake), with a request of your own; see
    /// [`ws::request`](super::request).
    ///
    /// # Errors
    ///
    /// Any response but 101, with its body.
    ///
    /// # Panics
    ///
    /// As [`handshake`](Self::handshake).
    pub async fn open(dial: impl Into<Dial>, request: &Request) -> Result<Self, Response> {
        let deadline = deadline();
        let mut transcript = Transcript::new();
        let wire = request.bytes();
        transcript.sent(preview(&wire));
        let mut incoming = Incoming::open(dial.into(), &wire)
            .await
            .unwrap_or_else(|error| panic!("no response: {error}\n{transcript}"));
        while incoming.end.is_none() {
            if timeout_at(deadline, incoming.fill()).await.is_err() {
                panic!("refusal still open after {DEADLINE:?}\n{}", incoming.describe());
            }
        }
        let (response, stream, buffer) = incoming.into_parts();
        if response.status != 101 {
            return Err(response);
        }
        if let Err(wrong) = handshake::judge(request, &response) {
            panic!("wrong 101: {wrong}");
        }
        transcript.got("101");
        Ok(Self {
            stream,
            transcript,
            response,
            decoder: Decoder::starting_with(buffer),
            end: None,
            saw_reset: false,
            one_byte_at_a_time: false,
            answer_pings: false,
        })
    }

    /// The 101, e.g. for its `Sec-WebSocket-Protocol`.
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// Writes every byte with a write and a flush of its own from now on, and gives the reader a
    /// moment after each. One that is slower still gets several at once.
    pub fn one_byte_at_a_time(&mut self, on: bool) {
        self.one_byte_at_a_time = on;
    }

    /// Answers pings with pongs while receiving from now on, and does not return them.
    pub fn answer_pings(&mut self, on: bool) {
        self.answer_pings = on;
    }

    /// Sends a text message in one frame.
    pub async fn send_text(&mut self, text: &str) {
        self.send_frame(Frame::text(text)).await;
    }

    /// Sends a binary message in one frame.
    pub async fn send_binary(&mut self, bytes: &[u8]) {
        self.send_frame(Frame::binary(bytes)).await;
    }

    /// Sends a ping.
    pub async fn send_ping(&mut self, payload: &[u8]) {
        self.send_frame(Frame::ping(payload)).await;
    }

    /// Sends a pong.
    pub async fn send_pong(&mut self, payload: &[u8]) {
        self.send_frame(Frame::pong(payload)).await;
    }

    /// Sends a close with code and reason.
    pub async fn send_close(&mut self, code: u16, reason: &str) {
        self.send_frame(Frame::close(code, reason)).await;
    }

    /// Sends a close without a payload.
    pub async fn send_empty_close(&mut self) {
        self.send_frame(Frame::new(opcode::CLOSE, [])).await;
    }

    /// Sends a frame, right or wrong.
    ///
    /// # Panics
    ///
    /// When the server does not take it in time.
    pub async fn send_frame(&mut self, frame: Frame) {
        self.transcript.sent(&frame);
        self.write(&frame.to_bytes()).await;
    }

    /// Sends any bytes.
    ///
    /// # Panics
    ///
    /// When the server does not take them in time; see [`flood`](Self::flood) if it need not.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        self.transcript.sent(format_args!("raw {}", preview(bytes)));
        self.write(bytes).await;
    }

    /// The next message, control frame or end; after the end, the end again.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped, unless it was answering a ping.
    ///
    /// # Panics
    ///
    /// With the transcript, when nothing comes in time or the server breaks RFC 6455.
    pub async fn recv(&mut self) -> Received {
        let deadline = deadline();
        loop {
            let received = self.next(deadline).await;
            match received {
                Received::Ping(payload) if self.answer_pings => self.send_pong(&payload).await,
                received => return received,
            }
        }
    }

    /// Sends FIN; the other direction stays open to be read.
    pub async fn close_fin(&mut self) {
        self.transcript.sent("FIN");
        net::send_fin(&mut self.stream).await;
    }

    /// Closes with RST.
    pub fn reset(self) {
        net::reset(self.stream);
    }

    async fn next(&mut self, deadline: Instant) -> Received {
        loop {
            match self.decoder.next() {
                Ok(Some(received)) => {
                    self.transcript.got(&received);
                    return received;
                }
                Ok(None) => {}
                Err(wrong) => self.fail(&format!("the server broke the protocol: {wrong}")),
            }
            if let Some(end) = &self.end {
                return end.clone();
            }
            let reading = net::read(&mut self.stream, &mut self.decoder.buffer);
            let end = match timeout_at(deadline, reading).await {
                Ok(Read::Bytes) => continue,
                Ok(Read::Fin) if !self.saw_reset => self.decoder.end(),
                Ok(Read::Fin | Read::Reset) => Received::Reset,
                Err(_) => self.fail(&format!("nothing received within {DEADLINE:?}")),
            };
            self.transcript.got(&end);
            self.end = Some(end);
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        let writing = write(&mut self.stream, bytes, self.one_byte_at_a_time);
        match timeout_at(deadline(), writing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.note_write_error(&error),
            Err(_) => self.fail(&format!("the server did not read within {DEADLINE:?}")),
        }
    }

    pub(super) fn note_write_error(&mut self, error: &io::Error) {
        self.saw_reset |= net::is_reset(error);
        self.transcript.sent(format_args!("nothing, the write failed: {error}"));
    }

    pub(super) fn fail(&self, why: &str) -> ! {
        let unread = preview(&self.decoder.buffer);
        panic!("{why}\n{}undecoded: {unread}", self.transcript)
    }
}

async fn write(stream: &mut TcpStream, bytes: &[u8], one_byte_at_a_time: bool) -> io::Result<()> {
    if !one_byte_at_a_time {
        stream.write_all(bytes).await?;
        return stream.flush().await;
    }
    for byte in bytes.chunks(1) {
        stream.write_all(byte).await?;
        stream.flush().await?;
        let written = std::time::Instant::now();
        while written.elapsed() < BETWEEN_BYTES {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// Time for a reader, on this thread or another, to take a byte before the next one comes; too
/// short for the runtime's timer.
const BETWEEN_BYTES: Duration = Duration::from_micros(50);
