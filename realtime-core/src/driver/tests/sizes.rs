//! How large what each connection has is, so that it is noticed when something grows: of a million
//! connections, each byte is a megabyte.

use super::*;
use crate::{
    ClientIp, Subscription,
    admission::Admission,
    cursor::Cursor,
    drain::Guard,
    driver::{admit::Identifying, handler::Running},
    permits::{Permit, Principal},
    sse::EventStream,
};

#[test]
fn what_a_connection_has_does_not_grow() {
    // What it is, its size, and how large it may be: as large as it was when this was written. The io is
    // not among it, which is the framework's; a WebSocket's session is looked at where it is. Who makes something smaller lowers the bound.
    let sizes = [
        ("Connection", size_of::<Connection<(), BoxHandler>>(), 816),
        ("Messages", size_of::<Messages<(), BoxHandler>>(), 808),
        ("ByteStream", size_of::<ByteStream<(), BoxHandler>>(), 24),
        ("Body", size_of::<Body>(), 8),
        ("EventStream", size_of::<EventStream>(), 328),
        ("Subscription", size_of::<Subscription>(), 144),
        ("Cursor", size_of::<Cursor>(), 56),
        ("Admission", size_of::<Admission>(), 80),
        ("Permit", size_of::<Permit>(), 56),
        ("Guard", size_of::<Guard>(), 24),
        ("ClientIp", size_of::<Option<ClientIp>>(), 17),
        ("Principal", size_of::<Principal>(), 80),
        ("Socket", size_of::<Socket>(), 40),
        ("Identifying", size_of::<Identifying>(), 32),
        ("Running", size_of::<Running<BoxHandler>>(), 16),
        ("Timer", size_of::<Timer>(), 32),
        ("WriteDeadline", size_of::<WriteDeadline<()>>(), 72),
    ];
    for (what, is, most) in sizes {
        assert!(is <= most, "{what} takes {is} bytes, and should take no more than {most}");
    }
}
