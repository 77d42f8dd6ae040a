//! A session with its client and its handler, moved step by step.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Instant,
};

use realtime_core::{Event, Hub, Subscribe, ws};

use super::{End, Mode, Reading};
use crate::{
    fuzz::head::Head,
    ws::{Decoder, Received},
};

/// The most messages that may wait for the handler, whatever their size.
const INBOX_MESSAGES: usize = 256;

/// The longest data that is sent or published here.
const LONGEST: usize = 20_000;

/// The most control frames that are in writing at once: 1 KiB of pongs, a ping, a Close and another
/// pong, however many pings there were.
const CONTROL_BYTES: usize = 1024 + 3 * 127;

/// The most that a session has in writing at once: 64 KiB, and one message, and control frames.
const OUTGOING_BYTES: usize = 64 * 1024 + LONGEST + CONTROL_BYTES;

pub(super) struct Connection<'a> {
    hub: &'a Hub,
    mode: Mode,
    reading: &'a Reading,
    wire: &'a [u8],
    unsent: &'a [u8],
    /// How many bytes may come in.
    budget: usize,
    /// How many had come in when there came more than that.
    too_fast_after: Option<usize>,
    decoder: Decoder,
    socket: Option<ws::Socket>,
    taken: usize,
    pub(super) session: ws::Session,
    pub(super) now: Instant,
    /// What the client got.
    pub(super) received: Vec<Received>,
    /// What the handler sent.
    pub(super) sent: Vec<String>,
    pub(super) published: Vec<Vec<u8>>,
    /// The code with which the handler has closed.
    pub(super) closed_with: Option<u16>,
}

impl<'a> Connection<'a> {
    pub(super) fn open(hub: &'a Hub, mode: Mode, wire: &'a [u8], reading: &'a Reading) -> Self {
        let now = Instant::now();
        let head = Head::handshake().with("host", b"a");
        let candidate = ws::Request::accept(hub, &head, now).expect("a right handshake");
        let request = candidate.anonymous().expect("nothing to check");
        let request = request.subscribe(Subscribe::to("topic")).format(ws::Format::Raw);
        let (session, socket) = if mode.has_handler() {
            let (_, session, socket) = request.open_with_socket(now).expect("one topic");
            (session, Some(socket))
        } else {
            (request.open(now).expect("one topic").1, None)
        };
        Self {
            hub,
            mode,
            reading,
            wire,
            unsent: wire,
            budget: mode.inbound_bytes(),
            too_fast_after: None,
            decoder: Decoder::starting_with(Vec::new()),
            socket,
            taken: 0,
            session,
            now,
            received: Vec::new(),
            sent: Vec::new(),
            published: Vec::new(),
            closed_with: None,
        }
    }

    /// The low four bits say how much the client sends or reads, the others what happens.
    pub(super) fn step(&mut self, step: u8) {
        let length = 1 << (step & 0x0f);
        match step >> 4 & 7 {
            0..=2 => self.feed(length),
            3 => self.transmit(length),
            4 => self.handle(),
            // Refused once the connection closes.
            5 => drop(self.send(length)),
            6 => self.publish(length),
            _ if step == 0xff => self.close(),
            _ => self.feed(length),
        }
        if step & 0x80 != 0 {
            self.transmit(usize::MAX);
        }
    }

    /// What the client has said as far as it counts: what comes too fast is not looked at.
    pub(super) fn heard(&self) -> Reading {
        let whole = Reading::of(self.wire, self.mode.bounds());
        let Some(after) = self.too_fast_after else { return whole };
        let mut heard = Reading::of(&self.wire[..after], self.mode.bounds());
        if heard.end != End::Open {
            return whole;
        }
        heard.end = End::Failed(4429);
        heard
    }

    /// Goes on until nothing is left to do.
    pub(super) fn settle(&mut self) {
        loop {
            let before = (self.unsent.len(), self.messages_taken(), self.received.len());
            while self.session.wants_input() && !self.unsent.is_empty() {
                self.feed(1000);
            }
            self.transmit(usize::MAX);
            self.handle();
            self.transmit(usize::MAX);
            if before == (self.unsent.len(), self.messages_taken(), self.received.len()) {
                break;
            }
        }
        let is_cut = self.decoder.end() != Received::Eof;
        assert!(!is_cut, "the last frame is not whole");
    }

    /// The client sends so many bytes, if it may.
    fn feed(&mut self, length: usize) {
        if self.session.wants_input() {
            let piece;
            let before = self.wire.len() - self.unsent.len();
            (piece, self.unsent) = self.unsent.split_at(length.min(self.unsent.len()));
            match self.budget.checked_sub(piece.len().min(self.mode.inbound_bytes())) {
                Some(budget) => self.budget = budget,
                None => {
                    self.too_fast_after.get_or_insert(before);
                }
            }
            self.session.receive(piece, self.now);
            self.check_inbox();
        }
    }

    /// The client takes so many bytes.
    pub(super) fn transmit(&mut self, mut length: usize) {
        loop {
            let polled = self.session.poll_transmit(&mut context(), self.now);
            self.check_inbox();
            let pending: usize = self.session.chunks().map(<[u8]>::len).sum();
            let has_data = !self.sent.is_empty() || !self.published.is_empty();
            let most = if has_data { OUTGOING_BYTES } else { CONTROL_BYTES };
            assert!(pending <= most, "{pending} bytes in writing");
            let has_ended = self.session.status() != ws::Status::Open;
            assert!(!has_ended || pending == 0, "written after the end");
            assert_eq!(polled.is_ready(), has_ended || pending > 0);
            if pending == 0 || length == 0 {
                return;
            }
            let bytes = if self.mode.pops_chunks() {
                self.session.pop_chunk().expect("what is written is in chunks").to_vec()
            } else {
                let chunks = self.session.chunks().flatten();
                let bytes: Vec<u8> = chunks.copied().take(length).collect();
                self.session.wrote(bytes.len());
                bytes
            };
            length = length.saturating_sub(bytes.len());
            self.decoder.buffer.extend(bytes);
            while let Some(received) = self.decoder.next().expect("right frames of a server") {
                self.received.push(received);
            }
        }
    }

    /// The handler takes one message and answers it.
    fn handle(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        let polled = pin!(socket.recv()).poll(&mut context());
        if let Poll::Ready(Some(message)) = polled {
            let expected = self.reading.messages.get(self.taken);
            let (is_text, payload) = expected.expect("no more messages than the client sent");
            assert_eq!(message.as_text().is_some(), *is_text);
            assert_eq!(message.as_bytes(), payload);
            self.taken += 1;
            let refused = self.send(0).is_err();
            // Also when the peer has closed meanwhile: that it reads what it asked for, it may.
            assert!(!refused || self.closed_with.is_some(), "no answer to what was taken");
        }
    }

    /// The handler sends a message, unless it has to wait.
    fn send(&mut self, length: usize) -> Result<(), ws::SendError> {
        let text = self.data("direct", self.sent.len(), length);
        let Some(socket) = &mut self.socket else { return Ok(()) };
        let message = ws::Message::text(text.clone());
        match pin!(socket.send(message)).poll(&mut context()) {
            Poll::Ready(Ok(())) => self.sent.push(text),
            Poll::Ready(Err(error)) => return Err(error),
            // It was given up, and is not sent.
            Poll::Pending => {}
        }
        Ok(())
    }

    fn publish(&mut self, length: usize) {
        let data = self.data("event", self.published.len(), length).into_bytes();
        let published = self.hub.publish_at("topic", Event::binary(data.clone()), self.now);
        let published = pin!(published).poll(&mut context());
        assert!(matches!(published, Poll::Ready(Ok(_))), "{published:?}");
        self.published.push(data);
    }

    fn close(&mut self) {
        if let Some(socket) = &mut self.socket {
            let code = ws::CloseCode::new(4000).expect("a code for applications");
            socket.close(code, ws::CloseReason::default());
            self.closed_with = Some(4000);
        }
    }

    fn data(&self, what: &str, number: usize, length: usize) -> String {
        // Bulky runs are kept short, or they would be slow.
        let is_bulky = self.mode.is_bulky() && number < 8;
        let length = if is_bulky { length.min(LONGEST - 64) } else { length.min(200) };
        format!("{what} {number} {}", ".".repeat(length))
    }

    /// One message over the bound may wait, and no more.
    fn check_inbox(&self) {
        let Some(socket) = self.socket.as_ref().filter(|it| it.close_cause().is_none()) else {
            return;
        };
        let came = socket.hub().stats().messages_received as usize;
        let came = self.reading.messages.get(self.taken..came);
        let came = came.expect("no more messages than the client sent");
        let [waiting @ .., _newest] = came else { return };
        let bytes: usize = waiting.iter().map(|(_, payload)| payload.len()).sum();
        assert!(bytes < self.mode.inbox_bytes(), "{bytes} bytes wait, and one message more");
        assert!(waiting.len() < INBOX_MESSAGES, "{} messages wait", waiting.len() + 1);
    }

    /// How many messages the handler has taken; without one, how many have come.
    pub(super) fn messages_taken(&self) -> usize {
        match &self.socket {
            Some(_) => self.taken,
            None => self.hub.stats().messages_received as usize,
        }
    }

    /// A handler that waits learns that nothing comes any more, and can't send.
    pub(super) fn check_handler_is_told(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        assert!(socket.close_cause().is_some());
        assert_eq!(pin!(socket.recv()).poll(&mut context()), Poll::Ready(None));
        let sent = pin!(socket.send(ws::Message::text("late"))).poll(&mut context());
        assert!(matches!(sent, Poll::Ready(Err(_))), "{sent:?}");
    }

    pub(super) fn closes(&self) -> Vec<Option<u16>> {
        self.each(|received| match received {
            Received::Close(close) => Some(close.as_ref().map(|(code, _)| *code)),
            _ => None,
        })
    }

    pub(super) fn direct_received(&self) -> Vec<String> {
        self.each(|received| match received {
            Received::Text(text) => Some(text.clone()),
            _ => None,
        })
    }

    pub(super) fn events_received(&self) -> Vec<Vec<u8>> {
        self.each(|received| match received {
            Received::Binary(bytes) => Some(bytes.clone()),
            _ => None,
        })
    }

    pub(super) fn pongs(&self) -> Vec<Vec<u8>> {
        self.each(|received| match received {
            Received::Pong(payload) => Some(payload.clone()),
            _ => None,
        })
    }

    fn each<T>(&self, choose: impl FnMut(&Received) -> Option<T>) -> Vec<T> {
        self.received.iter().filter_map(choose).collect()
    }

    /// Drops the halves, the session first every other time.
    pub(super) fn drop(self) {
        let Self { session, mut socket, sent, .. } = self;
        if sent.len() % 2 == 0 {
            socket = None;
        }
        drop(session);
        drop(socket);
    }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
