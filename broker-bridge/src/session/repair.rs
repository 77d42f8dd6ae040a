//! What was missed is got out of history, or told as lost.

use std::time::Instant;

use futures_util::{StreamExt, stream};
use realtime_core::TopicName;

use super::{End, Session, earlier, position, tell_lost_commands, within};
use crate::link::{At, Engine, EngineError, Fed, History, Interest, Link, Record};

/// Topics that are read at a time.
const READ_AT_ONCE: usize = 16;

/// Topics of one pattern that are looked into. With more, everybody starts anew.
const REPAIRED_TOPICS: usize = 100_000;

impl<E: Engine> Session<'_, E> {
    /// Waits for where the sequence is, and passes over what comes before: it is in history.
    pub(super) async fn pass_over_until_mark(&mut self) -> Result<At, End> {
        self.token += 1;
        let token = self.token;
        within(self.shared, self.link.mark(token)).await?;
        let (feed, shared) = (&mut self.feed, self.shared);
        within(shared, async {
            loop {
                match feed.next().await {
                    Some(Fed::Mark { token: it, at }) if it == token => return Ok(at),
                    Some(Fed::Event(_) | Fed::Mark { .. }) => {}
                    Some(Fed::Lost(error)) => return Err(error),
                    None => {
                        return Err(EngineError::Unreachable("the connection was closed".into()));
                    }
                }
            }
        })
        .await
    }

    /// Gets what was missed between where the hub is and `reached`.
    pub(super) async fn repair(&mut self, reached: At) -> Result<(), End> {
        let Some(head) = self.known.head.filter(|head| head.sequence < reached.sequence) else {
            return Ok(());
        };
        let mut topics: Vec<TopicName> = Vec::new();
        for interest in self.known.interests(true) {
            match interest {
                Interest::Topic(topic) => topics.push(topic),
                Interest::Pattern(pattern) => {
                    let found = self.link.topics(&pattern, head.sequence, REPAIRED_TOPICS);
                    let found = within(self.shared, found).await?;
                    if found.len() > REPAIRED_TOPICS {
                        self.inlet.begin(position(reached))?;
                        self.known.begin(reached);
                        return Ok(());
                    }
                    topics.extend(found.into_iter().filter(|topic| pattern.matches(topic)));
                }
            }
        }
        topics.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        topics.dedup();
        // Who is subscribed has yet to take it all while more comes.
        let limit = (self.retained - self.retained / 4).max(1);
        let (link, shared) = (&self.link, self.shared);
        let mut said = Vec::new();
        let last = &self.known.last;
        let mut reads = stream::iter(topics.into_iter().map(|topic| async move {
            // One that was late, and for which the connection was given up, is before what has come since.
            let after = last.get(&topic).map_or(head.sequence, |last| head.sequence.min(*last));
            let read = within(shared, link.read(&topic, after, limit)).await;
            (topic, read)
        }))
        .buffer_unordered(READ_AT_ONCE);
        while let Some((topic, read)) = reads.next().await {
            let unread = |error: &EngineError| {
                tracing::warn!(%error, %topic, "what was missed can't be read");
                History { epoch: head.epoch, records: Vec::new(), complete_after: u64::MAX }
            };
            let History { epoch, records, complete_after } = match read {
                Err(End::Lost(error)) if !matches!(error, EngineError::Unreachable(_)) => {
                    unread(&error)
                }
                read => read?,
            };
            if epoch != head.epoch {
                let error = "the server's numbers have begun anew";
                return Err(EngineError::Unreachable(error.into()).into());
            }
            let now = Instant::now();
            if complete_after > head.sequence {
                // Before what is left, in whose place it is told.
                let through = complete_after.min(reached.sequence);
                if topic == TopicName::control() {
                    tell_lost_commands();
                } else {
                    shared.counters.lost.add(1);
                    self.inlet.lose(&topic, position(At { sequence: through, ..head }), now)?;
                }
            }
            let late = records.iter().rfind(|it| it.at.sequence <= head.sequence);
            if let Some(late) = late.filter(|_| topic != TopicName::control()) {
                shared.counters.lost.add(1);
                self.inlet.lose(&topic, position(late.at), now)?;
            }
            for record in records {
                // What is later comes by itself.
                if record.at.sequence <= head.sequence || record.at.sequence > reached.sequence {
                    continue;
                }
                if topic == TopicName::control() {
                    said.push(record.event);
                } else {
                    let (topic, event) = earlier(record, now);
                    self.inlet.append(&topic, event)?;
                    shared.counters.repaired.add(1);
                }
            }
        }
        drop(reads);
        said.iter().try_for_each(|event| self.obey(event, Instant::now()))
    }

    /// Gets what should have come before `record`: the topic's last that did is before the one that
    /// it names as its previous.
    pub(super) async fn repair_before(&mut self, record: &Record) -> Result<(), End> {
        let Some(head) = self.known.head else { return Ok(()) };
        let last = self.known.last.get(&record.topic).copied().unwrap_or(head.sequence);
        let read = self.link.read(&record.topic, last, self.retained);
        let history = within(self.shared, read).await?;
        self.is_of_this_life(At { epoch: history.epoch, sequence: 0 })?;
        let missed: Vec<_> = history
            .records
            .into_iter()
            .filter(|it| it.at.sequence > last && it.at.sequence < record.at.sequence)
            .collect();
        // Those before what others have been given since can't be given in their place.
        let late = missed.iter().filter(|it| it.at.sequence <= head.sequence);
        let late = late.map(|it| it.at.sequence).max();
        let lost = Some(history.complete_after.min(record.previous)).filter(|it| *it > last);
        if let Some(through) = late.max(lost) {
            self.lose(&record.topic, through)?;
        }
        let now = Instant::now();
        for it in missed.into_iter().filter(|it| it.at.sequence > head.sequence) {
            self.shared.counters.repaired.add(1);
            self.deliver(it, now)?;
        }
        Ok(())
    }
}
