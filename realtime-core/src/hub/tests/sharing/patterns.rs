//! Patterns, of which the broker has to say more.

use super::*;

#[test]
fn patterns_bring_what_comes_once_they_are_established() {
    let stage = Stage::new();
    let pattern = TopicPattern::new("room.*").unwrap();
    let mut subscription = stage.subscribe(Subscribe::pattern("room.*"));
    assert_eq!(stage.heard(), [Heard::Pattern("room.*".into(), true)]);
    assert!(!stage.has_started(&mut subscription));
    stage.inlet.advance(at(101)).unwrap();
    stage.inlet.establish([Interest::Pattern(&pattern)], true).unwrap();
    assert!(stage.has_started(&mut subscription));
    stage.deliver("hall", 102);
    stage.deliver("room.1", 103);
    stage.deliver("room.2", 104);
    stage.deliver("room.1", 105);
    assert_eq!(sequences(&stage.drain(&mut subscription)), [103, 104, 105]);
    assert_eq!(stage.hub.stats().topics, 2, "nobody wants the hall");
    // Somebody who wants one of them by name has all that came.
    let mut one = stage.subscribe(Subscribe::to("room.1").after(id(EPOCH, 103)));
    assert_eq!(sequences(&stage.drain(&mut one)), [105]);
    drop(subscription);
    assert!(stage.heard().contains(&Heard::Pattern("room.*".into(), false)));
}

#[test]
fn patterns_resume_with_the_topics_that_the_broker_finds() {
    let stage = Stage::new();
    let pattern = TopicPattern::new("room.*").unwrap();
    let mut subscription = stage.subscribe(Subscribe::pattern("room.*").after(id(EPOCH, 50)));
    stage.inlet.establish([Interest::Pattern(&pattern)], true).unwrap();
    assert!(!stage.has_started(&mut subscription));
    assert_eq!(stage.heard()[1..], [Heard::Find("room.*".into(), 50)]);
    let found = vec![name("room.1"), name("hall"), name("room.2")];
    stage.inlet.found(&pattern, 50, Some(found), stage.now).unwrap();
    assert!(!stage.has_started(&mut subscription));
    let reads: Vec<_> =
        stage.heard().into_iter().filter(|it| matches!(it, Heard::Read(..))).collect();
    assert_eq!(reads, [Heard::Read("room.1".into(), 50), Heard::Read("room.2".into(), 50)]);
    stage.answer("room.2", 50, 50, &[60, 80]);
    stage.answer("room.1", 50, 50, &[70, 90]);
    stage.deliver("room.1", 101);
    assert_eq!(sequences(&stage.drain(&mut subscription)), [60, 70, 80, 90, 101]);
}
