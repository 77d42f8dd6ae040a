//! A WebSocket session: whatever a client sends and however it is cut, the handler gets the messages
//! that are in it, and the client gets whole frames and one Close.

use realtime_core::{Hub, LagLimit, Rate, Retention, ws};

use super::{
    answer::check_at_rest,
    client_frames::{Bounds, End, Reading},
    input::Input,
};
use crate::ws::{Frame, LengthForm, Received};

mod connection;

use connection::Connection;

/// The most steps of one run, after which everything that is left is done at once.
const MOST_STEPS: usize = 300;

/// The input is a byte of [`Mode`], a [piece](Input::piece) of [steps](Connection::step) that are
/// repeated, and what the client sends.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mode = Mode(input.byte());
    let steps = input.piece();
    let wire = if mode.is_in_frames() { frames(input) } else { input.rest().to_owned() };
    let reading = Reading::of(&wire, mode.bounds());

    let hub = mode.hub();
    let mut connection = Connection::open(&hub, mode, &wire, &reading);
    for step in steps.iter().cycle().take((wire.len() + steps.len()).min(MOST_STEPS)) {
        connection.step(*step);
    }
    connection.settle();
    check(&connection, &connection.heard());
    finish(&mut connection, mode);
    connection.drop();
    check_at_rest(&hub);
}

/// How the connection is set up, and how it ends if the client does not end it.
#[derive(Clone, Copy, Debug)]
struct Mode(u8);

impl Mode {
    /// The client's bytes are written as [`frames`].
    fn is_in_frames(self) -> bool {
        self.0 & 1 != 0
    }

    fn has_handler(self) -> bool {
        self.0 & 2 == 0
    }

    /// Bounds that short inputs reach.
    fn is_tight(self) -> bool {
        self.0 & 4 != 0
    }

    /// Takes output by the chunk.
    fn pops_chunks(self) -> bool {
        self.0 & 8 != 0
    }

    /// What is sent and published is as long as it may be.
    fn is_bulky(self) -> bool {
        self.0 & 16 != 0
    }

    fn ending(self) -> Ending {
        match self.0 >> 5 & 3 {
            0 => Ending::Lost,
            1 => Ending::HandlerDone,
            _ => Ending::Silent,
        }
    }

    /// The client may send little, or else as fast as it can.
    fn is_paced(self) -> bool {
        self.0 & 128 != 0
    }

    fn bounds(self) -> Bounds {
        let frames = if self.is_paced() && self.is_tight() { 8 } else { u32::MAX };
        if self.is_tight() {
            Bounds { bytes: 200, fragments: 4, frames }
        } else {
            Bounds { bytes: 64 * 1024, fragments: 1024, frames }
        }
    }

    /// How many bytes may come in, in the time that a run takes: none of its own.
    fn inbound_bytes(self) -> usize {
        if self.is_paced() && !self.is_tight() { 400 } else { u32::MAX as usize }
    }

    fn inbox_bytes(self) -> usize {
        if self.is_tight() { 100 } else { 4096 }
    }

    fn hub(self) -> Hub {
        // Nothing is to be lost here: loss has its own tests.
        let ample = LagLimit::default().events(1 << 20).bytes(1 << 40);
        let builder = Hub::builder()
            .retention(Retention::default().events(1 << 20).bytes(1 << 40))
            .lag(ample)
            .limits(|limits| {
                limits.log_bytes = 1 << 42;
                limits.message_bytes = self.bounds().bytes;
                limits.message_fragments = self.bounds().fragments;
                limits.inbox_bytes = self.inbox_bytes();
                limits.messages = Rate::per_second(1).burst(self.bounds().frames);
                limits.inbound_bytes = Rate::per_second(1).burst(self.inbound_bytes() as u32);
            });
        builder.build().expect("the configuration is valid")
    }
}

/// How a connection ends that the client leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Lost,
    HandlerDone,
    /// The client says nothing until every deadline has passed.
    Silent,
}

/// Frames, each with its first byte, a byte of options, a byte for the mask and a piece of payload:
/// a fuzzer gets past the header more easily than with bytes on the wire.
fn frames(mut input: Input<'_>) -> Vec<u8> {
    let mut wire = Vec::new();
    while !input.is_empty() && wire.len() < 1 << 17 {
        let (first, options, mask) = (input.byte(), input.byte(), input.byte());
        let payload = input.piece().repeat(if options & 16 == 0 { 1 } else { 300 });
        let form = match options & 3 {
            2 if payload.len() <= 0xffff => LengthForm::U16,
            3 => LengthForm::U64,
            _ => LengthForm::Minimal,
        };
        let mut frame = Frame::new(first & 0x0f, payload)
            .fin(first & 0x80 != 0)
            .rsv(first >> 4 & 7)
            .mask([mask, mask.wrapping_mul(3), mask.wrapping_add(1), !mask])
            .length_form(form);
        if options & 4 != 0 {
            frame = frame.unmasked();
        }
        if options & 8 != 0 {
            frame = frame.length_form(LengthForm::Claim(u64::from(mask) << (options >> 5 << 3)));
        }
        wire.extend(frame.to_bytes());
    }
    wire
}

/// Everything has been read, handled and written: what must be so then.
fn check(connection: &Connection<'_>, reading: &Reading) {
    let closes: Vec<Option<u16>> = connection.closes();
    let status = connection.session.status();
    let by_handler = connection.closed_with.is_some();
    let all_were_taken = connection.messages_taken() == reading.messages.len();
    assert!(by_handler || all_were_taken, "{} messages", connection.messages_taken());

    let expected = match reading.end {
        End::Open => None,
        End::Closed(code) => Some((code, false)),
        End::Failed(code) => Some((Some(code), true)),
    };
    match (&status, expected) {
        (ws::Status::Open, None) if !by_handler => assert_eq!(closes, []),
        (ws::Status::Open, None) => assert_eq!(closes, [connection.closed_with]),
        (ws::Status::Ended { linger, cause }, Some((code, is_broken))) => {
            assert_eq!(*linger, is_broken, "{cause:?}");
            let is_right = closes == [code] || (by_handler && closes == [connection.closed_with]);
            assert!(is_right, "closed with {closes:?}, expected {expected:?}");
        }
        _ => panic!("{status:?} after {:?}", reading.end),
    }
    // What a handler sent before a Close goes out before it.
    assert_eq!(connection.direct_received(), connection.sent);
    let events = connection.events_received();
    assert!(connection.published.starts_with(&events), "events, in order");
    if status == ws::Status::Open && !by_handler {
        assert_eq!(events.len(), connection.published.len(), "every event");
    }
    let pongs = connection.pongs();
    let mut pings = reading.pings.iter();
    assert!(pongs.iter().all(|pong| pings.any(|ping| ping == pong)), "pongs that answer pings");
    // Of several pings, the newest has to be answered (RFC 6455 §5.5.3).
    assert!(by_handler || pongs.last() == reading.pings.last(), "{pongs:?}");
}

/// It ends when it is told to, and nothing is written afterwards.
fn finish(connection: &mut Connection<'_>, mode: Mode) {
    let was_closed = !connection.closes().is_empty();
    if connection.session.status() == ws::Status::Open {
        match mode.ending() {
            Ending::Lost => connection.session.receive_eof(),
            Ending::HandlerDone => {
                connection.session.handler_ended(ws::CloseCause::Done, connection.now);
                connection.transmit(usize::MAX);
                assert!(was_closed || connection.closes() == [Some(1000)]);
                connection.session.receive_eof();
            }
            Ending::Silent => {
                // A ping, and no pong; or a Close, and none in answer.
                for _ in 0..2 {
                    connection.now = connection.session.deadline();
                    connection.session.handle_timeout(connection.now);
                    connection.transmit(usize::MAX);
                }
                let pinged = connection.received.contains(&Received::Ping(Vec::new()));
                assert!(was_closed != pinged, "closed {was_closed}, pinged {pinged}");
            }
        }
    }
    let status = connection.session.status();
    assert!(matches!(status, ws::Status::Ended { .. }), "{status:?}");
    connection.session.receive(b"\x89\x80\0\0\0\0", connection.now);
    let before = connection.received.len();
    connection.transmit(usize::MAX);
    assert_eq!(connection.received.len(), before, "written after the end");
    assert!(!connection.session.wants_input());
    connection.check_handler_is_told();
}
