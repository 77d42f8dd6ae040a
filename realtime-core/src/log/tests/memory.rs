//! What a log takes, and what it gives when memory is short.

use super::{wire::Wire, *};
use crate::log::memory::{ENTRY_BYTES, KEY_BYTES};

/// What a log takes, counted anew.
fn counted(log: &Log) -> u64 {
    let entries = log.ring.len() as u64 + log.keys.kept() as u64;
    let bytes = log.retained_bytes() + entries * ENTRY_BYTES + log.keys.len() as u64 * KEY_BYTES;
    bytes + log.wire.memory()
}

fn read_all(log: &mut Log) {
    let format = Wire { slot: 0, times: 1, hint: 100 };
    let mut from = log.first_index();
    while from < log.head().index {
        from = log.encoded(&format, from..log.head().index, usize::MAX).1;
    }
}

proptest! {
    /// Whatever is done to two logs, the hub's count is what they take, and nothing once they go.
    #[test]
    fn all_logs_together_are_what_each_takes(
        retention in retention(),
        steps in prop::collection::vec((0..2usize, step(), 0..6u8, 0..3000u64), 1..60),
    ) {
        let memory = LogMemory::default();
        let mut logs = [Filled::in_memory(retention, &memory), Filled::in_memory(retention, &memory)];
        for (of, step, act, bytes) in &steps {
            let filled = &mut logs[*of];
            filled.append(step);
            match act {
                0 => read_all(&mut filled.log),
                1 => filled.log.forget_encoded(),
                2 => drop(filled.log.shrink_by(*bytes)),
                3 => drop(filled.log.is_expired(filled.now + Duration::from_millis(*bytes))),
                _ => {}
            }
            for filled in &logs {
                prop_assert_eq!(filled.log.memory(), counted(&filled.log));
            }
            prop_assert_eq!(memory.total(), logs.iter().map(|it| it.log.memory()).sum::<u64>());
        }
        drop(logs);
        prop_assert_eq!(memory.total(), 0);
    }

    /// It gives the oldest, no more than has to be, and says how many.
    #[test]
    fn the_oldest_events_go_until_enough_is_there(
        retention in retention(),
        steps in prop::collection::vec(step(), 1..60),
        bytes in 0..6000u64,
    ) {
        let mut filled = Filled::new(retention);
        steps.iter().for_each(|step| filled.append(step));
        let held = |log: &Log| -> Vec<u64> {
            let kept = std::iter::successors(log.kept_from(0), |entry| {
                log.kept_from(entry.mark().index + 1)
            });
            kept.chain(&log.ring).map(|entry| entry.position().sequence()).collect()
        };
        let (before, memory) = (held(&filled.log), filled.log.memory());
        let gone = filled.log.shrink_by(bytes) as usize;
        let after = held(&filled.log);
        prop_assert_eq!(&before[gone..], &after[..]);
        prop_assert!(filled.log.memory() <= memory.saturating_sub(bytes) || filled.log.is_blank());
        if let Some(last) = gone.checked_sub(1) {
            let largest = 40 + 1 + ENTRY_BYTES + KEY_BYTES;
            prop_assert!(filled.log.memory() + largest > memory.saturating_sub(bytes), "one less");
            prop_assert!(filled.log.evicted_through() >= before[last]
                || filled.log.lost_keys_until() > 0);
        }
        prop_assert_eq!(filled.log.last_sequence(), filled.all.last().unwrap().sequence);
    }
}

#[test]
fn an_empty_log_keeps_no_room() {
    let mut filled = Filled::new(Retention::default());
    for n in 0..100 {
        filled.append(&Step { key: Some(n), size: 5, stride: 1, wait: Duration::ZERO });
    }
    read_all(&mut filled.log);
    assert!(filled.log.memory() > 100 * ENTRY_BYTES);
    let later = filled.now + Retention::default().age * 2;
    // Kept by key, they stay.
    assert!(filled.log.is_expired(later) && !filled.log.is_blank());
    filled.log.forget_encoded();
    filled.log.shrink_by(u64::MAX);
    assert_eq!((filled.log.memory(), filled.log.ring.capacity()), (0, 0));
}
