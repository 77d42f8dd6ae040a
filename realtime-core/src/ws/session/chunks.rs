//! Chunks of bytes in a row, of which there is mostly one.

use std::collections::VecDeque;

use bytes::Bytes;

/// A queue of chunks, none of them empty, that takes no memory of its own for one.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "there are many, and it is mostly none")]
pub(super) struct Chunks {
    /// Empty when there is none.
    first: Bytes,
    rest: Option<Box<VecDeque<Bytes>>>,
}

impl Chunks {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Bytes> {
        let first = Some(&self.first).filter(|first| !first.is_empty());
        first.into_iter().chain(self.rest.iter().flat_map(|rest| rest.iter()))
    }

    pub(super) fn front(&self) -> Option<&Bytes> {
        Some(&self.first).filter(|first| !first.is_empty())
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut Bytes> {
        Some(&mut self.first).filter(|first| !first.is_empty())
    }

    pub(super) fn push_back(&mut self, chunk: Bytes) {
        if self.is_empty() {
            self.first = chunk;
        } else if !chunk.is_empty() {
            self.rest.get_or_insert_default().push_back(chunk);
        }
    }

    pub(super) fn push_front(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            let second = std::mem::replace(&mut self.first, chunk);
            self.insert_second(second);
        }
    }

    /// Puts a chunk behind the first, which is there.
    pub(super) fn insert_second(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.rest.get_or_insert_default().push_front(chunk);
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<Bytes> {
        let next = self.rest.as_mut().and_then(|rest| rest.pop_front()).unwrap_or_default();
        // An idle connection keeps no buffer.
        self.rest.take_if(|rest| rest.is_empty());
        Some(std::mem::replace(&mut self.first, next)).filter(|first| !first.is_empty())
    }

    /// Whether it takes memory beside itself.
    #[cfg(test)]
    pub(super) fn has_buffer(&self) -> bool {
        self.rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_stay_in_their_order_and_none_is_empty() {
        let chunk = |text: &'static str| Bytes::from_static(text.as_bytes());
        let mut chunks = Chunks::default();
        assert!(chunks.is_empty() && chunks.pop_front().is_none() && chunks.front().is_none());
        for text in ["c", "", "d"] {
            chunks.push_back(chunk(text));
        }
        chunks.push_front(chunk("a"));
        chunks.push_front(chunk(""));
        chunks.insert_second(chunk("b"));
        chunks.insert_second(chunk(""));
        assert_eq!(
            chunks.iter().map(|it| it.as_ref()).collect::<Vec<_>>(),
            [b"a", b"b", b"c", b"d"]
        );
        for text in ["a", "b", "c", "d"] {
            assert_eq!(chunks.front_mut().cloned(), Some(chunk(text)));
            assert_eq!(chunks.pop_front(), Some(chunk(text)));
        }
        assert!(chunks.is_empty() && chunks.pop_front().is_none() && !chunks.has_buffer());
    }
}
