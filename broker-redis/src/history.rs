//! Reading a topic's past: [`Reading`].

use std::time::Duration;

use realtime_bridge::{EngineError, History, Record};
use realtime_core::TopicName;
use redis::Value;

use crate::{
    failure::{self, number},
    message::Message,
};

/// Bytes read in one step: a server may cut a connection that has 32 MiB to read and is subscribed to
/// something, and it does nothing else meanwhile.
pub(crate) const PAGE_BYTES: u64 = 2 * 1024 * 1024;

/// A history while it is read, page by page, the newest first.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    topic: &'a TopicName,
    after: u64,
    limit: usize,
    bytes: u64,
    epoch: Option<u64>,
    /// The newest first.
    records: Vec<Record>,
    /// The sequence of the newest event that is still to be read: all above it have been.
    expected: u64,
    /// The id of the oldest entry that came.
    before: Vec<u8>,
    /// Entries that came, ours or not.
    entries: usize,
    done: bool,
}

impl<'a> Reading<'a> {
    /// At most `limit` events, and none more once there are `bytes`.
    pub(crate) fn new(topic: &'a TopicName, after: u64, limit: usize, bytes: u64) -> Self {
        Self {
            topic,
            after,
            limit,
            bytes,
            epoch: None,
            records: Vec::new(),
            expected: after,
            before: Vec::new(),
            entries: 0,
            done: false,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Below which id to read on; empty for all.
    pub(crate) fn before(&self) -> &[u8] {
        &self.before
    }

    /// How many to read now.
    pub(crate) fn count(&self) -> usize {
        self.limit - self.records.len()
    }

    /// Takes what `realtime1_read` has answered.
    pub(crate) fn take(&mut self, answer: &Value) -> Result<(), EngineError> {
        let (epoch, newest, now, entries) = page(answer).ok_or_else(|| {
            failure::unexpected("realtime1_read", "epoch, newest, time and entries")
        })?;
        if *self.epoch.get_or_insert(epoch) != epoch {
            // The server has been emptied meanwhile. What came before is of the epoch that it says.
            self.done = true;
            return Ok(());
        }
        if self.entries == 0 {
            self.expected = newest.max(self.after);
        }
        let mut came = false;
        for (id, message) in entries {
            came = true;
            self.entries += 1;
            self.before = id.to_vec();
            // Entries that somebody else has put there are none of the sequence.
            let Ok(message) = Message::parse(message) else { continue };
            if message.at.epoch != epoch || id != format!("{}-0", message.at.sequence).as_bytes() {
                continue;
            }
            let age = Duration::from_millis(now.saturating_sub(message.time));
            let Ok(record) = message.record(self.topic, age) else { continue };
            if record.at.sequence != self.expected || self.expected <= self.after {
                // One between this and the one above is missing, or was never asked for.
                self.done = true;
                return Ok(());
            }
            self.expected = record.previous;
            self.bytes = self.bytes.saturating_sub(record.event.size() as u64);
            self.records.push(record);
            if self.records.len() >= self.limit || self.bytes == 0 {
                self.done = true;
                return Ok(());
            }
        }
        // Many entries that are none of ours are not looked through without end.
        let many = self.entries >= self.limit.saturating_mul(2).saturating_add(1024);
        self.done = !came || many || self.expected <= self.after;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> History {
        self.records.reverse();
        History {
            epoch: self.epoch.unwrap_or_default(),
            records: self.records,
            complete_after: self.expected.max(self.after),
        }
    }
}

type Entry<'a> = (&'a [u8], &'a [u8]);

fn page(answer: &Value) -> Option<(u64, u64, u64, impl Iterator<Item = Entry<'_>>)> {
    let Value::Array(parts) = answer else { return None };
    let [epoch, newest, now, Value::Array(entries)] = parts.as_slice() else { return None };
    let entries = entries.chunks_exact(2).filter_map(|entry| match entry {
        [Value::BulkString(id), Value::BulkString(message)] => {
            Some((id.as_slice(), message.as_slice()))
        }
        _ => None,
    });
    Some((number(Some(epoch))?, number(Some(newest))?, number(Some(now))?, entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sequence: u64, previous: u64) -> [Value; 2] {
        let message = format!("1 {sequence} {previous} 5 text 0 0\nx");
        [format!("{sequence}-0"), message].map(|text| Value::BulkString(text.into_bytes()))
    }

    fn answer(epoch: i64, newest: i64, entries: Vec<[Value; 2]>) -> Value {
        let entries = Value::Array(entries.into_iter().flatten().collect());
        Value::Array(vec![Value::Int(epoch), Value::Int(newest), Value::Int(9), entries])
    }

    /// Sequences and `complete_after` of what comes of these answers.
    fn read(after: u64, limit: usize, answers: Vec<Value>) -> (Vec<u64>, u64) {
        let topic = TopicName::new("t").unwrap();
        let mut reading = Reading::new(&topic, after, limit, 1000);
        for answer in answers {
            assert!(!reading.is_done());
            reading.take(&answer).unwrap();
        }
        assert!(reading.is_done());
        let history = reading.finish();
        (history.records.iter().map(|it| it.at.sequence).collect(), history.complete_after)
    }

    #[test]
    fn is_complete_after_what_the_oldest_names() {
        let nothing = || answer(1, 4, vec![]);
        // All that is above `after`.
        assert_eq!(read(2, 9, vec![answer(1, 7, vec![entry(7, 4), entry(4, 2)])]), (vec![4, 7], 2));
        // The limit.
        assert_eq!(read(0, 1, vec![answer(1, 7, vec![entry(7, 4)])]), (vec![7], 4));
        // The rest is gone.
        assert_eq!(read(0, 9, vec![answer(1, 7, vec![entry(7, 4)]), nothing()]), (vec![7], 4));
        // Nothing is there, and nothing was; or it is gone.
        assert_eq!(read(4, 9, vec![nothing()]), (vec![], 4));
        assert_eq!(read(3, 9, vec![nothing()]), (vec![], 4));
        // One in the middle is gone.
        let hole = vec![entry(7, 6), entry(5, 2)];
        assert_eq!(read(2, 9, vec![answer(1, 7, hole)]), (vec![7], 6));
        // The newest is gone.
        assert_eq!(read(2, 9, vec![answer(1, 7, vec![entry(6, 2)])]), (vec![], 7));
    }

    #[test]
    fn passes_over_what_is_none_of_the_sequence() {
        let [_, message] = entry(6, 4);
        let foreign = [Value::BulkString(b"99-1".to_vec()), message];
        let garbage = [&b"6-1"[..], b"abc"].map(|it| Value::BulkString(it.to_vec()));
        let entries = vec![foreign, entry(7, 4), garbage, entry(4, 2)];
        assert_eq!(read(2, 9, vec![answer(1, 7, entries)]), (vec![4, 7], 2));
    }

    #[test]
    fn ends_where_the_epoch_does() {
        let first = answer(1, 7, vec![entry(7, 6)]);
        assert_eq!(read(0, 9, vec![first, answer(2, 1, vec![])]), (vec![7], 6));
    }
}
