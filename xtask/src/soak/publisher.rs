//! What is published: numbered events, which somebody counts, and many large ones, which nobody does.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::Ordering,
    thread,
    time::Duration,
};

use fastrand::Rng;

use super::{
    Field,
    wire::{self, Window},
};

/// Publishes numbers to `numbered.{topic}` until nobody counts any more; how many.
pub fn number(field: &Field, topic: usize, mut random: Rng) -> Result<u64, String> {
    let name = format!("numbered.{topic}");
    let mut stream = None;
    let mut number = 0;
    while !field.is_left.load(Ordering::Relaxed) {
        number += 1;
        let filler: String = (0..random.usize(0..200)).map(|_| random.alphanumeric()).collect();
        let body = format!("{name} {number} {filler}");
        publish(field, &mut stream, &name, body.as_bytes(), &mut random)
            .map_err(|error| format!("publishing to {name}: {error}"))?;
        field.published[topic].store(number, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(random.u64(2..10)));
    }
    Ok(number)
}

/// Publishes what fills the sockets of those who don't read, until it is to stop.
pub fn flood(field: &Field, mut random: Rng) -> Result<u64, String> {
    let mut stream = None;
    let mut count = 0;
    while !field.is_over.load(Ordering::Relaxed) {
        let body = vec![b'x'; random.usize(1_000..20_000)];
        publish(field, &mut stream, "wild.0", &body, &mut random)
            .map_err(|error| format!("publishing to wild.0: {error}"))?;
        count += 1;
        thread::sleep(Duration::from_millis(random.u64(2..15)));
    }
    Ok(count)
}

/// How long the server may take to answer, whatever goes on.
const ANSWER: Duration = Duration::from_secs(10);

fn publish(
    field: &Field,
    kept: &mut Option<TcpStream>,
    topic: &str,
    body: &[u8],
    random: &mut Rng,
) -> std::io::Result<()> {
    let stream = match kept {
        Some(stream) => stream,
        None => kept.insert(wire::dial(field.addr, Window::Normal, random)?),
    };
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    stream.write_all(&wire::post(topic, body))?;
    let (status, mut rest) = wire::answer(stream)?;
    // The answer's body is one object.
    while !rest.ends_with(b"}") {
        let mut buffer = [0; 512];
        match stream.read(&mut buffer)? {
            0 => break,
            length => rest.extend_from_slice(&buffer[..length]),
        }
    }
    if status == 200 {
        return Ok(());
    }
    Err(std::io::Error::other(format!("status {status}: {}", String::from_utf8_lossy(&rest))))
}
