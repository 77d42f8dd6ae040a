//! A shard beside a model that looks at everybody each time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
};

use proptest::prelude::*;

use super::*;

/// Whose waker it is, and how often that was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert,
    Remove(usize),
    Park(usize),
    ParkFar {
        who: usize,
        index: u64,
        bytes: u64,
        first: u64,
    },
    /// The log has grown by so many entries and bytes.
    Grow {
        entries: u64,
        bytes: u64,
    },
    /// It has let go of so many.
    LetGo(u64),
    TakeDue(usize),
    TakeAll,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = || 0..8_usize;
    let step = prop_oneof![
        4 => Just(Step::Insert),
        2 => who().prop_map(Step::Remove),
        8 => who().prop_map(Step::Park),
        4 => (who(), 0..4_u64, 0..40_u64, 0..4_u64)
            .prop_map(|(who, index, bytes, first)| Step::ParkFar { who, index, bytes, first }),
        5 => (1..3_u64, 0..20_u64).prop_map(|(entries, bytes)| Step::Grow { entries, bytes }),
        2 => (0..3_u64).prop_map(Step::LetGo),
        6 => (0..4_usize).prop_map(Step::TakeDue),
        1 => Just(Step::TakeAll),
    ];
    prop::collection::vec(step, 1..120)
}

/// What a subscriber of the model waits for.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    No,
    Next,
    Due,
    Far(Past),
}

struct World {
    shard: Shard,
    model: BTreeMap<u32, (Waiting, Arc<Wakes>)>,
    head: Mark,
    first: u64,
}

impl World {
    /// One of those who are there.
    fn pick(&self, who: usize) -> Option<u32> {
        let nth = who.checked_rem(self.model.len())?;
        self.model.keys().nth(nth).copied()
    }

    fn note(&mut self, has_grown: bool) {
        self.shard.note(has_grown, self.head, self.first);
        for (waiting, _) in self.model.values_mut() {
            match waiting {
                Waiting::Next if has_grown => *waiting = Waiting::Due,
                Waiting::Far(past)
                    if past.mark.index < self.head.index
                        || past.mark.bytes < self.head.bytes
                        || past.first < self.first =>
                {
                    *waiting = Waiting::Due;
                }
                _ => {}
            }
        }
    }

    fn due(&self) -> usize {
        self.model.values().filter(|(waiting, _)| matches!(waiting, Waiting::Due)).count()
    }

    /// Wakes, and finds out by the counts who that was.
    fn wake(&mut self, wakers: Vec<Waker>) -> usize {
        let count = wakers.len();
        wakers.into_iter().for_each(Waker::wake);
        let mut woken = 0;
        for (waiting, wakes) in self.model.values_mut() {
            if wakes.0.swap(0, Ordering::Relaxed) > 0 {
                assert!(!matches!(waiting, Waiting::No), "woken, and did not wait");
                *waiting = Waiting::No;
                woken += 1;
            }
        }
        assert_eq!(woken, count, "each once, and nobody who has gone");
        woken
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Insert => {
                let member = Member { reached: 0, is_in_trouble: false, is_pinned: false };
                let at = self.shard.insert(member);
                assert!(self.model.insert(at, (Waiting::No, Arc::default())).is_none());
            }
            Step::Remove(who) => {
                let Some(at) = self.pick(who) else { return };
                drop(self.shard.remove(at));
                self.model.remove(&at);
            }
            Step::Park(who) => {
                let Some(at) = self.pick(who) else { return };
                let Some((waiting, wakes)) = self.model.get_mut(&at) else { return };
                drop(self.shard.park(at, &Waker::from(Arc::clone(wakes))));
                *waiting = Waiting::Next;
            }
            Step::ParkFar { who, index, bytes, first } => {
                let Some(at) = self.pick(who) else { return };
                let Some((waiting, wakes)) = self.model.get_mut(&at) else { return };
                let (index, bytes) = (self.head.index + index, self.head.bytes + bytes);
                let mark = Mark { index, bytes, ..self.head };
                let past = Past { mark, first: self.first + first };
                drop(self.shard.park_far(at, &Waker::from(Arc::clone(wakes)), past));
                *waiting = Waiting::Far(past);
            }
            Step::Grow { entries, bytes } => {
                self.head.index += entries;
                self.head.bytes += bytes;
                self.note(true);
            }
            Step::LetGo(count) => {
                self.first += count;
                self.note(false);
            }
            Step::TakeDue(max) => {
                let due = self.due();
                let mut wakers = Vec::new();
                let more = self.shard.take_due(max, &mut wakers);
                assert_eq!(self.wake(wakers), due.min(max));
                assert_eq!(more, due > max, "{due} of whom {max} are taken");
            }
            Step::TakeAll => {
                let mut wakers = Vec::new();
                self.shard.take_all(&mut wakers);
                let waiting =
                    self.model.values().filter(|(it, _)| !matches!(it, Waiting::No)).count();
                assert_eq!(self.wake(wakers), waiting);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Whoever waits for something is due when that happens, once, in whatever order the others come,
    /// wait and leave.
    #[test]
    fn who_waits_is_woken_when_it_is_due_and_only_then(steps in steps()) {
        let model = BTreeMap::new();
        let mut world = World { shard: Shard::default(), model, head: Mark::default(), first: 0 };
        steps.iter().for_each(|step| world.step(step));
        world.head.index += 1000;
        world.head.bytes += 1000;
        world.note(true);
        world.step(&Step::TakeDue(1000));
        let left: Vec<u32> = world.model.keys().copied().collect();
        left.into_iter().for_each(|at| drop(world.shard.remove(at)));
        prop_assert_eq!(world.shard.capacity(), 0);
        prop_assert!(world.shard.far.is_none());
    }
}

#[test]
fn who_waits_for_the_longest_is_woken_first() {
    let mut shard = Shard::default();
    let member = Member { reached: 0, is_in_trouble: false, is_pinned: false };
    let all: Vec<(u32, Arc<Wakes>)> =
        (0..6).map(|_| (shard.insert(member), Arc::default())).collect();
    let mark = |index| Mark { index, ..Mark::default() };
    for (n, (at, wakes)) in all.iter().enumerate() {
        drop(shard.park(*at, &Waker::from(Arc::clone(wakes))));
        // Three become due, and before any of them is woken the others do.
        if n % 3 == 2 {
            shard.note(true, mark(n as u64), 0);
        }
    }
    for (_, wakes) in &all {
        let mut wakers = Vec::new();
        shard.take_due(1, &mut wakers);
        wakers.into_iter().for_each(Waker::wake);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    }
}
