//! Events of the subscription as frames in writing.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use super::{WRITE_BYTES, outgoing::Outgoing};
use crate::{
    log::{Entry, Log, WireFormat},
    subscription::{Delivery, Take},
    ws::format::Format,
};

pub(super) struct TakeFrames<'a> {
    outgoing: &'a mut Outgoing,
    format: Format,
}

impl<'a> TakeFrames<'a> {
    pub(super) fn new(outgoing: &'a mut Outgoing, format: Format) -> Self {
        Self { outgoing, format }
    }
}

impl Take for TakeFrames<'_> {
    fn wire(&self) -> Option<(&'static dyn WireFormat, usize)> {
        Some((self.format.wire(), WRITE_BYTES.saturating_sub(self.outgoing.len())))
    }

    fn encoded(&mut self, bytes: Bytes) {
        self.outgoing.push(bytes);
    }

    fn run(&mut self, log: &mut Log, run: Range<u64>) -> u64 {
        let room = WRITE_BYTES.saturating_sub(self.outgoing.len());
        let (frames, end) = log.encoded(self.format.wire(), run, room);
        self.outgoing.push(frames);
        end
    }

    fn kept(&mut self, entry: &Arc<Entry>) {
        let mut frame = Vec::new();
        self.format.wire().encode(entry, &mut frame);
        self.outgoing.push(frame.into());
    }

    fn notice(&mut self, notice: Delivery) {
        match notice {
            Delivery::Event(entry) => self.kept(&entry),
            Delivery::Gap(gap) => self.outgoing.extend(self.format.gap(&gap)),
            Delivery::Reset(reset) => self.outgoing.extend(self.format.reset(&reset)),
            // The Close frame tells it.
            Delivery::Disconnected(_) => {}
        }
    }

    fn is_full(&self) -> bool {
        self.outgoing.len() >= WRITE_BYTES
    }
}
