//! Clients that keep to nothing.

use std::{
    io::Write as _,
    net::TcpStream,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;

use super::{
    Field,
    wire::{self, Window},
};

/// Connects and misbehaves until it is to stop; how often.
pub fn run(field: &Field, mut random: Rng) -> u64 {
    let mut acts = 0;
    while !field.is_over.load(Ordering::Relaxed) {
        let kind = random.u8(0..KINDS);
        // The server refuses, resets and ends some of them, as it should: an error is an outcome.
        let _ = act(field, kind, &mut random);
        acts += 1;
        thread::sleep(Duration::from_millis(random.u64(0..30)));
    }
    acts
}

const KINDS: u8 = 12;

fn act(field: &Field, kind: u8, random: &mut Rng) -> std::io::Result<()> {
    let window = if random.bool() { Window::Normal } else { Window::Small };
    let mut stream = wire::dial(field.addr, window, random)?;
    match kind {
        // Reads for a while.
        0 | 1 => {
            stream.write_all(&opening(random))?;
            read_for(field, &mut stream, random.u64(0..800));
        }
        // Does not read.
        2 => {
            let request = if random.bool() {
                wire::event_stream("/events?topic=wild.0&pattern=wild.*", None)
            } else {
                wire::handshake("/messages?topic=wild.0")
            };
            stream.write_all(&request)?;
            pause(field, random.u64(500..6_000));
        }
        // Talks.
        3 | 4 => {
            stream.write_all(&wire::handshake(websocket_path(random)))?;
            for _ in 0..random.u8(0..20) {
                let payload = text(random, 500);
                stream.write_all(&wire::frame(wire::TEXT, payload.as_bytes(), random))?;
                if random.bool() {
                    wire::read_some(&mut stream);
                }
            }
        }
        // Talks nonsense.
        5 => {
            stream.write_all(&wire::handshake(websocket_path(random)))?;
            stream.write_all(&wire::broken_frame(random))?;
            read_for(field, &mut stream, 300);
        }
        // Sends what it never reads back.
        6 => {
            stream.write_all(&wire::handshake("/echo"))?;
            let payload = vec![b'x'; random.usize(1..60_000)];
            for _ in 0..100 {
                stream.write_all(&wire::frame(wire::TEXT, &payload, random))?;
            }
        }
        // Garbage, or half of something right.
        7 => {
            let bytes = match random.u8(0..3) {
                0 => wire::bytes(random, 2_000),
                _ => half(opening(random), random),
            };
            stream.write_all(&bytes)?;
            pause(field, random.u64(0..1_000));
        }
        // Publishes.
        8 | 9 => {
            let topic = format!("wild.{}", random.u8(0..super::WILD_TOPICS));
            let request = wire::post(&topic, text(random, 2_000).as_bytes());
            stream.write_all(&request)?;
            wire::read_some(&mut stream);
        }
        // Asks for what there is not.
        10 => {
            stream.write_all(&wrong(random))?;
            wire::read_some(&mut stream);
        }
        // Vanishes: its socket stays open, and nothing ever comes from it again.
        _ => {
            stream.write_all(&opening(random))?;
            field.vanish(stream);
            return Ok(());
        }
    }
    wire::leave(stream, random);
    Ok(())
}

fn websocket_path(random: &mut Rng) -> &'static str {
    let paths = ["/ws", "/echo", "/whoami", "/messages?topic=wild.1", "/messages?pattern=wild.*.x"];
    paths[random.usize(0..paths.len())]
}

/// A right request for a connection.
fn opening(random: &mut Rng) -> Vec<u8> {
    if random.bool() {
        return wire::handshake(websocket_path(random));
    }
    let mut query = String::new();
    for _ in 0..random.u8(1..5) {
        query += &match random.u8(0..4) {
            0 => "pattern=wild.*&".to_owned(),
            1 => format!("pattern=numbered.{}&", random.u8(0..5)),
            _ => format!("topic=wild.{}&", random.u8(0..super::WILD_TOPICS)),
        };
    }
    let path = if random.u8(0..8) == 0 { "/whoami".into() } else { format!("/events?{query}") };
    wire::event_stream(&path, None)
}

/// A request that is refused, or answered with a reset.
fn wrong(random: &mut Rng) -> Vec<u8> {
    match random.u8(0..7) {
        0 => wire::event_stream("/events?topic=a%0ab", None),
        1 => wire::event_stream("/events?pattern=a**b&pattern=", None),
        2 => wire::event_stream("/events?topic=wild.1", Some("1-18446744073709551616")),
        3 => wire::get("/ws", ""),
        4 => wire::get("/messages", "Upgrade: websocket\r\nConnection: Upgrade\r\n"),
        5 => wire::post("wild.1", &vec![b'x'; 100_000]),
        _ => wire::get("/nowhere", ""),
    }
}

fn half(mut bytes: Vec<u8>, random: &mut Rng) -> Vec<u8> {
    bytes.truncate(random.usize(1..bytes.len()));
    bytes
}

fn text(random: &mut Rng, most: usize) -> String {
    let length = random.usize(1..most);
    (0..length).map(|_| random.alphanumeric()).collect()
}

fn read_for(field: &Field, stream: &mut TcpStream, milliseconds: u64) {
    let until = Instant::now() + Duration::from_millis(milliseconds);
    while Instant::now() < until && !field.is_over.load(Ordering::Relaxed) {
        if wire::read_some(stream).is_empty() {
            return;
        }
    }
}

fn pause(field: &Field, milliseconds: u64) {
    let until = Instant::now() + Duration::from_millis(milliseconds);
    while Instant::now() < until && !field.is_over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(20));
    }
}
