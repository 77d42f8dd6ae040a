//! How an event looks in a WebSocket message.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::frames;
use crate::{
    event::Data,
    log::{Entry, WIRE_FORMATS, WireFormat},
    position::LastEventId,
    subscription::{Gap, Reset},
};

/// How an event looks in a WebSocket message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// A JSON object in a text message:
    /// `{"topic":"…","id":"…","event":"…","data":…}`.
    ///
    /// `event` is absent when the event has no name. `data` is a string, or the value itself when
    /// the event was made with [`Event::json`](crate::Event::json); binary data is a string of
    /// base64, and `"encoding":"base64"` stands with it. The first message of a connection is
    /// `{"event":"realtime.ready","id":"…"}`; gaps and resets are told as `realtime.gap` and
    /// `realtime.reset`, like on an event stream. A client that keeps the newest `id` and connects
    /// with `?last_event_id=<id>` resumes.
    #[default]
    Envelope,
    /// The data alone: text as a text message, bytes as a binary one.
    ///
    /// It has no place for ids and notices: such a connection can't resume, and what it misses under
    /// [`Overflow::DropOldest`](crate::Overflow::DropOldest) and its like only the hub's statistics
    /// tell.
    Raw,
}

impl Format {
    pub(crate) fn wire(self) -> &'static dyn WireFormat {
        match self {
            Self::Envelope => &EnvelopeFrames,
            Self::Raw => &RawFrames,
        }
    }

    /// The message that tells the client where it starts.
    pub(crate) fn ready(self, id: LastEventId) -> Option<Bytes> {
        self.notice("realtime.ready", Some(id), None)
    }

    pub(crate) fn gap(self, gap: &Gap) -> Option<Bytes> {
        let data = serde_json::json!({
            "topic": gap.topic.as_str(),
            "after": gap.after.to_string(),
            "resumes_at": gap.resumes_at.to_string(),
            "missed": gap.missed,
        });
        self.notice("realtime.gap", None, Some(data))
    }

    pub(crate) fn reset(self, reset: &Reset) -> Option<Bytes> {
        let data = serde_json::json!({ "reason": reset.reason.to_string() });
        self.notice("realtime.reset", Some(reset.id), Some(data))
    }

    fn notice(
        self,
        event: &str,
        id: Option<LastEventId>,
        data: Option<serde_json::Value>,
    ) -> Option<Bytes> {
        #[derive(Serialize)]
        struct Notice<'a> {
            event: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<serde_json::Value>,
        }
        if self == Self::Raw {
            return None;
        }
        let notice = Notice { event, id: id.map(|id| id.to_string()), data };
        let text = serde_json::to_vec(&notice).ok()?;
        let mut out = Vec::with_capacity(text.len() + 4);
        frames::write_message(true, &text, &mut out);
        Some(out.into())
    }
}

const SLOTS: usize = WIRE_FORMATS;
const ENVELOPE_SLOT: usize = SLOTS - 2;
const RAW_SLOT: usize = SLOTS - 1;

/// Header of a frame of any length.
const HEADER_BYTES: usize = 10;

#[derive(Debug)]
struct RawFrames;

impl WireFormat for RawFrames {
    fn slot(&self) -> usize {
        RAW_SLOT
    }

    fn size_hint(&self, entry: &Entry) -> usize {
        entry.event().data().as_bytes().len() + HEADER_BYTES
    }

    fn encode(&self, entry: &Entry, out: &mut Vec<u8>) {
        let data = entry.event().data();
        frames::write_message(data.as_text().is_some(), data.as_bytes(), out);
    }
}

#[derive(Debug)]
struct EnvelopeFrames;

#[derive(Serialize)]
struct Envelope<'a> {
    topic: &'a str,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'a str>,
    data: EnvelopeData<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum EnvelopeData<'a> {
    Json(&'a RawValue),
    Text(&'a str),
    Base64(String),
}

impl WireFormat for EnvelopeFrames {
    fn slot(&self) -> usize {
        ENVELOPE_SLOT
    }

    fn size_hint(&self, entry: &Entry) -> usize {
        let event = entry.event();
        let data = event.data().as_bytes().len();
        data + data / 2 * usize::from(!event.is_json()) + entry.topic().as_str().len() + 96
    }

    fn encode(&self, entry: &Entry, out: &mut Vec<u8>) {
        let event = entry.event();
        let (encoding, data) = match event.data() {
            Data::Text(text) => {
                let json = event.is_json().then(|| serde_json::from_str::<&RawValue>(text));
                let json = json.and_then(Result::ok).map(EnvelopeData::Json);
                (None, json.unwrap_or(EnvelopeData::Text(text)))
            }
            Data::Binary(bytes) => (Some("base64"), EnvelopeData::Base64(BASE64.encode(bytes))),
        };
        let envelope = Envelope {
            topic: entry.topic().as_str(),
            id: entry.position().to_string(),
            event: event.name().map(|name| name.as_str()),
            encoding,
            data,
        };
        // Strings and raw JSON always serialize.
        let text = serde_json::to_vec(&envelope).unwrap_or_default();
        frames::write_message(true, &text, out);
    }
}
