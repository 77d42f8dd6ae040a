//! What goes out, in which order, whatever the socket takes at a time.

use proptest::{collection::vec, prelude::*};

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Publish(usize),
    Send(usize),
    ClientPing(usize),
    Silence,
    Write(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let length = || prop_oneof![8 => 0..200_usize, 1 => 60_000..65_000_usize];
    prop_oneof![
        3 => length().prop_map(Step::Publish),
        2 => length().prop_map(Step::Send),
        3 => (0..100_usize).prop_map(Step::ClientPing),
        1 => Just(Step::Silence),
        3 => prop_oneof![0..20_usize, 0..300_usize, 0..200_000_usize].prop_map(Step::Write),
    ]
}

fn numbered(kind: char, number: usize, length: usize) -> String {
    format!("{kind}{number}:{}", "x".repeat(length))
}

/// The frames of one kind.
fn of_kind<'a>(frames: &'a [Written], opcode: u8, kind: &str) -> Vec<&'a [u8]> {
    let of_kind = |frame: &&Written| frame.0 == opcode && frame.1.starts_with(kind.as_bytes());
    frames.iter().filter(of_kind).map(|frame| &frame.1[..]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whole_frames_in_order_whatever_is_written_at_a_time(steps in vec(step(), 0..60)) {
        let mut rig = Rig::with(
            |hub| hub.lag(LagLimit::default().bytes(100_000_000).events(1000)),
            |request| request.format(Format::Raw).subscribe("a").configure(|config| {
                config.pong_deadline = Duration::MAX;
            }),
        );
        let (mut events, mut directs, mut pings) = (Vec::new(), Vec::new(), Vec::new());
        let mut written = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Publish(length) => {
                    events.push(numbered('e', number, length));
                    rig.publish(events.last().unwrap());
                }
                Step::Send(length) => {
                    let text = numbered('d', number, length);
                    let sent = rig.socket().send(Message::text(text.as_str())).now_or_never();
                    if sent.is_some() {
                        directs.push(text);
                    }
                }
                Step::ClientPing(length) => {
                    pings.push(numbered('p', number, length));
                    rig.client([Sent::ping(pings.last().unwrap().as_bytes())]);
                }
                Step::Silence => {
                    let seconds = (rig.now - rig.start).as_secs_f64() + 30.0;
                    rig.wait_until(seconds);
                }
                Step::Write(max) => written.extend(rig.write(max)),
            }
        }
        loop {
            let more = rig.write(5000);
            if more.is_empty() {
                break;
            }
            written.extend(more);
        }
        let frames = frames_of(&written);
        let bytes = |texts: &[String]| texts.iter().map(|t| t.clone().into_bytes()).collect::<Vec<_>>();
        prop_assert_eq!(of_kind(&frames, opcode::TEXT, "e"), bytes(&events));
        prop_assert_eq!(of_kind(&frames, opcode::TEXT, "d"), bytes(&directs));
        let pongs = of_kind(&frames, opcode::PONG, "");
        let mut rest = pings.iter();
        for pong in &pongs {
            prop_assert!(rest.any(|ping| ping.as_bytes() == *pong), "a pong of no ping, or late");
        }
        prop_assert_eq!(pongs.last().copied(), pings.last().map(|ping| ping.as_bytes()));
        prop_assert_eq!(rig.ended(), None);
    }
}

#[test]
fn control_frames_go_before_the_first_frame_that_is_not_begun() {
    let pong = (opcode::PONG, b"!".to_vec());
    for (begun, at) in [(0, 0), (1, 1), (11, 1), (12, 1), (13, 2), (23, 2), (24, 2), (25, 3)] {
        let mut rig = Rig::new();
        for _ in 0..4 {
            rig.publish("0123456789");
        }
        let mut written = rig.write(begun);
        rig.poll();
        rig.client([Sent::ping("!")]);
        written.extend(rig.write(usize::MAX));
        let frames = frames_of(&written);
        assert_eq!(frames.iter().position(|frame| *frame == pong), Some(at), "{begun}");
        assert_eq!(frames.len(), 5);
    }
}

#[test]
fn our_ping_goes_ahead_of_data_too() {
    let mut rig = Rig::new();
    for _ in 0..4 {
        rig.publish("0123456789");
    }
    let mut written = rig.write(5);
    rig.wait_until(30.0);
    written.extend(rig.write(usize::MAX));
    assert_eq!(frames_of(&written)[1], (opcode::PING, Vec::new()));
}

#[test]
fn direct_messages_go_ahead_of_events_that_are_pending() {
    let mut rig = Rig::new();
    rig.publish("event");
    rig.send("direct");
    assert_eq!(rig.written(), [text("direct"), text("event")]);
}

#[test]
fn frames_one_by_one_are_the_same_frames() {
    let mut rig = Rig::new();
    for n in 0..3 {
        rig.publish(&n.to_string());
    }
    assert!(rig.poll());
    let one = rig.session.pop_frame().map(|(opcode, payload)| (opcode, payload.to_vec()));
    assert_eq!(one, Some(text("0")));
    rig.client([Sent::ping("ahead")]);
    rig.poll();
    let mut rest = Vec::new();
    while let Some((opcode, payload)) = rig.session.pop_frame() {
        rest.push((opcode, payload.to_vec()));
    }
    assert_eq!(rest, [(opcode::PONG, b"ahead".to_vec()), text("1"), text("2")]);
    assert_eq!(rig.session.outgoing.len(), 0);
    assert!(!rig.poll());
}

#[test]
fn chunks_taken_whole_are_the_same_bytes() {
    let mut rig = Rig::new();
    let mut bytes = Vec::new();
    for n in 0..3 {
        rig.publish(&n.to_string());
        rig.client([Sent::ping("x")]);
        rig.send("direct");
        assert!(rig.poll());
        while let Some(chunk) = rig.session.pop_chunk() {
            bytes.extend_from_slice(&chunk);
            rig.poll();
        }
    }
    assert_eq!(frames_of(&bytes).len(), 9);
    assert_eq!(rig.session.outgoing.len(), 0);
}

#[test]
fn a_batch_is_shared_by_all_sessions() {
    let mut rig = Rig::new();
    let request = Request::attach(&rig.hub, rig.now).unwrap().format(Format::Raw).subscribe("a");
    let (_, mut other) = request.open(rig.now).unwrap();
    for n in 0..50 {
        rig.publish(&n.to_string());
    }
    rig.poll();
    assert!(other.poll_transmit(&mut Context::from_waker(&rig.waker), rig.now).is_ready());
    let one: Vec<_> = rig.session.chunks().map(<[u8]>::as_ptr).collect();
    let two: Vec<_> = other.chunks().map(<[u8]>::as_ptr).collect();
    assert_eq!((one.len(), one), (1, two), "one chunk, the same bytes");
}
