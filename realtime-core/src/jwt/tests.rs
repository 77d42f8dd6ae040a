#![allow(clippy::disallowed_methods, reason = "a test has a clock")]

use std::time::SystemTime;

use jsonwebtoken::{Algorithm, EncodingKey, crypto::sign};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::auth::{Authenticate, Authenticated};
use crate::auth::{CredentialSource, Token};

mod keys;
use keys::*;

const SECRET: &str = "a secret of this test, 32 bytes!";
const NOW: u64 = 1_800_000_000;

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// Signs whatever is given as header and payload.
fn token(algorithm: Algorithm, header: &str, payload: &str) -> String {
    let key = match algorithm {
        Algorithm::HS256 => EncodingKey::from_secret(SECRET.as_bytes()),
        Algorithm::RS256 => EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).unwrap(),
        Algorithm::ES256 => EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).unwrap(),
        _ => EncodingKey::from_ed_pem(ED_PRIVATE.as_bytes()).unwrap(),
    };
    let message = format!("{}.{}", encode(header), encode(payload));
    let signature = sign(message.as_bytes(), &key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn hs(payload: &str) -> String {
    token(Algorithm::HS256, r#"{"alg":"HS256","typ":"JWT"}"#, payload)
}

fn good() -> String {
    hs(&json!({"sub": "alice", "exp": NOW + 60}).to_string())
}

fn jwt() -> Jwt {
    Jwt::hs256(SECRET).unwrap()
}

fn check(jwt: &Jwt, token: &str) -> Result<Identity, &'static str> {
    jwt.check(token, Duration::from_secs(NOW)).map_err(Refused::reason)
}

/// The reason, or "in".
fn outcome(jwt: &Jwt, token: &str) -> &'static str {
    check(jwt, token).err().unwrap_or("in")
}

#[test]
fn all_four_algorithms_let_in_their_own_and_no_others() {
    let all = [
        (Algorithm::HS256, jwt()),
        (Algorithm::RS256, Jwt::rs256_pem(RSA_PUBLIC).unwrap()),
        (Algorithm::ES256, Jwt::es256_pem(EC_PUBLIC).unwrap()),
        (Algorithm::EdDSA, Jwt::eddsa_pem(ED_PUBLIC).unwrap()),
    ];
    let payload = json!({"sub": "alice", "exp": NOW + 60}).to_string();
    for (signed, _) in &all {
        let token = token(*signed, &json!({"alg": format!("{signed:?}")}).to_string(), &payload);
        for (expected, jwt) in &all {
            let wanted = if signed == expected { "in" } else { "wrong algorithm" };
            assert_eq!(outcome(jwt, &token), wanted, "{signed:?} at {expected:?}");
        }
    }
}

#[test]
fn the_identity_has_subject_expiry_and_claims() {
    let token = hs(&json!({"sub": "alice", "exp": NOW + 60, "roles": ["admin"]}).to_string());
    let identity = check(&jwt(), &token).unwrap();
    assert_eq!(identity.subject(), "alice");
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 65);
    assert_eq!(identity.expiry(), Some(end), "with the leeway");
    let claims = identity.get::<JwtClaims>().unwrap();
    assert_eq!(claims.get("roles"), Some(&json!(["admin"])));
    assert!(!format!("{claims:?}").contains("admin"));
}

#[test]
fn times() {
    let max = u64::MAX;
    for (claims, wanted) in [
        (format!(r#""exp":{}"#, NOW - 4), "in"),
        (format!(r#""exp":{}"#, NOW - 5), "expired"),
        (format!(r#""exp":{}.5"#, NOW - 5), "in"),
        (format!(r#""exp":{max}"#), "in"),
        (r#""exp":18446744073709551616"#.into(), "malformed token"),
        (format!(r#""exp":{NOW},"nbf":{}"#, NOW + 5), "in"),
        (format!(r#""exp":{NOW},"nbf":{}"#, NOW + 6), "not valid yet"),
        (format!(r#""exp":{NOW},"nbf":{max}"#), "not valid yet"),
        (format!(r#""exp":{NOW},"nbf":"0""#), "malformed token"),
        (format!(r#""exp":0,"exp":{NOW}"#), "in"),
        (format!(r#""exp":{NOW},"exp":0"#), "expired"),
        (r#""exp":0"#.into(), "expired"),
        (r#""exp":-0.0"#.into(), "expired"),
        (r#""exp":-1"#.into(), "malformed token"),
        (r#""exp":-1.5"#.into(), "malformed token"),
        (r#""exp":1e300"#.into(), "malformed token"),
        (r#""exp":1e999"#.into(), "malformed token"),
        (r#""exp":99999999999999999999"#.into(), "malformed token"),
        (format!(r#""exp":"{NOW}""#), "malformed token"),
        (r#""exp":null"#.into(), "malformed token"),
        (r#""exp":[1]"#.into(), "malformed token"),
        (r#""iat":1"#.into(), "no expiry"),
    ] {
        let token = hs(&format!(r#"{{"sub":"a",{claims}}}"#));
        assert_eq!(outcome(&jwt(), &token), wanted, "{claims}");
        let lasting = jwt().allow_without_expiry();
        let wanted = if wanted == "no expiry" { "in" } else { wanted };
        assert_eq!(outcome(&lasting, &token), wanted, "without expiry: {claims}");
        let patient = jwt().leeway(Duration::MAX);
        assert!(!["expired", "not valid yet"].contains(&outcome(&patient, &token)), "{claims}");
    }
    let no_expiry = check(&jwt().allow_without_expiry(), &hs(r#"{"sub":"a"}"#)).unwrap();
    assert_eq!(no_expiry.expiry(), None);
}

#[test]
fn audiences_and_issuers() {
    let both = || jwt().audience(["rt", "x"]).issuer(["me", "you"]);
    for (aud_iss, at_both, at_neither) in [
        (r#""aud":"rt","iss":"me""#, "in", "wrong audience"),
        (r#""aud":["a","x"],"iss":"you""#, "in", "wrong audience"),
        (r#""aud":"RT","iss":"me""#, "wrong audience", "wrong audience"),
        (r#""aud":["a"],"iss":"me""#, "wrong audience", "wrong audience"),
        (r#""aud":["rt",1],"iss":"me""#, "wrong audience", "wrong audience"),
        (r#""aud":[],"iss":"me""#, "wrong audience", "wrong audience"),
        (r#""aud":null,"iss":"me""#, "wrong audience", "wrong audience"),
        (r#""aud":1,"iss":"me""#, "wrong audience", "wrong audience"),
        (r#""iss":"me""#, "wrong audience", "in"),
        (r#""aud":"rt","iss":"he""#, "wrong issuer", "wrong audience"),
        (r#""aud":"rt","iss":["me"]"#, "wrong issuer", "wrong audience"),
        (r#""aud":"rt","iss":"""#, "wrong issuer", "wrong audience"),
        (r#""aud":"rt""#, "wrong issuer", "wrong audience"),
    ] {
        let token = hs(&format!(r#"{{"sub":"a","exp":{NOW},{aud_iss}}}"#));
        assert_eq!(outcome(&both(), &token), at_both, "{aud_iss}");
        assert_eq!(outcome(&jwt(), &token), at_neither, "{aud_iss}");
    }
}

#[test]
fn subjects() {
    for (sub, wanted) in [
        (json!("é".repeat(127)), "in"),
        (json!("a".repeat(255)), "in"),
        (json!("a".repeat(256)), "bad subject"),
        (json!(""), "bad subject"),
        (json!("a\nb"), "bad subject"),
        (json!("a\u{0}"), "bad subject"),
        (json!("a\u{85}"), "bad subject"),
        (json!(7), "bad subject"),
        (json!(null), "bad subject"),
    ] {
        let token = hs(&json!({"sub": sub, "exp": NOW}).to_string());
        assert_eq!(outcome(&jwt(), &token), wanted, "{sub}");
    }
    assert_eq!(outcome(&jwt(), &hs(&format!(r#"{{"exp":{NOW}}}"#))), "no subject");
}

#[test]
fn headers() {
    let deep = format!(r#"{{"alg":"HS256","x":{}{}}}"#, "[".repeat(500), "]".repeat(500));
    for (header, wanted) in [
        (r#"{"alg":"HS256","kid":"ignored"}"#, "in"),
        (r#"{"alg":"HS256","kid":7}"#, "malformed token"),
        (r#"{"alg":"HS256","alg":"HS256"}"#, "malformed token"),
        (r#"{"alg":"HS256","crit":["exp"],"exp":1}"#, "critical header not understood"),
        (r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, "critical header not understood"),
        (r#"{"alg":"HS256","crit":[]}"#, "critical header not understood"),
        (r#"{"alg":"HS256","crit":null}"#, "critical header not understood"),
        (r#"{"alg":"none"}"#, "wrong algorithm"),
        (r#"{"alg":"None"}"#, "wrong algorithm"),
        (r#"{"alg":"nOnE"}"#, "wrong algorithm"),
        (r#"{"alg":""}"#, "wrong algorithm"),
        (r#"{"alg":"hs256"}"#, "wrong algorithm"),
        (r#"{"alg":"HS512"}"#, "wrong algorithm"),
        (r#"{"alg":["HS256"]}"#, "malformed token"),
        (r#"{"alg":null}"#, "malformed token"),
        (r#"{"typ":"JWT"}"#, "malformed token"),
        (r#"["HS256"]"#, "malformed token"),
        ("HS256", "malformed token"),
        (r#"["HS256",null]"#, "malformed token"),
        // What is skipped takes no stack, however deep it goes.
        (&deep, "in"),
    ] {
        let payload = json!({"sub": "a", "exp": NOW}).to_string();
        assert_eq!(outcome(&jwt(), &token(Algorithm::HS256, header, &payload)), wanted, "{header}");
        let unsigned = format!("{}.{}.", encode(header), encode(&payload));
        assert_ne!(outcome(&jwt(), &unsigned), "in", "{header}, unsigned");
    }
}

#[test]
fn the_public_key_is_no_secret() {
    let message = format!(
        "{}.{}",
        encode(r#"{"alg":"HS256"}"#),
        encode(&json!({"sub": "a", "exp": NOW}).to_string())
    );
    let public = EncodingKey::from_secret(RSA_PUBLIC.as_bytes());
    let signature = sign(message.as_bytes(), &public, Algorithm::HS256).unwrap();
    let forged = format!("{message}.{signature}");
    assert_eq!(outcome(&Jwt::rs256_pem(RSA_PUBLIC).unwrap(), &forged), "wrong algorithm");
}

#[test]
fn the_key_id_chooses() {
    let odd = "a/../b \u{1F511}\"\\";
    let right = || JwtKey::hs256(SECRET).unwrap();
    let other = || JwtKey::hs256("another").unwrap();
    let rsa = || JwtKey::rs256_pem(RSA_PUBLIC).unwrap();
    for (case, keys, kid, wanted) in [
        ("by id", vec![other().id("b"), right().id(odd)], Some(odd), "in"),
        ("other key", vec![other().id("b"), right().id("a")], Some("b"), "bad signature"),
        ("unknown", vec![right().id("a"), rsa().id("b")], Some("c"), "no such key"),
        ("id of another kind", vec![right().id("a"), rsa().id("b")], Some("b"), "wrong algorithm"),
        ("no kid, ids", vec![right().id("a")], None, "no such key"),
        ("one key, other id", vec![right().id("a")], Some("b"), "no such key"),
        ("one key, no id", vec![right()], Some("b"), "in"),
        ("kid, several without id", vec![right(), other()], Some("b"), "no such key"),
        ("no kid, one of several", vec![rsa(), other(), right()], None, "in"),
        ("no kid, none fits", vec![rsa(), other()], None, "bad signature"),
        ("no kid, id is skipped", vec![right().id("a"), other()], None, "bad signature"),
        ("empty kid", vec![right().id("a"), other()], Some(""), "no such key"),
    ] {
        let mut header = json!({"alg": "HS256"});
        if let Some(kid) = kid {
            header["kid"] = json!(kid);
        }
        let payload = json!({"sub": "a", "exp": NOW}).to_string();
        let token = token(Algorithm::HS256, &header.to_string(), &payload);
        assert_eq!(outcome(&Jwt::with_keys(keys).unwrap(), &token), wanted, "{case}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let good = good();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let deep = format!("{}{}", "[".repeat(3000), "]".repeat(3000));
    for (case, text, wanted) in [
        ("empty", String::new(), "malformed token"),
        ("dots", "..".into(), "malformed token"),
        ("one dot", ".".into(), "malformed token"),
        ("unicode", "é.ü.ß".into(), "malformed token"),
        ("space before", format!(" {good}"), "malformed token"),
        ("newline after", format!("{good}\n"), "malformed token"),
        ("padding", format!("{good}="), "malformed token"),
        ("encrypted", "e30.a.b.c.d".into(), "malformed token"),
        ("a fourth part", format!("{good}.{signature}"), "bad signature"),
        ("no signature", format!("{message}."), "bad signature"),
        ("short signature", format!("{message}.AAAA"), "bad signature"),
        ("huge", format!("{good}{}", "A".repeat(8192)), "token too long"),
        ("payload is no object", hs("[1]"), "malformed token"),
        ("payload is no JSON", hs("alice"), "malformed token"),
        ("payload goes deep", hs(&deep), "malformed token"),
    ] {
        assert_eq!(outcome(&jwt(), &text), wanted, "{case}");
    }
}

#[test]
fn unusable_keys_are_refused() {
    assert_eq!(Jwt::hs256("").unwrap_err(), JwtError::EmptySecret);
    assert_eq!(Jwt::with_keys([]).unwrap_err(), JwtError::NoKeys);
    let twice = ["a", "a"].map(|id| JwtKey::hs256("s").unwrap().id(id));
    assert_eq!(Jwt::with_keys(twice).unwrap_err(), JwtError::DuplicateId("a".into()));
    let garbage = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    for (pem, [rs, es, ed]) in [
        (RSA_PUBLIC, [true, false, false]),
        (EC_PUBLIC, [false, true, false]),
        (ED_PUBLIC, [false, false, true]),
        (RSA_PRIVATE, [false; 3]),
        (EC_PRIVATE, [false; 3]),
        (ED_PRIVATE, [false; 3]),
        (P384_PUBLIC, [false; 3]),
        (RSA_1024_PUBLIC, [false; 3]),
        (SECP256K1_PUBLIC, [false; 3]),
        (RSA_CERTIFICATE, [false; 3]),
        (EC_CERTIFICATE, [false; 3]),
        (ED_CERTIFICATE, [false; 3]),
        (garbage, [false; 3]),
        ("", [false; 3]),
    ] {
        assert_eq!(Jwt::rs256_pem(pem).is_ok(), rs, "RS256: {pem}");
        assert_eq!(Jwt::es256_pem(pem).is_ok(), es, "ES256: {pem}");
        assert_eq!(Jwt::eddsa_pem(pem).is_ok(), ed, "EdDSA: {pem}");
    }
    let told = Jwt::es256_pem(EC_CERTIFICATE).unwrap_err().to_string();
    assert!(told.contains("a P-256 key") && told.contains("openssl x509"), "{told}");
}

#[test]
fn an_ed25519_key_has_two_names() {
    let jwt = Jwt::eddsa_pem(ED_PUBLIC).unwrap();
    let payload = json!({"sub": "alice", "exp": NOW + 60}).to_string();
    for (name, wanted) in [("EdDSA", "in"), ("Ed25519", "in"), ("Ed448", "wrong algorithm")] {
        let header = json!({"alg": name}).to_string();
        assert_eq!(outcome(&jwt, &token(Algorithm::EdDSA, &header, &payload)), wanted, "{name}");
    }
    let hs256 = token(Algorithm::HS256, r#"{"alg":"Ed25519"}"#, &payload);
    assert_eq!(outcome(&Jwt::hs256(SECRET).unwrap(), &hs256), "wrong algorithm");
}

#[test]
fn debug_shows_no_key() {
    let key = JwtKey::hs256(SECRET).unwrap().id("k1");
    let bytes = format!("{:?}", SECRET.as_bytes());
    for text in [format!("{key:?}"), format!("{:#?}", Jwt::with_keys([key.clone()]).unwrap())] {
        assert!(text.contains("k1") && text.contains("HS256"), "{text}");
        assert!(!text.contains(SECRET) && !text.contains(&bytes[1..20]), "{text}");
    }
}

#[test]
fn authenticate_answers_at_once_by_the_clock() {
    let at = |exp: u64| {
        let token = Token::new(hs(&json!({"sub": "alice", "exp": exp}).to_string()));
        match jwt().authenticate(Credentials::new(token, CredentialSource::Bearer)) {
            Authenticated::Now(outcome) => outcome.map(|identity| identity.subject().to_owned()),
            Authenticated::Later(_) => panic!("later"),
        }
    };
    let now = jsonwebtoken::get_current_timestamp();
    assert_eq!(at(now + 60), Ok("alice".to_owned()));
    assert_eq!(at(now - 60), Err(AuthenticateError::invalid("expired")));
}

#[test]
fn every_single_flipped_bit_is_refused() {
    let good = good();
    assert_eq!(outcome(&jwt(), &good), "in");
    for at in 0..good.len() {
        for bit in 0..7 {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let flipped = String::from_utf8(bytes).unwrap();
            assert_ne!(outcome(&jwt(), &flipped), "in", "bit {bit} of byte {at}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}", header in ".{0,50}", payload in ".{0,50}") {
        let _ = check(&jwt(), &text);
        let _ = check(&jwt(), &hs(&payload));
        let _ = check(&jwt(), &token(Algorithm::HS256, &header, &payload));
    }

    #[test]
    fn no_claim_makes_it_panic(number in any::<f64>(), integer in any::<i128>(), leeway: u64) {
        let jwt = jwt().leeway(Duration::from_secs(leeway));
        for date in [number.to_string(), integer.to_string()] {
            for claims in [format!(r#""exp":{date}"#), format!(r#""exp":{NOW},"nbf":{date}"#)] {
                let _ = check(&jwt, &hs(&format!(r#"{{"sub":"a",{claims}}}"#)));
            }
        }
    }
}
