//! JSON Web Tokens (RFC 7519) that are not good, on every way in.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use jsonwebtoken::{EncodingKey, Header, encode};
use realtime_core::{Authentication, jwt::Jwt};
use serde_json::{Value, json};

use super::{
    Served, Suite,
    identity::{Way, handshake, message},
};

/// On both transports, however it comes, and by a first message.
pub async fn that_are_good_get_in(suite: Suite) {
    let served = served(suite);
    let token = signed(&claims(60));
    for way in Way::WEBSOCKET {
        let request = way.present(handshake(&served, "/whoami"), &token);
        served.open(&request).await.expect_text("alice").await;
    }
    for way in Way::BOTH {
        drop(served.stream(&way.present(served.request("/mine"), &token)).await);
    }
    let mut peer = served.ws("/whoami").await;
    peer.send_text(&message(&token)).await;
    peer.expect_text("alice").await;
    drop(peer);
    served.untouched().await;
}

/// 401 for a request and 4401 for a first message, each with the reason and nothing of the token;
/// nothing is subscribed.
pub async fn that_are_not_good_do_not(suite: Suite) {
    let served = served(suite);
    let cases = bad();
    for (reason, token) in &cases {
        for way in Way::WEBSOCKET {
            // What the words of a header can't be is never sent so.
            let is_plain = token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            if (is_plain && token.contains('.')) || way == Way::Encoded {
                refused(&served, way.present(handshake(&served, "/ws?topic=a"), token), reason)
                    .await;
            }
        }
        let request = Way::Bearer.present(served.request("/events?topic=a"), token);
        refused(&served, request, reason).await;
        let mut peer = served.ws("/ws?topic=a").await;
        peer.send_text(&message(token)).await;
        assert_eq!(peer.expect_close(4401).await, *reason, "{token}");
        // It has not been let in meanwhile, and can't be any more.
        assert_eq!(served.stats().identities, 0);
        drop(peer);
        served.untouched().await;
    }
    assert!(cases.len() > 15);
}

/// A connection ends when its token does, unless a new one comes in time.
pub async fn are_good_for_their_time(suite: Suite) {
    let served = served(suite);
    let soon = signed(&claims(1));
    let mut peer = served.open(&Way::Bearer.present(served.handshake("/whoami"), &soon)).await;
    peer.expect_text("alice").await;
    let mut renewed = served.open(&Way::Bearer.present(served.handshake("/whoami"), &soon)).await;
    renewed.expect_text("alice").await;
    renewed.send_text(&message(&signed(&claims(60)))).await;
    let mut stream = served.stream(&Way::Bearer.present(served.request("/mine"), &soon)).await;
    assert_eq!(peer.expect_close(4401).await, "expired");
    assert_eq!(stream.expect_event().await.data, r#"{"reason":"expired"}"#);
    refused(&served, Way::Bearer.present(served.request("/mine"), &soon), "expired").await;
    renewed.send_text("still here").await;
    renewed.expect_text("still here").await;
    renewed.send_text(&message(&signed(&of("bob", 60)))).await;
    assert_eq!(renewed.expect_close(4403).await, "the subject must stay the same");
    drop((peer, renewed, stream));
    served.untouched().await;
}

async fn refused(served: &Served, request: crate::http::Request, reason: &str) {
    let response = served.refused(401, &request).await;
    let challenge = response.header("www-authenticate");
    assert_eq!(challenge, Some("Bearer error=\"invalid_token\""), "{response:?}");
    assert_eq!(response.text().trim_end(), reason, "{}", request.bytes().escape_ascii());
}

/// Reasons, and tokens that are refused for them.
fn bad() -> Vec<(&'static str, String)> {
    let good = signed(&claims(60));
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts: {good}") };
    let with = |name: &str, value: Value| {
        let mut claims = claims(60);
        claims[name] = value;
        signed(&claims)
    };
    let without = |name: &str| {
        let mut claims = claims(60);
        claims.as_object_mut().expect("an object").remove(name);
        signed(&claims)
    };
    let none = |alg: &str| BASE64URL.encode(json!({ "alg": alg, "typ": "JWT" }).to_string());
    let admin = BASE64URL.encode(of("admin", 60).to_string());
    let first = if signature.starts_with('A') { "B" } else { "A" };
    let other = encode(&Header::default(), &claims(60), &EncodingKey::from_secret(b"guessed"));
    let crit = BASE64URL.encode(r#"{"alg":"HS256","crit":["exp"]}"#);
    vec![
        ("expired", signed(&claims(-60))),
        ("not valid yet", with("nbf", json!(now() + 60))),
        ("wrong audience", with("aud", json!("another"))),
        ("wrong audience", with("aud", json!(["another", 1]))),
        ("wrong audience", without("aud")),
        ("wrong issuer", with("iss", json!("https://evil.example"))),
        ("no expiry", without("exp")),
        ("no subject", without("sub")),
        ("bad subject", with("sub", json!("a\nb"))),
        ("bad signature", format!("{header}.{admin}.{signature}")),
        ("bad signature", format!("{header}.{payload}.{first}{}", &signature[1..])),
        ("bad signature", format!("{header}.{payload}.")),
        ("bad signature", other.expect("a token")),
        ("wrong algorithm", format!("{}.{admin}.", none("none"))),
        ("wrong algorithm", format!("{}.{admin}.{signature}", none("None"))),
        ("wrong algorithm", format!("{}.{payload}.{signature}", none("HS512"))),
        ("wrong algorithm", format!("{}.{payload}.{signature}", none("RS256"))),
        ("critical header not understood", format!("{crit}.{payload}.{signature}")),
        ("malformed token", format!("{header}.{payload}")),
        ("malformed token", format!("{good}=")),
        ("bad signature", format!("{good}.{signature}")),
        ("malformed token", format!(".{payload}.{signature}")),
        ("malformed token", "garbage".into()),
        ("malformed token", "...".into()),
        ("malformed token", format!("{{}}.{payload}.{signature}")),
    ]
}

fn served(suite: Suite) -> Served {
    let jwt = Jwt::hs256(SECRET).expect("a secret").leeway(std::time::Duration::ZERO);
    let jwt = jwt.issuer(["https://login.example"]).audience(["realtime"]);
    let authentication = Authentication::new(jwt).cookie("session").query("token").first_message();
    suite.start_with(|hub| hub.authentication(authentication))
}

fn signed(claims: &Value) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(SECRET)).expect("a token")
}

/// Alice's claims, which expire in so many seconds.
fn claims(seconds: i64) -> Value {
    of("alice", seconds)
}

fn of(subject: &str, seconds: i64) -> Value {
    let expiry = now().checked_add_signed(seconds).expect("a time");
    json!({ "sub": subject, "exp": expiry, "aud": "realtime", "iss": "https://login.example" })
}

/// The time in whole seconds, rounded up so that a token lasts as long as it says.
fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    elapsed.as_secs() + 1
}

const SECRET: &[u8] = b"thirty-two bytes that nobody has";
