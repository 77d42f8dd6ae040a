//! Events and notices as blocks of an event stream.

use std::{io::Write, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;

use super::block::{Block, field, lines};
use crate::{
    config::BinaryData,
    event::Data,
    log::{Entry, WireFormat},
    position::LastEventId,
    subscription::{Gap, Reset},
};

/// The comment that keeps a silent stream alive.
pub(super) const HEARTBEAT: &[u8] = b":\n\n";

/// The shared format of streams that treat binary data so.
pub(super) fn blocks(binary: BinaryData) -> &'static dyn WireFormat {
    match binary {
        BinaryData::Refuse => &Blocks { binary: BinaryData::Refuse },
        BinaryData::Base64 => &Blocks { binary: BinaryData::Base64 },
    }
}

/// The first bytes of every stream: a reconnection time and an id, without data. That dispatches
/// nothing, but the client keeps the id, so that it resumes even if it is cut before its first event.
pub(super) fn preamble(retry: Duration, id: Option<LastEventId>) -> Bytes {
    let mut out = Vec::with_capacity(64);
    let _ = writeln!(out, "retry: {}", retry.as_millis().max(1));
    if let Some(id) = id {
        let _ = writeln!(out, "id: {id}");
    }
    out.push(b'\n');
    out.into()
}

/// Tells where the stream starts, where that was not known when it began.
pub(super) fn id(id: LastEventId) -> Bytes {
    format!("id: {id}\n\n").into()
}

/// Tells a gap. It has no id: a client that is cut right after it resumes before the gap, and is
/// given the events if they are still there.
pub(super) fn gap(gap: &Gap) -> Bytes {
    let data = serde_json::json!({
        "topic": gap.topic.as_str(),
        "after": gap.after.to_string(),
        "resumes_at": gap.resumes_at.to_string(),
        "missed": gap.missed,
    });
    notice("realtime.gap", None, &data)
}

/// Tells a reset, with the fresh id that keeps the client from presenting the old one again.
pub(super) fn reset(reset: &Reset) -> Bytes {
    let data = serde_json::json!({ "reason": reset.reason.to_string() });
    notice("realtime.reset", Some(reset.id), &data)
}

/// Tells that the server ends the stream.
pub(super) fn bye(reason: &str) -> Bytes {
    notice("realtime.bye", None, &serde_json::json!({ "reason": reason }))
}

/// A whole stream for a client that is to come back later: a reconnection time, and the reason.
pub(super) fn refusal(retry: Duration, reason: &str) -> Bytes {
    let mut out = Vec::new();
    Block::new().retry(retry).write(&mut out);
    out.extend_from_slice(&bye(reason));
    out.into()
}

fn notice(name: &str, id: Option<LastEventId>, value: &serde_json::Value) -> Bytes {
    let mut out = Vec::new();
    field(&mut out, "event", name.as_bytes());
    if let Some(id) = id {
        field(&mut out, "id", id.to_string().as_bytes());
    }
    field(&mut out, "data", value.to_string().as_bytes());
    out.push(b'\n');
    out.into()
}

#[derive(Debug)]
struct Blocks {
    binary: BinaryData,
}

impl WireFormat for Blocks {
    fn slot(&self) -> usize {
        match self.binary {
            BinaryData::Refuse => 0,
            BinaryData::Base64 => 1,
        }
    }

    fn size_hint(&self, entry: &Entry) -> usize {
        let event = entry.event();
        let name = event.name().map_or(0, |name| name.as_str().len() + 8);
        let data = event.data().as_bytes().len();
        name + data + data / 2 * usize::from(event.data().as_text().is_none()) + 48
    }

    fn encode(&self, entry: &Entry, out: &mut Vec<u8>) {
        let event = entry.event();
        let refused = match event.data() {
            Data::Binary(bytes) if self.binary == BinaryData::Refuse => Some(bytes.len()),
            _ => None,
        };
        if refused.is_some() {
            field(out, "event", b"realtime.unsupported");
        } else if let Some(name) = event.name() {
            field(out, "event", name.as_str().as_bytes());
        }
        // Writing to a Vec can't fail.
        let _ = writeln!(out, "id: {}", entry.position());
        match (refused, event.data()) {
            (Some(bytes), _) => {
                let _ = writeln!(out, "data: {{\"bytes\":{bytes}}}");
            }
            (None, Data::Text(text)) => lines(out, "data", text.as_bytes()),
            (None, Data::Binary(bytes)) => field(out, "data", BASE64.encode(bytes).as_bytes()),
        }
        out.push(b'\n');
    }
}
