//! The opening handshake.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest as _, Sha1};

use crate::{
    http::{Request, Response},
    net::Dial,
};

/// A right opening request with a random key, to be sent as it is or made wrong.
///
/// For handshakes that must be refused: `http::exchange(addr, ws::request(addr, "/").….bytes())`.
pub fn request(dial: impl Into<Dial>, path_and_query: &str) -> Request {
    Request::get(path_and_query)
        .header("Host", dial.into().addr().to_string())
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", STANDARD.encode(fastrand::u128(..).to_be_bytes()))
}

/// Whether a 101 is the right answer to this request.
pub(super) fn judge(request: &Request, response: &Response) -> Result<(), String> {
    let headers = &response.headers;
    let key = request.get_header("Sec-WebSocket-Key").unwrap_or_default();
    let protocol = response.header("sec-websocket-protocol");
    let one_of = |name| headers.all(name).count() <= 1;
    let wrong = if !headers.lists("upgrade", "websocket") {
        "no `Upgrade: websocket`"
    } else if !headers.lists("connection", "upgrade") {
        "no `Connection: upgrade`"
    } else if headers.get("sec-websocket-accept") != Some(accept(key).as_bytes()) {
        "wrong `Sec-WebSocket-Accept`"
    } else if !one_of("sec-websocket-accept") || !one_of("sec-websocket-protocol") {
        "a field twice that may come once"
    } else if protocol.is_some_and(|protocol| !offers(request, protocol)) {
        "a subprotocol that was not offered"
    } else if headers.get("sec-websocket-extensions").is_some() {
        "an extension, and this peer knows none"
    } else if headers.get("content-length").is_some() || headers.get("transfer-encoding").is_some()
    {
        "a 101 that announces a body"
    } else {
        return Ok(());
    };
    Err(format!("{wrong}\n{response:?}"))
}

/// The `Sec-WebSocket-Accept` that answers a key.
pub(crate) fn accept(key: &[u8]) -> String {
    STANDARD.encode(Sha1::digest([key, GUID].concat()))
}

fn offers(request: &Request, protocol: &str) -> bool {
    let offered = request.get_headers("Sec-WebSocket-Protocol");
    offered
        .flat_map(|list| list.split(|&byte| byte == b','))
        .any(|offer| offer.trim_ascii() == protocol.as_bytes())
}

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[cfg(test)]
mod tests {
    #[test]
    fn accepts_the_key_of_the_rfc() {
        assert_eq!(super::accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
