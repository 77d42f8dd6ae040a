//! Reading a topic's past.

use std::{collections::VecDeque, time::Duration};

use async_nats::Message;
use realtime_bridge::{At, History, Record};
use realtime_core::TopicName;

use crate::{
    api::{Api, Failure, number},
    consumer::Consumer,
    message::{self, Stored},
    stream,
};

/// What is to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) topic: &'a TopicName,
    /// Its subject in the stream.
    pub(crate) subject: &'a str,
    pub(crate) after: u64,
    pub(crate) limit: usize,
    /// How many bytes of events at most, one event over.
    pub(crate) bytes: u64,
}

/// Cursors made at most to find where to begin.
const MAX_PROBES: usize = 128;
/// As many messages are read rather than looked whether fewer would do.
const FEW: u64 = 256;

/// The newest events of a topic.
///
/// The stream lets go of its oldest messages only. So what is missing of a topic lies before the first that
/// the stream still has when everything has been read.
pub(crate) async fn read(
    api: &Api,
    name: &str,
    epoch: u64,
    wanted: Wanted<'_>,
) -> Result<History, Failure> {
    let (mut consumer, from) = begin(api, name, wanted).await?;
    let mut newest = Newest::new(wanted, epoch, from.saturating_sub(1), consumer.made());
    loop {
        let page = consumer.page().await.map_err(Failure::Other)?;
        if page.is_empty() {
            break;
        }
        for (message, stored) in page {
            newest.take(&message, stored);
        }
    }
    let ((), info) = tokio::join!(consumer.forget(), stream::info(api, name));
    let first = number(&info?, &["state", "first_seq"]).map_err(Failure::Other)?;
    Ok(newest.finish(first.saturating_sub(1)))
}

/// A cursor that begins where about as many messages follow as are wanted, and where that is.
async fn begin<'a>(
    api: &'a Api,
    name: &'a str,
    wanted: Wanted<'_>,
) -> Result<(Consumer<'a>, u64), Failure> {
    let limit = u64::try_from(wanted.limit).unwrap_or(u64::MAX).max(1);
    let enough = limit.saturating_mul(2).max(FEW);
    let mut low = wanted.after.saturating_add(1);
    let mut consumer = Consumer::from(api, name, wanted.subject, low).await?;
    if consumer.pending() <= enough {
        return Ok((consumer, low));
    }
    let info = stream::info(api, name).await?;
    let state = |what| number(&info, &["state", what]).map_err(Failure::Other);
    let mut high = state("last_seq")?.saturating_add(1);
    let first = state("first_seq")?;
    // At `low` more follow, so that what is left out shows; at `high` too few.
    for probe in 0..MAX_PROBES {
        let from = low.max(first);
        let between = high.saturating_sub(from);
        if consumer.pending() <= enough || between <= 1 {
            break;
        }
        let back = if probe % 2 == 0 {
            // As if its events were spread evenly.
            let share = u128::from(between) * u128::from(limit + limit / 2 + 1);
            u64::try_from(share / u128::from(consumer.pending())).unwrap_or(between)
        } else {
            between / 2
        };
        let guess = high - back.clamp(1, between - 1);
        let other = Consumer::from(api, name, wanted.subject, guess).await?;
        if other.pending() > limit {
            low = guess;
            std::mem::replace(&mut consumer, other).forget().await;
        } else {
            high = guess;
            other.forget().await;
        }
    }
    Ok((consumer, low))
}

/// The newest of what is taken.
#[derive(Debug)]
struct Newest<'a> {
    wanted: Wanted<'a>,
    epoch: u64,
    /// The server's clock.
    now: u64,
    records: VecDeque<Record>,
    bytes: u64,
    /// Nothing above this has been left out.
    complete_after: u64,
}

impl<'a> Newest<'a> {
    fn new(wanted: Wanted<'a>, epoch: u64, complete_after: u64, now: u64) -> Self {
        let complete_after = complete_after.max(wanted.after);
        Self { wanted, epoch, now, records: VecDeque::new(), bytes: 0, complete_after }
    }

    fn take(&mut self, message: &Message, stored: Stored) {
        // What somebody else has written and is no event, is none.
        let Ok(event) = message::event(message) else { return };
        self.bytes += size(&event);
        self.records.push_back(Record {
            topic: self.wanted.topic.clone(),
            at: At { epoch: self.epoch, sequence: stored.sequence },
            previous: 0,
            event,
            age: Duration::from_nanos(self.now.saturating_sub(stored.time)),
        });
        let is_over = |it: &Self| {
            it.records.len() > it.wanted.limit
                || (it.bytes > it.wanted.bytes && it.records.len() > 1)
        };
        while is_over(self) && self.leave_out() {}
    }

    fn leave_out(&mut self) -> bool {
        let Some(oldest) = self.records.pop_front() else { return false };
        self.bytes = self.bytes.saturating_sub(size(&oldest.event));
        self.complete_after = self.complete_after.max(oldest.at.sequence);
        true
    }

    /// With everything up to `gone` evicted, while it was read or before.
    fn finish(mut self, gone: u64) -> History {
        while self.records.front().is_some_and(|oldest| oldest.at.sequence <= gone) {
            self.leave_out();
        }
        let complete_after = self.complete_after.max(gone);
        let mut previous = complete_after;
        let mut records = Vec::from(self.records);
        for record in &mut records {
            record.previous = previous;
            previous = record.at.sequence;
        }
        History { epoch: self.epoch, records, complete_after }
    }
}

fn size(event: &realtime_core::Event) -> u64 {
    u64::try_from(event.size()).unwrap_or(u64::MAX)
}
