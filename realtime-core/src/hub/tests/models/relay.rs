//! A publisher wakes one, who wakes another, and so on: nobody who waits is left out.

use super::*;

const ALL: usize = 3;

/// Sleeps whenever nothing is there, until all has come, `max` at a time.
fn read_all(mut subscription: Subscription, max: usize, now: Instant) {
    let mut heard = 0;
    while heard < ALL {
        heard += take(&mut subscription, max, now).len();
    }
    assert_eq!(heard, ALL);
}

#[test]
fn all_who_wait_are_woken_one_by_another() {
    check(1000, || {
        let (hub, now) = (build(|hub| hub), Instant::now());
        let readers: Vec<_> = [1, 2, 9, 9]
            .into_iter()
            .map(|max| {
                let subscription = hub.subscribe_at(patient("a".into()), now).unwrap();
                thread::spawn(move || read_all(subscription, max, now))
            })
            .collect();
        // The notes of two publishers may come late, and overtake each other.
        let publisher = thread::spawn({
            let hub = hub.clone();
            move || publish_all(&hub, &["a", "a"], now)
        });
        publish_all(&hub, &["a"], now);
        publisher.join().unwrap();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        assert_left_behind_nothing(&hub);
    });
}

/// Who was woken and leaves instead of looking hands on what it was woken for.
#[test]
fn who_leaves_holds_nobody_up() {
    check(1000, || {
        let (hub, now) = (build(|hub| hub), Instant::now());
        let subscribe = || hub.subscribe_at(patient("a".into()), now).unwrap();
        let leavers: Vec<_> = (0..2)
            .map(|_| {
                let mut subscription = subscribe();
                thread::spawn(move || drop((read(&mut subscription, 1, now), subscription)))
            })
            .collect();
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let subscription = subscribe();
                thread::spawn(move || read_all(subscription, 9, now))
            })
            .collect();
        publish_all(&hub, &["a"; ALL], now);
        leavers.into_iter().for_each(|leaver| leaver.join().unwrap());
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        assert_left_behind_nothing(&hub);
    });
}
