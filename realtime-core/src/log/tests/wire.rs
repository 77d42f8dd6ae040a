//! Encoded copies: whatever is read in whatever pieces is what one by one gives.

use super::*;

/// A format that writes the sequence, the payload `times` times, and hints at `hint` percent of
/// what it writes.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) slot: usize,
    pub(super) times: usize,
    pub(super) hint: usize,
}

impl WireFormat for Wire {
    fn slot(&self) -> usize {
        self.slot
    }

    fn size_hint(&self, entry: &Entry) -> usize {
        entry.event().size() * self.times * self.hint / 100
    }

    fn encode(&self, entry: &Entry, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("[{}:{}]", self.slot, entry.position()).as_bytes());
        for _ in 0..self.times {
            out.extend_from_slice(entry.event().data().as_bytes());
        }
    }
}

fn one_by_one(format: &Wire, log: &Log, range: Range<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    range.for_each(|index| format.encode(log.get(index).unwrap(), &mut out));
    out
}

#[derive(Clone, Debug)]
enum Op {
    Append(Step),
    /// Which format, from where to where in per mille of the ring, at most how many bytes a time.
    Read(usize, u64, u64, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let read = (0..WIRE_FORMATS, 0..1000u64, 1..=1000u64, 0..400usize)
        .prop_map(|(format, from, length, max)| Op::Read(format, from, length, max));
    prop_oneof![2 => step().prop_map(Op::Append), 3 => read]
}

fn check_read(filled: &mut Filled, format: &Wire, range: Range<u64>, max: usize) {
    let mut from = range.start;
    while from < range.end {
        let (bytes, to) = filled.log.encoded(format, from..range.end, max);
        assert!(from < to && to <= range.end, "{from} < {to} <= {}", range.end);
        assert!(bytes.len() <= max || to == from + 1, "{} bytes, at most {max}", bytes.len());
        assert_eq!(bytes, one_by_one(format, &filled.log, from..to));
        from = to;
    }
}

proptest! {
    #[test]
    fn any_reads_give_what_one_by_one_gives(
        retention in retention(),
        hints in prop::collection::vec((0..4usize, 0..300usize), WIRE_FORMATS),
        ops in prop::collection::vec(op(), 1..80),
    ) {
        let formats: Vec<_> = hints.into_iter().enumerate()
            .map(|(slot, (times, hint))| Wire { slot, times, hint }).collect();
        let mut filled = Filled::new(retention);
        for op in &ops {
            match op {
                Op::Append(step) => filled.append(step),
                Op::Read(format, from, length, max) => {
                    let (first, head) = (filled.log.first_index(), filled.log.head().index);
                    if first == head {
                        continue;
                    }
                    let from = first + (head - first - 1) * from / 1000;
                    let to = from + 1 + (head - from - 1) * length / 1000;
                    check_read(&mut filled, &formats[*format], from..to, *max);
                }
            }
            let wire = &filled.log.wire;
            let batches = wire.slots.iter().flatten();
            prop_assert_eq!(wire.bytes(), batches.clone().map(|b| b.len()).sum::<usize>());
            let first = filled.log.first_index();
            prop_assert!(batches.clone().all(|batch| batch.end() > first), "of what is gone");
            let largest = batches.map(|batch| batch.len()).max().unwrap_or(0);
            prop_assert!(filled.log.encoded_bytes() <= largest.max(retention.bytes as usize));
        }
    }
}

/// Formats whose hints are wrong both ways, events that fill batches, and readers at both ends.
#[test]
fn encoded_bytes_stay_within_the_retention_or_one_batch() {
    const EVENT: usize = 3000;
    for (retained, hint) in [(1, 0), (1, 100), (100 * 1024, 0), (100 * 1024, 300), (1 << 20, 100)] {
        let mut filled = Filled::new(Retention::default().bytes(1 << 20));
        filled.log.retention.bytes = retained;
        filled.log.retention.events = 300;
        let formats: Vec<_> =
            (0..WIRE_FORMATS).map(|slot| Wire { slot, times: 1 + slot, hint }).collect();
        let step = Step { key: None, size: EVENT, stride: 1, wait: Duration::ZERO };
        // The ring is filled past its bytes to have the cache alone under test.
        filled.log.retention.bytes = u64::MAX;
        (0..150).for_each(|_| filled.append(&step));
        filled.log.retention.bytes = retained;
        for format in &formats {
            check_read(&mut filled, format, 0..150, 64 * 1024);
            check_read(&mut filled, format, 75..150, 10_000);
            check_read(&mut filled, format, 3..20, 1);
            let batch = 64 * 1024 + EVENT * format.times + 64;
            assert!(filled.log.encoded_bytes() <= batch.max(retained as usize));
        }
    }
}

/// What a hint reserves and nothing fills is memory all the same.
#[test]
fn a_hint_that_is_too_high_costs_nothing_in_the_end() {
    let mut filled = Filled::new(Retention::default());
    filled.append(&Step { key: None, size: 50_000, stride: 1, wait: Duration::ZERO });
    let format = Wire { slot: 1, times: 1, hint: 1000 };
    drop(filled.log.encoded(&format, 0..1, 1));
    let batches = filled.log.wire.take_batches();
    assert_eq!(batches.len(), 1);
    for batch in batches {
        let length = batch.len();
        let capacity = batch.capacity();
        assert!(
            length <= capacity && capacity <= length * 9 / 8 + 128,
            "{capacity} bytes for {length}"
        );
    }
}

#[test]
fn an_event_is_encoded_once_for_all_readers() {
    let mut filled = Filled::new(Retention::default());
    let step = Step { key: None, size: 10, stride: 1, wait: Duration::ZERO };
    (0..3).for_each(|_| filled.append(&step));
    let format = Wire { slot: 0, times: 1, hint: 100 };
    let (all, _) = filled.log.encoded(&format, 0..3, usize::MAX);
    let (last, _) = filled.log.encoded(&format, 2..3, usize::MAX);
    assert_eq!(last.as_ptr_range().end, all.as_ptr_range().end, "the same memory");
}
