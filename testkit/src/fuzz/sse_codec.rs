//! Event streams: what is published comes out, once and in order, with its ids, and whatever it
//! holds it stays one event.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use realtime_core::{
    Event, EventError, EventName, Hub, Position, Retention,
    sse::{BinaryData, Block, EventStream, Request},
};

use super::{
    answer::check_at_rest,
    head::Head,
    input::{Input, text},
};
use crate::sse::{self, Parser};

const TOPICS: [&str; 2] = ["first", "second"];

/// The most that one run does; below what a client may lag by default.
const MOST_ACTIONS: usize = 60;

/// The input is a byte of options, then actions: a byte of kind, and pieces.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let options = input.byte();
    if options & 1 != 0 {
        return blocks(input);
    }
    // Nothing is to be lost here, however long a client waits: loss has its own tests.
    let retention = Retention::default().age(Duration::MAX);
    let hub = Hub::builder().retention(retention).build().expect("the configuration is valid");
    // Two that read the same topics each in its own way.
    let mut clients =
        [BinaryData::Refuse, BinaryData::Base64].map(|binary| Client::connect(&hub, binary));
    let mut now = clients[0].now;
    let mut published = Vec::new();
    for _ in 0..MOST_ACTIONS {
        if input.is_empty() {
            break;
        }
        let kind = input.byte();
        let client = &mut clients[usize::from(kind & 1)];
        match kind & 0xf0 {
            0xf0 => client.reconnect(&hub),
            0xe0 => client.read(),
            0xd0 => {
                client.wait();
                now = now.max(client.now);
            }
            _ => {
                let Some(event) = event(kind, &mut input) else { continue };
                let topic = TOPICS[usize::from(kind >> 7)];
                let stored = pin!(hub.publish_at(topic, event.clone(), now)).poll(&mut context());
                let Poll::Ready(Ok(at)) = stored else { panic!("not published: {stored:?}") };
                published.push((event, at));
            }
        }
    }
    for client in &mut clients {
        client.read();
        let expected: Vec<sse::Event> =
            published.iter().map(|(event, at)| expected(event, *at, client.binary)).collect();
        assert_eq!(client.seen, expected);
    }
    drop(clients);
    check_at_rest(&hub);
}

/// An event as the input wants it, or `None` when it has to be refused.
fn event(kind: u8, input: &mut Input<'_>) -> Option<Event> {
    let data = if kind & 8 == 0 { input.piece() } else { input.long_piece() };
    let mut event = match kind & 3 {
        0 => Event::binary(data.to_vec()),
        1 => Event::json(&text(data)).expect("a string is JSON"),
        _ => Event::text(text(data)),
    };
    if kind & 4 != 0 {
        let name = text(input.piece());
        let named = event.named(name.as_str());
        assert_eq!(named.is_ok(), is_name(&name), "the name {name:?}");
        event = named.ok()?;
    }
    if kind & 16 != 0 {
        let key = text(input.piece());
        let keyed: Result<Event, EventError> = event.keyed(key.as_str());
        assert_eq!(keyed.is_ok(), (1..=255).contains(&key.len()), "the key {key:?}");
        event = keyed.ok()?;
    }
    Some(event)
}

/// What a block can carry and the library does not keep for itself.
fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && !name.contains(['\r', '\n'])
        && !name.starts_with("realtime.")
}

/// What a client is to see of an event.
fn expected(event: &Event, at: Position, binary: BinaryData) -> sse::Event {
    let (name, bytes) =
        (event.name().map_or("message", EventName::as_str), event.data().as_bytes());
    let (name, data) = match (event.data().as_text(), binary) {
        (Some(text), _) => (name, in_lines(text)),
        (None, BinaryData::Base64) => (name, STANDARD.encode(bytes)),
        (None, _) => ("realtime.unsupported", format!("{{\"bytes\":{}}}", bytes.len())),
    };
    let id = at.to_string();
    sse::Event { event: name.to_owned(), data, last_event_id: id.clone(), block_id: Some(id) }
}

/// Line ends of any kind arrive as LF.
fn in_lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// An `EventSource` on both topics.
struct Client {
    binary: BinaryData,
    stream: EventStream,
    parser: Parser,
    seen: Vec<sse::Event>,
    now: Instant,
}

impl Client {
    fn connect(hub: &Hub, binary: BinaryData) -> Self {
        let now = Instant::now();
        let stream = open(hub, &Head::get(), binary, now);
        let mut client = Self { binary, stream, parser: Parser::new(), seen: Vec::new(), now };
        client.read();
        client
    }

    /// Is cut, and comes back with the newest id that it saw.
    fn reconnect(&mut self, hub: &Hub) {
        let head = Head::get().with("last-event-id", self.parser.last_event_id().as_bytes());
        self.stream = open(hub, &head, self.binary, self.now);
        self.parser = Parser::new();
        self.read();
        assert_eq!(self.parser.comments(), 0, "heartbeats on a stream that is not silent");
    }

    /// Takes everything that is there.
    fn read(&mut self) {
        while let Poll::Ready(bytes) = self.stream.poll_next(&mut context(), self.now) {
            let bytes = bytes.expect("a stream that does not end");
            assert!(bytes.ends_with(b"\n\n"), "whole blocks");
            self.seen.extend(self.parser.feed(&bytes));
        }
        assert!(self.parser.last_event_id().contains('-'), "an id from the start");
    }

    /// Hears nothing for as long as a stream may be silent.
    fn wait(&mut self) {
        self.read();
        let (before, seen) = (self.parser.comments(), self.seen.len());
        self.now = self.stream.deadline();
        self.read();
        assert_eq!((self.parser.comments(), self.seen.len()), (before + 1, seen), "one heartbeat");
    }
}

fn open(hub: &Hub, head: &Head, binary: BinaryData, now: Instant) -> EventStream {
    let candidate = Request::accept(hub, head, now).expect("a right request");
    let request = candidate.anonymous().expect("nothing to check");
    request.configure(|sse| sse.binary = binary).open(TOPICS, now).expect("two topics").1
}

/// Blocks, each field by field, and one behind them that shows that nothing is left over.
fn blocks(mut input: Input<'_>) {
    let mut wire = Vec::new();
    let mut expected = Vec::new();
    let (mut last_event_id, mut comments, mut retry) = (String::new(), 0, None);
    while !input.is_empty() && expected.len() < MOST_ACTIONS {
        let fields = input.byte();
        let mut block = Block::new();
        let (mut event, mut block_id) = ("message".to_owned(), None);
        if fields & 1 != 0 {
            let name = text(input.piece());
            let parsed = name.parse::<EventName>();
            assert_eq!(parsed.is_ok(), is_name(&name), "the name {name:?}");
            let Ok(parsed) = parsed else { continue };
            block = block.event(parsed);
            event = name;
        }
        if fields & 2 != 0 {
            let id = text(input.piece());
            let with_id = block.clone().id(id.as_str());
            assert_eq!(with_id.is_err(), id.contains(char::is_control), "the id {id:?}");
            let Ok(with_id) = with_id else { continue };
            block = with_id;
            last_event_id.clone_from(&id);
            block_id = Some(id);
        }
        if fields & 4 != 0 {
            let comment = text(input.piece());
            comments += in_lines(&comment).split('\n').count();
            block = block.comment(comment);
        }
        if fields & 8 != 0 {
            let time = Duration::from_millis(u64::from(input.byte()) << (fields >> 4));
            block = block.retry(time);
            retry = u64::try_from(time.as_millis()).ok();
        }
        if fields & 16 != 0 {
            let data = text(input.long_piece());
            block = block.data(data.as_str());
            let (data, last_event_id) = (in_lines(&data), last_event_id.clone());
            expected.push(sse::Event { event, data, last_event_id, block_id });
        }
        let from = wire.len();
        block.write(&mut wire);
        assert_eq!(block.to_string().as_bytes(), &wire[from..]);
    }
    Block::new().data("the last").write(&mut wire);
    let (event, data) = ("message".to_owned(), "the last".to_owned());
    expected.push(sse::Event { event, data, last_event_id: last_event_id.clone(), block_id: None });

    let mut parser = Parser::new();
    assert_eq!(parser.feed(&wire), expected);
    assert_eq!(parser.last_event_id(), last_event_id);
    assert_eq!((parser.comments(), parser.retry()), (comments, retry));
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
