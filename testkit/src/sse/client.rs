//! An event stream over a real connection.

use std::{collections::VecDeque, io};

use tokio::time::{Instant, timeout_at};

use super::{Event, Parser};
use crate::{
    deadline::{DEADLINE, deadline},
    http::{End, Headers, Incoming, Request},
    net::{self, Dial, Read},
    transcript::preview,
};

/// An SSE client over HTTP/1.1 that reads only when it is asked to.
///
/// Nothing runs in the background: a client that is left alone is a client that does not read, and
/// with a small [`Dial::recv_buffer`] it soon holds the server up.
#[derive(Debug)]
pub struct Client {
    /// The status code; the body of any status is read as an event stream.
    pub status: u16,
    /// The header fields of the response.
    pub headers: Headers,
    incoming: Incoming,
    parser: Parser,
    /// How much of the body the parser has had.
    parsed: usize,
    events: VecDeque<Event>,
}

impl Client {
    /// Asks for an event stream and reads the head of the response.
    ///
    /// `headers` are added to `Host` and `Accept`, or take their place. To resume, send
    /// `Last-Event-ID`.
    ///
    /// # Errors
    ///
    /// As [`http::try_exchange`](crate::http::try_exchange).
    ///
    /// # Panics
    ///
    /// When the head takes too long.
    pub async fn connect(
        dial: impl Into<Dial>,
        path_and_query: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<Self> {
        let dial = dial.into();
        let request = Request::get(path_and_query)
            .header("Host", dial.addr().to_string())
            .header("Accept", "text/event-stream")
            .set(headers);
        Self::send(dial, &request).await
    }

    /// As [`connect`](Self::connect), with a request of your own.
    ///
    /// # Errors
    ///
    /// As [`http::try_exchange`](crate::http::try_exchange).
    ///
    /// # Panics
    ///
    /// When the head takes too long.
    pub async fn send(dial: impl Into<Dial>, request: &Request) -> io::Result<Self> {
        let incoming = Incoming::open(dial.into(), &request.bytes()).await?;
        let mut client = Self {
            status: incoming.head.status,
            headers: incoming.head.headers.clone(),
            incoming,
            parser: Parser::new(),
            parsed: 0,
            events: VecDeque::new(),
        };
        client.parse();
        Ok(client)
    }

    /// The next event, or `None` when the body has ended; see [`end`](Self::end) for how.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    ///
    /// # Panics
    ///
    /// With what came so far, when neither comes in time or the framing of the body is broken.
    pub async fn next_event(&mut self) -> Option<Event> {
        let deadline = deadline();
        while self.events.is_empty() && self.incoming.end.is_none() {
            self.fill(deadline, "an event").await;
        }
        self.events.pop_front()
    }

    /// The next event, which must come.
    ///
    /// # Panics
    ///
    /// As [`next_event`](Self::next_event), and when the body ends.
    pub async fn expect_event(&mut self) -> Event {
        match self.next_event().await {
            Some(event) => event,
            None => panic!("expected an event, but the stream ended\n{}", self.describe()),
        }
    }

    /// The end of the body, which must come with no further event.
    ///
    /// # Panics
    ///
    /// When there is an event, or the body does not end in time.
    pub async fn expect_end(&mut self) -> End {
        if let Some(event) = self.next_event().await {
            panic!("expected the end of the stream, got {event:?}\n{}", self.describe());
        }
        self.incoming.end.expect("no event comes only after the end")
    }

    /// Reads until `enough` is true of the whole body so far; the events stay to be taken.
    ///
    /// # Panics
    ///
    /// When the body ends before, or it takes too long.
    pub async fn read_until(&mut self, mut enough: impl FnMut(&[u8]) -> bool) {
        let deadline = deadline();
        while !enough(&self.incoming.body) {
            if self.incoming.end.is_some() {
                panic!("the stream ended before there was enough of it\n{}", self.describe());
            }
            self.fill(deadline, "enough of the stream").await;
        }
    }

    /// Reads until the body ends; the events stay to be taken.
    ///
    /// # Panics
    ///
    /// When it takes too long.
    pub async fn read_to_end(&mut self) -> End {
        let deadline = deadline();
        loop {
            match self.incoming.end {
                Some(end) => return end,
                None => self.fill(deadline, "the end of the stream").await,
            }
        }
    }

    /// Reads until the server has closed the TCP connection, which may be later than the body's end.
    ///
    /// # Panics
    ///
    /// When it takes too long, or something follows the body.
    pub async fn wait_closed(&mut self) {
        self.read_to_end().await;
        let mut extra = Vec::new();
        match timeout_at(deadline(), net::read(&mut self.incoming.stream, &mut extra)).await {
            Ok(Read::Fin | Read::Reset) => {}
            Ok(Read::Bytes) => panic!("after the body came {}", preview(&extra)),
            Err(_) => panic!("the connection is still open\n{}", self.describe()),
        }
    }

    /// Takes the events which have been read and not taken, without reading.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.events.drain(..).collect()
    }

    /// The whole body so far, without its transfer coding.
    pub fn raw_body(&self) -> &[u8] {
        &self.incoming.body
    }

    /// How the body ended, if it has.
    pub fn end(&self) -> Option<End> {
        self.incoming.end
    }

    /// The parser: last event id, comments and blocks without an event.
    pub fn parser(&self) -> &Parser {
        &self.parser
    }

    /// What this client would send as `Last-Event-ID` if it reconnected now.
    pub fn last_event_id(&self) -> &str {
        self.parser.last_event_id()
    }

    /// The reconnection time the server has set, in milliseconds.
    pub fn retry(&self) -> Option<u64> {
        self.parser.retry()
    }

    /// Sends FIN and keeps reading, as a client does that has nothing more to say.
    pub async fn half_close(&mut self) {
        net::send_fin(&mut self.incoming.stream).await;
    }

    /// Closes with FIN; as with any client, the kernel answers what still comes with RST.
    pub async fn close(mut self) {
        self.half_close().await;
    }

    /// Closes with RST.
    pub fn reset(self) {
        net::reset(self.incoming.stream);
    }

    async fn fill(&mut self, deadline: Instant, what: &str) {
        if timeout_at(deadline, self.incoming.fill()).await.is_err() {
            panic!("waited {DEADLINE:?} for {what}\n{}", self.describe());
        }
        self.parse();
    }

    fn parse(&mut self) {
        self.events.extend(self.parser.feed(&self.incoming.body[self.parsed..]));
        self.parsed = self.incoming.body.len();
    }

    fn describe(&self) -> String {
        let pending = self.events.len();
        format!("{}\nevents not taken: {pending}", self.incoming.describe())
    }
}
