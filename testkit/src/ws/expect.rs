//! What the script expects next.

use super::{Peer, Received};

impl Peer {
    /// Receives this text message.
    ///
    /// # Panics
    ///
    /// With the transcript, when something else comes; the same holds for all that follow.
    pub async fn expect_text(&mut self, text: &str) {
        self.expect(Received::Text(text.to_owned())).await;
    }

    /// Receives this binary message.
    pub async fn expect_binary(&mut self, bytes: &[u8]) {
        self.expect(Received::Binary(bytes.to_vec())).await;
    }

    /// Receives a ping and returns its payload.
    pub async fn expect_ping(&mut self) -> Vec<u8> {
        match self.recv().await {
            Received::Ping(payload) => payload,
            other => self.unexpected("a ping", &other),
        }
    }

    /// Receives a pong with this payload.
    pub async fn expect_pong(&mut self, payload: &[u8]) {
        self.expect(Received::Pong(payload.to_vec())).await;
    }

    /// Receives a close with this code and returns its reason.
    pub async fn expect_close(&mut self, code: u16) -> String {
        match self.recv().await {
            Received::Close(Some((got, reason))) if got == code => reason,
            other => self.unexpected(&format!("close {code}"), &other),
        }
    }

    /// Receives FIN.
    pub async fn expect_eof(&mut self) {
        self.expect(Received::Eof).await;
    }

    /// Receives the end of the connection, be it FIN or RST, and returns which.
    pub async fn expect_end(&mut self) -> Received {
        match self.recv().await {
            end @ (Received::Eof | Received::Cut | Received::Reset) => end,
            other => self.unexpected("the end of the connection", &other),
        }
    }

    async fn expect(&mut self, expected: Received) {
        let received = self.recv().await;
        if received != expected {
            self.unexpected(&expected.to_string(), &received);
        }
    }

    fn unexpected(&self, expected: &str, received: &Received) -> ! {
        self.fail(&format!("expected {expected}, got {received}"))
    }
}
