//! Sending to a server that may stop reading.

use std::{io, time::Duration};

use tokio::time::timeout;

use super::Peer;

/// How far a flood came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// All was written.
    Sent,
    /// The server took no more after so many bytes.
    Blocked(usize),
    /// The server closed after about so many bytes.
    Closed(usize),
}

impl Peer {
    /// Writes `bytes` as fast as the server takes them, and gives up when it takes none for
    /// `patience`. Reads nothing meanwhile.
    ///
    /// After [`Flood::Blocked`] a frame may be cut anywhere; go on with `bytes[written..]`.
    pub async fn flood(&mut self, bytes: &[u8], patience: Duration) -> Flood {
        let mut written = 0;
        let outcome = loop {
            if written == bytes.len() {
                break Flood::Sent;
            }
            match timeout(patience, self.write_some(&bytes[written..])).await {
                Ok(Ok(length)) => written += length,
                Ok(Err(error)) => {
                    self.note_write_error(&error);
                    break Flood::Closed(written);
                }
                Err(_) => break Flood::Blocked(written),
            }
        };
        self.transcript.sent(format_args!("a flood of {} bytes: {outcome:?}", bytes.len()));
        outcome
    }

    async fn write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}
