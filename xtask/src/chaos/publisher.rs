//! Who publishes: one topic's numbers, in order, each to some instance.

use std::{io, net::SocketAddr, sync::atomic::Ordering::Relaxed, time::Duration};

use fastrand::Rng;
use serde_json::Value;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{
    field::Field,
    http,
    ledger::{name, text},
};

/// Longer than an instance waits for its broker.
const PATIENCE: Duration = Duration::from_secs(8);

/// Publishes about ten a second until it is over. What was not acknowledged is not tried again.
pub async fn publish(field: &Field, topic: usize, mut random: Rng) {
    let mut connections: Vec<Option<(SocketAddr, TcpStream)>> =
        (0..field.instances).map(|_| None).collect();
    while !field.is_over.load(Relaxed) {
        sleep(Duration::from_millis(random.u64(50..150))).await;
        let instance = random.usize(0..field.instances);
        let number = field.ledger.next(topic);
        let kept = &mut connections[instance];
        let answer = timeout(PATIENCE, attempt(field, instance, kept, topic, number)).await;
        match answer {
            Ok(Ok((200, body))) => acknowledged(field, topic, number, &body),
            // The broker is not there, says the instance.
            Ok(Ok((503, _))) => unknown(field, topic, number),
            Ok(Ok((status, body))) => {
                field.fail(format!("publishing {} was answered {status}: {body}", name(topic)));
                unknown(field, topic, number);
            }
            Ok(Err(_)) | Err(_) => {
                *kept = None;
                unknown(field, topic, number);
            }
        }
    }
}

async fn attempt(
    field: &Field,
    instance: usize,
    kept: &mut Option<(SocketAddr, TcpStream)>,
    topic: usize,
    number: u32,
) -> io::Result<(u16, String)> {
    let address = field.addresses.of(instance);
    // It may have been restarted elsewhere.
    let stream = match kept.take().filter(|(of, _)| *of == address) {
        Some((_, stream)) => stream,
        None => TcpStream::connect(address).await?,
    };
    let (_, stream) = kept.insert((address, stream));
    let target = format!("/publish?topic={}", name(topic));
    http::post(stream, &target, &text(topic, number)).await
}

fn acknowledged(field: &Field, topic: usize, number: u32, body: &str) {
    let answer: Option<Value> = serde_json::from_str(body).ok();
    let id = answer.as_ref().and_then(|answer| answer["id"].as_str());
    let place = id.ok_or_else(|| format!("an answer should have an id: {body}"));
    let place = place.and_then(|id| field.ledger.place(id));
    match place.and_then(|place| field.ledger.acknowledged(topic, number, place)) {
        Ok(()) => {
            field.acknowledged.fetch_add(1, Relaxed);
        }
        Err(told) => field.fail(told),
    }
}

fn unknown(field: &Field, topic: usize, number: u32) {
    field.ledger.unknown(topic, number);
    field.unknown.fetch_add(1, Relaxed);
}
