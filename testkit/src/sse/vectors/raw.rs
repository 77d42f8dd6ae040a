//! The vectors as they stand in the file.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::{
    EncodeInput, EncodeVector, ExpectedData, ExpectedEvent, Outcome, ParseVector, Vectors,
};

/// Reads the file that is built into this crate.
pub(super) fn read() -> Vectors {
    let file: File = serde_json::from_str(FILE).expect("the vectors are in the form read here");
    Vectors {
        parse: file.parse.into_iter().map(Parse::typed).collect(),
        encode: file.encode.into_iter().map(Encode::typed).collect(),
    }
}

#[derive(Deserialize)]
struct File {
    parse: Vec<Parse>,
    encode: Vec<Encode>,
}

#[derive(Deserialize)]
struct Parse {
    name: String,
    note: String,
    wire_b64: Option<String>,
    wire_gen: Option<Repeat>,
    expect: Expect,
    #[serde(default)]
    retry_not_compared: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expect {
    events: Vec<Seen>,
    last_event_id: String,
    last_event_id_header: String,
    retry: Option<u64>,
}

#[derive(Deserialize)]
struct Encode {
    name: String,
    note: String,
    input: Input,
    outcome: String,
    client_sees: Option<Vec<Seen>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    event: Option<String>,
    data: Option<String>,
    data_gen: Option<Repeat>,
    id: Option<String>,
    retry_ms: Option<u64>,
    comment: Option<String>,
}

#[derive(Deserialize)]
struct Seen {
    #[serde(rename = "type")]
    event: String,
    data: Option<String>,
    data_sha256: Option<String>,
    data_len: Option<usize>,
    #[serde(rename = "lastEventId")]
    last_event_id: String,
    /// Present and null says that the block has no id, absent says nothing.
    #[serde(rename = "blockId", default, deserialize_with = "present")]
    block_id: Option<Option<String>>,
}

#[derive(Deserialize)]
struct Repeat {
    #[serde(default)]
    prefix: String,
    repeat: String,
    count: usize,
    #[serde(default)]
    suffix: String,
}

impl Parse {
    fn typed(self) -> ParseVector {
        let wire = match (self.wire_b64, self.wire_gen) {
            (Some(encoded), None) => STANDARD.decode(encoded).expect("valid base64"),
            (None, Some(repeat)) => repeat.text().into_bytes(),
            _ => panic!("vector {}: not one wire", self.name),
        };
        ParseVector {
            name: self.name,
            note: self.note,
            wire,
            events: self.expect.events.into_iter().map(Seen::typed).collect(),
            last_event_id: self.expect.last_event_id,
            last_event_id_header: self.expect.last_event_id_header,
            retry: self.expect.retry,
            retry_is_defined: !self.retry_not_compared,
        }
    }
}

impl Encode {
    fn typed(self) -> EncodeVector {
        let outcome = match self.outcome.as_str() {
            "ok" => Outcome::Ok,
            "reject" => Outcome::Reject,
            "ok-or-reject" => Outcome::OkOrReject,
            other => panic!("vector {}: outcome {other:?}", self.name),
        };
        let client_sees =
            self.client_sees.map(|events| events.into_iter().map(Seen::typed).collect());
        EncodeVector {
            name: self.name,
            note: self.note,
            input: self.input.typed(),
            outcome,
            client_sees,
        }
    }
}

impl Input {
    fn typed(self) -> EncodeInput {
        let Self { event, data, data_gen, id, retry_ms, comment } = self;
        let data = data.or_else(|| data_gen.map(|repeat| repeat.text()));
        EncodeInput { event, data, id, retry_ms, comment }
    }
}

impl Seen {
    fn typed(self) -> ExpectedEvent {
        let data = match (self.data, self.data_sha256, self.data_len) {
            (Some(text), None, None) => ExpectedData::Text(text),
            (None, Some(sha256), Some(length)) => ExpectedData::Digest { sha256, length },
            other => panic!("not one kind of data: {other:?}"),
        };
        ExpectedEvent {
            event: self.event,
            data,
            last_event_id: self.last_event_id,
            block_id: self.block_id,
        }
    }
}

impl Repeat {
    fn text(&self) -> String {
        format!("{}{}{}", self.prefix, self.repeat.repeat(self.count), self.suffix)
    }
}

fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

const FILE: &str = include_str!("../../../data/sse-vectors.json");
