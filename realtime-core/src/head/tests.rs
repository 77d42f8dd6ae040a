use proptest::prelude::*;

use super::{testing::Head, *};

fn id(epoch: u64, sequence: u64) -> Option<Result<LastEventId, LastEventIdError>> {
    Some(Ok(LastEventId { epoch, sequence }))
}

#[test]
fn the_header_goes_before_the_query() {
    let head = Head::get().query("last_event_id=1-2");
    assert_eq!(last_event_id(&head), id(1, 2));
    assert_eq!(last_event_id(&head.clone().with("last-event-id", "1-3")), id(1, 3));
    assert_eq!(
        last_event_id(&head.clone().with("last-event-id", "x")),
        Some(Err(LastEventIdError))
    );
    assert_eq!(last_event_id(&head.with("last-event-id", "")), id(1, 2), "an empty one is none");
    assert_eq!(last_event_id(&Head::get()), None);
}

#[test]
fn the_query_is_decoded_and_an_empty_parameter_is_none() {
    for (query, expected) in [
        ("last_event_id=", None),
        ("last_event_id", None),
        ("last%5Fevent%5Fid=a%2D7", id(10, 7)),
        ("x=1&last_event_id=&last_event_id=2-1&last_event_id=3-1", id(2, 1)),
        ("Last_Event_Id=1-2", None),
        ("last_event_id=1-2%00", Some(Err(LastEventIdError))),
        ("last_event_id=%ff", Some(Err(LastEventIdError))),
    ] {
        assert_eq!(last_event_id(&Head::get().query(query)), expected, "{query}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_id_or_an_error(
        header in proptest::collection::vec(any::<u8>(), 0..60),
        query in ".{0,60}",
    ) {
        let head = Head::get().query(&query).with("last-event-id", &header);
        let found = last_event_id(&head);
        if let Some(Ok(id)) = found
            && !header.is_empty()
        {
            prop_assert_eq!(id.to_string().into_bytes(), header);
        }
        let _ = last_event_id(&Head::get().query(&format!("last_event_id={query}")));
    }
}
