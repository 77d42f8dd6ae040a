use super::*;

/// The place with this sequence in the first life.
fn at(sequence: u64) -> Place {
    Place { life: 0, sequence }
}

/// Ten events of topic 0, acknowledged at 1 to 10, and a client that is at 0.
fn played() -> (Ledger, Record) {
    let ledger = Ledger::new(2);
    for sequence in 1..=10 {
        let number = ledger.next(0);
        ledger.acknowledged(0, number, at(sequence)).expect("it has no other id");
    }
    let mut record = Record::new(3, "/events", &[0]);
    record.connected(0);
    record.positioned(at(0));
    (ledger, record)
}

fn finished(ledger: &Ledger, mut record: Record) -> Tally {
    record.finish(ledger, Instant::now());
    assert_eq!(record.told.is_empty(), record.tally.violations() == 0, "{:?}", record.told);
    record.tally
}

fn give(record: &mut Record, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        record.event(0, number, at(u64::from(number) + 1));
    }
}

#[test]
fn all_in_order_is_right() {
    let (ledger, mut record) = played();
    give(&mut record, 0..4);
    record.connected(1);
    record.positioned(at(4));
    assert_eq!(record.missing(&ledger), 6);
    give(&mut record, 4..10);
    assert_eq!(record.missing(&ledger), 0);
    assert_eq!(finished(&ledger, record).violations(), 0);
}

#[test]
fn a_dropped_event_is_found() {
    let (ledger, mut record) = played();
    give(&mut record, (0..10).filter(|number| *number != 6));
    let tally = finished(&ledger, record);
    assert_eq!((tally.lost, tally.violations()), (1, 1));
}

#[test]
fn the_last_event_is_not_forgotten() {
    let (ledger, mut record) = played();
    give(&mut record, 0..9);
    assert_eq!(finished(&ledger, record).lost, 1);
}

#[test]
fn what_was_before_the_first_id_is_not_expected() {
    let (ledger, _) = played();
    let mut record = Record::new(0, "/events", &[0]);
    record.positioned(at(7));
    give(&mut record, 7..10);
    assert_eq!(finished(&ledger, record).violations(), 0);
}

#[test]
fn who_was_never_told_where_it_is_is_found() {
    let (ledger, _) = played();
    assert_eq!(finished(&ledger, Record::new(0, "/events", &[0])).wrong, 1);
}

#[test]
fn a_doubled_event_is_found() {
    let (ledger, mut record) = played();
    give(&mut record, 0..10);
    record.event(0, 9, at(10));
    assert_eq!(finished(&ledger, record).duplicates, 2, "its id and its number");
    // The same under another id.
    let (ledger, mut record) = played();
    give(&mut record, 0..10);
    record.event(0, 4, at(11));
    assert_eq!(finished(&ledger, record).duplicates, 1);
}

#[test]
fn swapped_events_are_found() {
    let (ledger, mut record) = played();
    give(&mut record, [0, 1, 3, 2, 4, 5, 6, 7, 8, 9]);
    let tally = finished(&ledger, record);
    assert_eq!(tally.order, 2, "by the ids and by the numbers");
    // Ids as they should be, numbers not.
    let ledger = Ledger::new(1);
    let mut record = Record::new(0, "/events", &[0]);
    record.positioned(at(0));
    for (number, place) in [(0, at(2)), (1, at(1))] {
        ledger.next(0);
        ledger.acknowledged(0, number, place).expect("it has no other id");
    }
    record.event(0, 1, at(1));
    record.event(0, 0, at(2));
    assert_eq!(finished(&ledger, record).order, 1);
}

#[test]
fn what_nobody_acknowledged_may_come_late_once_and_to_all() {
    let (ledger, mut record) = played();
    let (unknown, after) = (ledger.next(0), ledger.next(0));
    ledger.unknown(0, unknown);
    ledger.acknowledged(0, after, at(11)).expect("it has no other id");
    give(&mut record, 0..10);
    record.event(0, after, at(11));
    // It may not have been stored.
    assert_eq!(record.missing(&ledger), 0);
    // It has: somebody else got it.
    ledger.delivered(0, unknown, at(12)).expect("it has no other id");
    assert_eq!(record.missing(&ledger), 1);
    record.event(0, unknown, at(12));
    assert_eq!(finished(&ledger, record).violations(), 0);
}

#[test]
fn a_corrupted_event_is_found() {
    let (ledger, mut record) = played();
    give(&mut record, 0..10);
    record.complain(Kind::Corrupt, "a text".to_owned());
    assert_eq!(finished(&ledger, record).corrupt, 1);
}

#[test]
fn a_gap_excuses_what_is_in_it_and_no_more() {
    let (ledger, mut record) = played();
    give(&mut record, 0..2);
    record.gap(0, at(2), at(6));
    give(&mut record, 6..10);
    let tally = finished(&ledger, record);
    assert_eq!((tally.gaps, tally.lost), (1, 1), "the one at 6");
    // Of another topic.
    let (ledger, mut record) = played();
    give(&mut record, 0..2);
    record.gap(1, at(2), at(7));
    give(&mut record, 6..10);
    assert_eq!(finished(&ledger, record).lost, 4);
}

#[test]
fn a_reset_excuses_what_is_before_its_id() {
    let (ledger, mut record) = played();
    let other = |sequence| Place { life: 1, sequence };
    for sequence in 1..=4 {
        let number = ledger.next(0);
        ledger.acknowledged(0, number, other(sequence)).expect("it has no other id");
    }
    give(&mut record, 0..7);
    record.connected(1);
    record.reset(other(2), "epoch");
    assert_eq!(record.missing(&ledger), 2, "those after the reset");
    record.event(0, 12, other(3));
    record.event(0, 13, other(4));
    let tally = finished(&ledger, record);
    assert_eq!((tally.resets, tally.violations()), (1, 0));
    // Another life, and nobody said so.
    let (ledger, mut record) = played();
    give(&mut record, 0..10);
    let number = ledger.next(0);
    ledger.acknowledged(0, number, other(1)).expect("it has no other id");
    record.event(0, number, other(1));
    assert_eq!(finished(&ledger, record).order, 1);
}

#[test]
fn going_back_is_found() {
    let (ledger, mut record) = played();
    give(&mut record, 0..10);
    record.connected(1);
    record.positioned(at(3));
    assert_eq!(finished(&ledger, record).order, 1);
}

#[test]
fn what_was_not_asked_for_is_found() {
    let (ledger, mut record) = played();
    give(&mut record, 0..10);
    record.event(1, 0, at(11));
    assert_eq!(finished(&ledger, record).wrong, 1);
}
