//! Bounds, indices and keys.

use super::*;

/// The log's promises, told by what was appended.
#[derive(Default)]
struct Oracle {
    /// The index of the oldest entry in the ring.
    first: usize,
    /// Indices that are kept by key.
    kept: Vec<usize>,
    lost_until: u64,
}

impl Oracle {
    fn expire(&mut self, filled: &Filled, retention: &Retention) {
        let all = &filled.all;
        let over = |first: usize| {
            let bytes: u64 = all[first..].iter().map(|entry| entry.size).sum();
            all.len() - first > retention.events
                || bytes > retention.bytes && all.len() - first > 1
                || filled.now - all[first].at > retention.age
        };
        while self.first < all.len() && over(self.first) {
            self.kept.push(self.first);
            self.first += 1;
        }
        let is_newest = |index: &usize| {
            let key = all[*index].key;
            key.is_some() && !all[index + 1..].iter().any(|later| later.key == key)
        };
        self.kept.retain(is_newest);
        let bytes = |kept: &[usize]| kept.iter().map(|&index| all[index].size).sum::<u64>();
        while self.kept.len() > retention.keys || bytes(&self.kept) > retention.bytes {
            self.lost_until = self.kept.remove(0) as u64 + 1;
        }
    }

    fn check(&self, filled: &Filled) {
        let (log, all) = (&filled.log, &filled.all);
        let first = self.first as u64;
        let len = all.len() as u64;
        assert_eq!((log.first_index(), log.head().index), (first, len));
        let evicted = self.first.checked_sub(1).map_or(0, |last| all[last].sequence);
        assert_eq!(log.evicted_through(), evicted);
        assert_eq!(log.last_sequence(), all.last().map_or(0, |last| last.sequence));
        for index in 0..len + 2 {
            let expected = all.get(index as usize).filter(|_| index >= first);
            let found = log.get(index).map(|entry| entry.position().sequence());
            assert_eq!(found, expected.map(|entry| entry.sequence));
            let before = &all[..(index as usize).min(all.len())];
            let mark = Mark {
                index,
                keyed: before.iter().filter(|entry| entry.key.is_some()).count() as u64,
                bytes: before.iter().map(|entry| entry.size).sum(),
            };
            let known = (first..=len).contains(&index).then_some(mark);
            assert_eq!(log.mark_at(index), known);
            if known.is_some() && index > 0 {
                assert_eq!(log.sequence_before(index), all[index as usize - 1].sequence);
            }
        }
        for sequence in 0..all.last().map_or(0, |last| last.sequence) + 2 {
            let after = all.iter().position(|entry| entry.sequence > sequence);
            let expected = after.unwrap_or(all.len()).max(self.first) as u64;
            assert_eq!(log.index_after(sequence), expected, "after {sequence}");
        }
        for from in 0..len + 1 {
            let expected = self.kept.iter().find(|&&index| index as u64 >= from);
            let found = log.kept_from(from).map(|entry| entry.mark().index);
            assert_eq!(found, expected.map(|&index| index as u64), "kept from {from}");
        }
        assert_eq!(log.lost_keys_until(), self.lost_until);
        self.check_newest(filled);
    }

    fn check_newest(&self, filled: &Filled) {
        let (log, all) = (&filled.log, &filled.all);
        let is_newest = |index: usize| {
            all[index].key.is_some() && all[index + 1..].iter().all(|e| e.key != all[index].key)
        };
        for index in self.first..all.len() {
            let entry = log.get(index as u64).unwrap();
            assert_eq!(log.is_newest_of_key(entry), is_newest(index));
        }
        let in_ring = (self.first..all.len()).find(|&index| is_newest(index));
        let oldest = self.kept.first().copied().or(in_ring);
        assert_eq!(log.first_newest_of_key(), oldest.map(|index| all[index].sequence));
        let ring: u64 = all[self.first..].iter().map(|entry| entry.size).sum();
        let kept: u64 = self.kept.iter().map(|&index| all[index].size).sum();
        assert_eq!(log.retained_bytes(), ring + kept);
    }
}

proptest! {
    #[test]
    fn ring_keys_and_indices_match_the_oracle(
        retention in retention(),
        steps in prop::collection::vec(step(), 1..60),
        idle in 0..400u64,
    ) {
        let mut filled = Filled::new(retention);
        let mut oracle = Oracle::default();
        for step in &steps {
            filled.append(step);
            oracle.expire(&filled, &retention);
            oracle.check(&filled);
            prop_assert!(filled.log.retained_bytes() <= 2 * retention.bytes);
            prop_assert!(filled.log.keys.len() <= retention.events + retention.keys);
        }
        filled.now += Duration::from_millis(idle);
        let now = filled.now;
        let expired = filled.log.is_expired(now);
        oracle.expire(&filled, &retention);
        oracle.check(&filled);
        prop_assert_eq!(expired, oracle.first == filled.all.len());
    }
}

#[test]
fn bounds_hold_at_their_edge() {
    let retention = Retention::default().events(3).bytes(30).age(Duration::from_millis(10));
    let mut filled = Filled::new(retention);
    let step = |size, wait| Step { key: None, size, stride: 1, wait: Duration::from_millis(wait) };
    for (size, wait, first) in [
        (10, 0, 0),
        (10, 0, 0),
        (10, 10, 0), // three events, 30 bytes, 10 ms: all at the edge
        (0, 0, 1),   // a fourth event
        (11, 0, 2),  // 21 bytes: one for the events
        (20, 0, 5),  // 31 bytes: two for the bytes
        (30, 0, 6),  // as large as is allowed: alone
        (0, 11, 7),
    ] {
        filled.append(&step(size, wait));
        assert_eq!(filled.log.first_index(), first, "{size} bytes after {wait} ms");
    }
}

#[test]
fn a_clock_that_goes_back_keeps_the_order_of_ages() {
    let mut filled = Filled::new(Retention::default());
    let start = filled.now;
    let step = Step { key: None, size: 1, stride: 1, wait: Duration::ZERO };
    for at in [5, 3, 9, 1] {
        filled.now = start + Duration::from_millis(at);
        filled.append(&step);
    }
    let ages: Vec<_> = (0..4).map(|index| filled.log.get(index).unwrap().at() - start).collect();
    assert_eq!(ages, [5, 5, 9, 9].map(Duration::from_millis));
}

#[test]
fn a_log_of_a_later_life_knows_what_went_before() {
    let mut log =
        Log::new(TopicName::new("t").unwrap(), Retention::default(), 7, &LogMemory::default());
    assert_eq!((log.evicted_through(), log.last_sequence(), log.index_after(6)), (7, 7, 0));
    log.append(PositionIssuer::new(1).at(9), Event::text("a"), Instant::now());
    assert_eq!((log.evicted_through(), log.index_after(8), log.index_after(9)), (7, 0, 1));
}
