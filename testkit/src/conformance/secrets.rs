//! Where a secret must not appear: in what is logged, and in what a client is told.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};

use super::{
    Served, Suite,
    identity::{self, UNAVAILABLE, Way, all_ways, message},
    recorder::record,
    served::unthrottled,
};
use crate::{
    http::{self, Request, Response},
    sse::Client,
    ws::{Frame, Peer, Received},
};

/// At no level of any log, in no answer and in no close reason, let in or refused, on any way in.
pub async fn appear_nowhere(suite: Suite) {
    let lines = record(async {
        tracing::trace!("tracing is recorded");
        log::trace!("log is recorded");
        let served = served(suite);
        by_request(&served).await;
        by_message(&served).await;
        served.untouched().await;
    })
    .await;
    for expected in ["tracing is recorded", "log is recorded", "can't be checked", identity::CAUSE]
    {
        let is_there = lines.iter().any(|line| line.contains(expected));
        assert!(is_there, "{expected:?} is not among {} lines", lines.len());
    }
    let showing: Vec<_> = lines.iter().filter(|line| shows(line)).collect();
    assert!(showing.is_empty(), "{showing:#?}");
}

/// A WebSocket that the framework has accepted takes tokens as well. The library that reads its
/// frames then is not ours.
pub async fn appear_nowhere_of_ours_on_attached_sockets(suite: Suite) {
    let lines = record(async {
        let served = served(suite);
        let mut peer = served.ws("/attached").await;
        for kind in ["good", "bad"] {
            peer.send_text(&message(&format!("{kind}.alice.{SECRET}"))).await;
        }
        closed(&mut peer).await;
        drop(peer);
        served.untouched().await;
    })
    .await;
    let showing: Vec<_> = lines.iter().filter(|line| shows(line) && !is_of_others(line)).collect();
    assert!(showing.is_empty(), "{showing:#?}");
}

/// Whether it is a line of tungstenite's, which at TRACE prints every frame and message that it
/// reads. Core uses nothing of it that does.
fn is_of_others(line: &str) -> bool {
    ["tungstenite::protocol TRACE: ", "tungstenite::protocol::frame TRACE: "]
        .iter()
        .any(|target| line.starts_with(target))
}

fn served(suite: Suite) -> Served {
    let authentication = all_ways().first_message().timeout(Duration::from_millis(100));
    identity::served_with(suite, authentication, |hub| {
        hub.limits(|limits| {
            limits.header_bytes = 2_048;
            unthrottled(limits);
        })
    })
}

/// Whether a text shows the secret, or a good part of it, in any of the forms that it goes about in.
fn shows(text: &str) -> bool {
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    // In base64url it looks different by where in the token it begins.
    let encoded = (0..3).map(|at| {
        let encoded = BASE64URL.encode(format!("{}{SECRET}", &"..."[..at]));
        encoded[4..encoded.len() - 4].to_owned()
    });
    let numbers = format!("{:?}", SECRET.as_bytes());
    let numbers = numbers.trim_matches(['[', ']']).to_owned();
    let lower = text.to_lowercase();
    lower.contains(SECRET)
        || lower.contains(&hex)
        || text.contains(&numbers)
        || encoded.into_iter().any(|encoded| text.contains(&encoded))
}

async fn by_request(served: &Served) {
    for token in tokens() {
        for way in Way::WEBSOCKET {
            for path in ["/whoami", "/ws?topic=a", "/echo", "/ws?topic=*", "/done"] {
                let request = way.present(identity::handshake(served, path), &token);
                let offered =
                    request.clone().header("Sec-WebSocket-Protocol", "echo.example, realtime");
                for request in [request.clone(), offered, evil(&request), broken(&request)] {
                    answered(Peer::open(served.addr(), &request).await).await;
                }
                // Twice, which is malformed.
                answered(Peer::open(served.addr(), &way.present(request, &token)).await).await;
            }
        }
        for way in Way::BOTH {
            for path in ["/mine", "/events?topic=a", "/events?topic=*"] {
                let request = way.present(served.request(path), &token);
                let browser = request.clone().header("Sec-Fetch-Mode", "cors");
                let long = request.clone().header("Padding", "x".repeat(2_048));
                let post = request.clone().method("POST");
                let twice = way.present(request.clone(), &token);
                for request in [request.clone(), browser, long, post, twice, evil(&request)] {
                    let client = Client::send(served.addr(), &request).await.expect("a response");
                    assert!(!shows(&format!("{:?}", client.headers)), "{:?}", client.headers);
                    let body = if client.status == 200 { Vec::new() } else { body(client).await };
                    assert!(!shows(&String::from_utf8_lossy(&body)), "{}", body.escape_ascii());
                }
                // What the framework refuses before we see it.
                let bad = request.header("Bad header", "x");
                if let Ok(response) = http::try_exchange(served.addr(), bad.bytes()).await {
                    assert_hidden(&response);
                }
            }
        }
    }
}

async fn by_message(served: &Served) {
    for token in tokens() {
        let presented = message(&token);
        for frame in [
            Frame::text(&*presented),
            Frame::binary(&*presented),
            Frame::text(&*token),
            Frame::text(format!(r#"{{"token":"{token}","more":1}}"#)),
            Frame::text(format!(r#"{{"token":"{token}{}"}}"#, "x".repeat(10_000))),
            Frame::text(&*presented).unmasked(),
            Frame::text(&*presented).rsv(0b100),
            Frame::text([presented.as_bytes(), b"\xff"].concat()),
            Frame::close(4000, &token),
            Frame::ping(&*token),
        ] {
            let mut peer = served.ws("/whoami").await;
            peer.send_frame(frame.clone()).await;
            if frame.opcode == Frame::ping("").opcode {
                peer.expect_pong(token.as_bytes()).await;
            }
            // As a refresh, too, and of another subject.
            peer.send_text(&presented).await;
            peer.send_text(&message(&format!("good.bob.{SECRET}"))).await;
            closed(&mut peer).await;
        }
    }
}

async fn answered(opened: Result<Peer, Response>) {
    match opened {
        Ok(mut peer) => {
            assert_hidden(peer.response());
            peer.send_close(1000, "").await;
            closed(&mut peer).await;
        }
        Err(response) => assert_hidden(&response),
    }
}

/// Receives up to the end.
async fn closed(peer: &mut Peer) {
    loop {
        match peer.recv().await {
            Received::Close(Some((_, reason))) => {
                assert!(!shows(&reason), "{reason}");
                peer.send_close(1000, "").await;
            }
            Received::Eof | Received::Cut | Received::Reset => return,
            Received::Text(text) => assert!(!shows(&text), "{text}"),
            _ => {}
        }
    }
}

async fn body(mut client: Client) -> Vec<u8> {
    client.read_to_end().await;
    client.raw_body().to_vec()
}

fn assert_hidden(response: &Response) {
    assert!(!shows(&format!("{:?}", response.headers)), "{response:?}");
    assert!(!shows(&response.text()), "{response:?}");
}

fn evil(request: &Request) -> Request {
    request.clone().set(&[("Origin", "http://evil.example")])
}

fn broken(request: &Request) -> Request {
    request.clone().set(&[("Sec-WebSocket-Key", "short")])
}

fn tokens() -> [String; 5] {
    let unavailable = UNAVAILABLE.replace("signature", SECRET);
    let of = |kind: &str| format!("{kind}.alice.{SECRET}");
    [of("good"), of("bad"), of("expired"), of("panics"), unavailable]
}

const SECRET: &str = "hunter2-correct-horse-battery-staple";
