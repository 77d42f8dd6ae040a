//! Messages read from the stream, in pages: [`Consumer`].

use std::{future::poll_fn, pin::Pin};

use async_nats::{Message, StatusCode, Subscriber};
use futures_core::Stream;
use realtime_bridge::EngineError;
use serde_json::{Value, json};

use crate::{
    api::{Api, Failure, number, text, unexpected},
    message::Stored,
    time,
};

/// A server's cursor over the messages of some subjects. The server forgets it by itself when it is not
/// used for a while.
pub(crate) struct Consumer<'a> {
    api: &'a Api,
    stream: &'a str,
    name: String,
    /// Its address, to which each page adds its number.
    inbox: Option<(String, Subscriber)>,
    pages: u64,
    /// How many messages it had before it when it was made.
    pending: u64,
    /// How many of them are still to come, unless they are gone by now. Not what the server has before it:
    /// whoever follows that may run after a publisher for ever.
    left: u64,
    /// The server's clock when it was made, in nanoseconds since 1970.
    made: u64,
    done: bool,
}

/// A page: so many messages, or so many bytes and one message.
const PAGE_MESSAGES: u64 = 512;
const PAGE_BYTES: usize = 4 * 1024 * 1024;
const UNUSED_NANOSECONDS: u64 = 30_000_000_000;
/// Pages that may come without a message, one after the other.
const MAX_EMPTY: usize = 3;

impl<'a> Consumer<'a> {
    /// Over the messages of `subject` from the sequence `from` on.
    pub(crate) async fn from(
        api: &'a Api,
        stream: &'a str,
        subject: &str,
        from: u64,
    ) -> Result<Self, Failure> {
        let start = json!({ "deliver_policy": "by_start_sequence", "opt_start_seq": from.max(1) });
        Self::make(api, stream, subject, start).await
    }

    /// Over the newest message of each subject that `subject` stands for, without payloads.
    pub(crate) async fn newest(
        api: &'a Api,
        stream: &'a str,
        subject: &str,
    ) -> Result<Self, Failure> {
        let start = json!({ "deliver_policy": "last_per_subject", "headers_only": true });
        Self::make(api, stream, subject, start).await
    }

    async fn make(
        api: &'a Api,
        stream: &'a str,
        subject: &str,
        mut config: Value,
    ) -> Result<Self, Failure> {
        let fixed = json!({
            "ack_policy": "none",
            "filter_subject": subject,
            "mem_storage": true,
            "num_replicas": 1,
            "inactive_threshold": UNUSED_NANOSECONDS,
        });
        if let (Some(config), Value::Object(fixed)) = (config.as_object_mut(), fixed) {
            config.extend(fixed);
        }
        let question = json!({ "stream_name": stream, "config": config });
        let made = api.ask(&format!("CONSUMER.CREATE.{stream}"), &question).await?;
        let read = || {
            let clock = text(&made, "created")?;
            let clock = time::nanoseconds(clock).ok_or_else(|| unexpected("a time"))?;
            Ok((text(&made, "name")?.to_owned(), number(&made, &["num_pending"])?, clock))
        };
        let (name, pending, made) = read().map_err(Failure::Other)?;
        let (inbox, pages, left, done) = (None, 0, pending, pending == 0);
        Ok(Self { api, stream, name, inbox, pages, pending, left, made, done })
    }

    pub(crate) fn pending(&self) -> u64 {
        self.pending
    }

    pub(crate) fn made(&self) -> u64 {
        self.made
    }

    /// The next messages, with where they stand; none once all have come that were there when it was made.
    pub(crate) async fn page(&mut self) -> Result<Vec<(Message, Stored)>, EngineError> {
        for _ in 0..MAX_EMPTY {
            if self.done {
                return Ok(Vec::new());
            }
            let page = self.try_page().await?;
            if !page.is_empty() {
                return Ok(page);
            }
        }
        if self.done {
            return Ok(Vec::new());
        }
        Err(EngineError::Protocol(
            "messages of the stream are said to be there and do not come".into(),
        ))
    }

    async fn try_page(&mut self) -> Result<Vec<(Message, Stored)>, EngineError> {
        let client = self.api.client();
        let (address, inbox) = match &mut self.inbox {
            Some(inbox) => inbox,
            none => {
                let address = client.new_inbox();
                let messages = client.subscribe(format!("{address}.*")).await.map_err(gone)?;
                none.insert((address, messages))
            }
        };
        // A message that is larger than the bytes asked for would never come.
        let bytes = PAGE_BYTES.max(client.server_info().max_payload.saturating_mul(2));
        let messages = self.left.min(PAGE_MESSAGES);
        let question = json!({ "batch": messages, "no_wait": true, "max_bytes": bytes });
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.stream, self.name);
        self.pages += 1;
        let reply = format!("{address}.{}", self.pages);
        let sent = client.publish_with_reply(subject, reply.clone(), question.to_string().into());
        sent.await.map_err(gone)?;
        let mut page = Vec::new();
        let until = self.left - messages;
        while self.left > until && !self.done {
            let message = poll_fn(|cx| Pin::new(&mut *inbox).poll_next(cx)).await;
            let message = message.ok_or_else(|| gone("the connection has ended"))?;
            match message.status {
                // How an earlier page has ended.
                Some(_) if message.subject.as_str() != reply => {}
                Some(StatusCode::NOT_FOUND) => self.done = true,
                // The page's bytes are full, or there is no more for now.
                Some(StatusCode::TIMEOUT | StatusCode::REQUEST_TERMINATED) => break,
                Some(status) => return Err(gone(format!("the server's cursor is gone: {status}"))),
                None => {
                    let stored = Stored::of(&message);
                    let stored = stored.ok_or_else(|| unexpected("a message's place"))?;
                    self.left -= 1;
                    self.done = stored.pending == 0 || self.left == 0;
                    page.push((message, stored));
                }
            }
        }
        Ok(page)
    }

    /// Has the server forget it.
    pub(crate) async fn forget(self) {
        let what = format!("CONSUMER.DELETE.{}.{}", self.stream, self.name);
        // If that fails, it goes by itself.
        let _ = self.api.ask(&what, &json!({})).await;
    }
}

fn gone(why: impl ToString) -> EngineError {
    EngineError::Unreachable(why.to_string())
}
