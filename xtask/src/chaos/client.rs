//! Who listens: some topics, on one instance after another.

use std::{
    sync::{Mutex, atomic::Ordering::Relaxed},
    time::Duration,
};

use fastrand::Rng;
use realtime_testkit::sse::Event;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::{
    field::{Field, lock},
    http::{EventStream, Got},
    ledger::{TOPICS_PER_GROUP, name, pattern, read},
    record::{Kind, Record},
};
use crate::Result;

/// By when a stream has begun.
const OPENS: Duration = Duration::from_secs(10);
/// Longer than between two heartbeats: whoever says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(40);
/// The longest that a client stays.
const STAYS: u64 = 12_000;
/// How often a client looks whether it is to go on.
const LOOKS: Duration = Duration::from_millis(200);
/// Topics that few follow come last.
const RARE_TOPICS: usize = 4;

/// What a client follows, all its life.
#[derive(Debug)]
pub struct Wanted {
    pub topics: Vec<usize>,
    pub target: String,
}

impl Wanted {
    /// Some of so many topics. The last few are followed by two each, so that instances gain and lose their
    /// interest in them.
    pub fn choose(client: usize, topics: usize, random: &mut Rng) -> Self {
        let usual = topics - RARE_TOPICS;
        if client < 2 * RARE_TOPICS {
            let topic = usual + client % RARE_TOPICS;
            return Self { topics: vec![topic], target: format!("/events?topic={}", name(topic)) };
        }
        let mut all: Vec<usize> = (0..usual).collect();
        random.shuffle(&mut all);
        all.truncate(random.usize(1..=5));
        let mut words: Vec<String> =
            all.iter().map(|topic| format!("topic={}", name(*topic))).collect();
        if random.u8(0..4) == 0 {
            let group = random.usize(0..usual / TOPICS_PER_GROUP);
            words.push(format!("pattern={}", pattern(group)));
            all.extend((0..TOPICS_PER_GROUP).map(|it| group * TOPICS_PER_GROUP + it));
        }
        all.sort_unstable();
        all.dedup();
        Self { topics: all, target: format!("/events?{}", words.join("&")) }
    }
}

/// Listens here and there until all clients are to end.
pub async fn listen(field: &Field, record: &Mutex<Record>, wanted: &Wanted, mut random: Rng) {
    let mut last_id: Option<String> = None;
    while !field.is_left.load(Relaxed) {
        let instance = random.usize(0..field.instances);
        let address = field.addresses.of(instance);
        let open = EventStream::open(address, &wanted.target, last_id.as_deref());
        let Ok(Ok(mut stream)) = timeout(OPENS, open).await else {
            lock(record).tally.refused += 1;
            sleep(Duration::from_millis(random.u64(50..400))).await;
            continue;
        };
        lock(record).connected(instance);
        let until = Instant::now() + Duration::from_millis(random.u64(200..STAYS));
        stay(field, record, instance, &mut stream, &mut last_id, until).await;
        drop(stream);
        sleep(Duration::from_millis(random.u64(0..300))).await;
    }
}

/// Listens until then, or until the stream ends.
async fn stay(
    field: &Field,
    record: &Mutex<Record>,
    instance: usize,
    stream: &mut EventStream,
    last_id: &mut Option<String>,
    until: Instant,
) {
    let mut heard = Instant::now();
    loop {
        let is_time = Instant::now() >= until && !field.is_over.load(Relaxed);
        if is_time || field.is_left.load(Relaxed) || heard.elapsed() > SILENCE {
            return;
        }
        let Ok(got) = timeout(LOOKS, stream.next()).await else { continue };
        heard = Instant::now();
        let mut record = lock(record);
        let taken = match got {
            Ok(Got::Id(id)) => {
                let place = field.ledger.place(&id).map(|place| record.positioned(place));
                *last_id = Some(id);
                place
            }
            Ok(Got::Event(event)) => {
                if let Some(id) = &event.block_id {
                    *last_id = Some(id.clone());
                }
                take(field, &mut record, instance, &event)
            }
            Ok(Got::Nothing) => Ok(()),
            Ok(Got::End) | Err(_) => return,
        };
        if let Err(told) = taken {
            record.complain(Kind::Wrong, told);
        }
    }
}

fn take(field: &Field, record: &mut Record, instance: usize, event: &Event) -> Result {
    let place = || {
        let id = event.block_id.as_ref().ok_or_else(|| format!("without an id: {event:?}"))?;
        field.ledger.place(id)
    };
    match event.event.as_str() {
        "message" => {
            let place = place()?;
            let Some((topic, number)) = read(&event.data) else {
                record.complain(Kind::Corrupt, format!("at {place}: {:?}", event.data));
                return Ok(());
            };
            record.event(topic, number, place);
            field.came(instance, field.ledger.delivered(topic, number, place)?);
        }
        "realtime.gap" => {
            let gap = json(event)?;
            let text = |name: &str| gap[name].as_str().ok_or_else(|| format!("a gap: {gap}"));
            let topic = text("topic")?;
            let topic = (0..field.ledger.topics())
                .find(|it| name(*it) == topic)
                .ok_or_else(|| format!("a gap in a topic that nobody knows: {gap}"))?;
            let after = field.ledger.place(text("after")?)?;
            record.gap(topic, after, field.ledger.place(text("resumes_at")?)?);
        }
        "realtime.reset" => {
            let told = json(event)?;
            record.reset(place()?, told["reason"].as_str().unwrap_or("no reason"));
        }
        "realtime.bye" => {
            field.byes.fetch_add(1, Relaxed);
        }
        _ => return Err(format!("an unknown event: {event:?}")),
    }
    Ok(())
}

fn json(event: &Event) -> Result<Value> {
    serde_json::from_str(&event.data).map_err(|error| format!("{error}: {event:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::ledger::Ledger;

    #[test]
    fn all_topics_are_followed_and_rare_ones_by_two() {
        let mut followers = [0; 20];
        for client in 0..300 {
            let wanted = Wanted::choose(client, 20, &mut Rng::with_seed(client as u64));
            wanted.topics.iter().for_each(|topic| followers[*topic] += 1);
        }
        assert!(followers[..16].iter().all(|count| *count > 10), "{followers:?}");
        assert_eq!(followers[16..], [2; 4]);
        assert_eq!(Ledger::new(20).topics(), followers.len());
    }
}
