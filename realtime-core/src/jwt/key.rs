use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, crypto::aws_lc::DEFAULT_PROVIDER};

/// One key that tokens are signed with, and the only algorithm that it is for.
///
/// What prints it prints the algorithm and the id.
#[derive(Clone)]
pub struct JwtKey {
    id: Option<String>,
    algorithm: Algorithm,
    name: &'static str,
    /// Overwritten with zeros when it is dropped.
    material: DecodingKey,
}

impl JwtKey {
    /// A secret shared with whoever signs, for HMAC with SHA-256.
    ///
    /// Use at least 32 random bytes (RFC 7518 §3.2): a shorter one, or a password, can be guessed
    /// offline by anybody who has seen a token. Only an empty one is refused.
    ///
    /// # Errors
    /// [`JwtError`] when the secret is empty.
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, JwtError> {
        match secret.as_ref() {
            [] => Err(JwtError::EmptySecret),
            secret => Ok(Self::new((Algorithm::HS256, "HS256"), DecodingKey::from_secret(secret))),
        }
    }

    /// The public RSA key of whoever signs, for PKCS #1 v1.5 with SHA-256.
    ///
    /// # Errors
    /// [`JwtError`] when `pem` is no public RSA key of 2048 to 8192 bits.
    pub fn rs256_pem(pem: impl AsRef<[u8]>) -> Result<Self, JwtError> {
        Self::public(
            "an RSA key of 2048 to 8192 bits",
            (Algorithm::RS256, "RS256"),
            (pem.as_ref(), DecodingKey::from_rsa_pem),
            |_, bytes| {
                // Parses it, as a private key comes this far too.
                let parts = (DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key)(bytes);
                parts.is_ok_and(|(modulus, _)| {
                    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
                    (256..=1024).contains(&(modulus.len() - zeros))
                })
            },
        )
    }

    /// The public P-256 key of whoever signs, for ECDSA with SHA-256.
    ///
    /// # Errors
    /// [`JwtError`] when `pem` is no public P-256 key.
    pub fn es256_pem(pem: impl AsRef<[u8]>) -> Result<Self, JwtError> {
        Self::public(
            "a P-256 key",
            (Algorithm::ES256, "ES256"),
            (pem.as_ref(), DecodingKey::from_ec_pem),
            |written, _| written.starts_with(P256),
        )
    }

    /// The public Ed25519 key of whoever signs, for tokens that name `EdDSA` or `Ed25519`.
    ///
    /// # Errors
    /// [`JwtError`] when `pem` is no public Ed25519 key.
    pub fn eddsa_pem(pem: impl AsRef<[u8]>) -> Result<Self, JwtError> {
        Self::public(
            "an Ed25519 key",
            (Algorithm::EdDSA, "EdDSA"),
            (pem.as_ref(), DecodingKey::from_ed_pem),
            |_, bytes| bytes.len() == 32,
        )
    }

    /// The same key for tokens with this `kid` only. Default: none, it is for tokens without `kid`.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    fn public(
        expected: &'static str,
        algorithm: (Algorithm, &'static str),
        (pem, parse): (&[u8], Parse),
        is_usable: impl FnOnce(&str, &[u8]) -> bool,
    ) -> Result<Self, JwtError> {
        let not_it = || JwtError::NotAPublicKey { expected };
        let written = written(pem).ok_or_else(not_it)?;
        let material = parse(pem).map_err(|_| not_it())?;
        let usable = material.try_get_as_bytes().is_ok_and(|bytes| is_usable(&written, bytes));
        if usable { Ok(Self::new(algorithm, material)) } else { Err(not_it()) }
    }

    fn new((algorithm, name): (Algorithm, &'static str), material: DecodingKey) -> Self {
        Self { id: None, algorithm, name, material }
    }

    pub(super) fn key_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// As the header of a token names it (RFC 7518 §3.1, RFC 8037 §3.1).
    pub(super) fn algorithm(&self) -> &'static str {
        self.name
    }

    /// Whether a token that names this algorithm is for it. Ed25519 has a name of its own since
    /// RFC 9864, beside the one for all Edwards curves.
    pub(super) fn is_for(&self, algorithm: &str) -> bool {
        self.name == algorithm || (self.algorithm == Algorithm::EdDSA && algorithm == "Ed25519")
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &Vec<u8>) -> bool {
        // By name, not jsonwebtoken's default: that one panics when some other crate of the program
        // has turned on its other backend as well.
        let verifier = (DEFAULT_PROVIDER.verifier_factory)(&self.algorithm, &self.material);
        verifier.is_ok_and(|verifier| verifier.verify(message, signature).is_ok())
    }
}

type Parse = fn(&[u8]) -> jsonwebtoken::errors::Result<DecodingKey>;

/// How the PEM of every P-256 key begins: algorithm and curve (RFC 5480 §2.1), and that the point is not
/// compressed, which is what tools write.
const P256: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";

/// The base64 of the first thing in a PEM, if that is a public key. jsonwebtoken would also take the key
/// out of a certificate, of which nobody then looks at the dates.
fn written(pem: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(pem).ok()?;
    let (_, first) = text.split_once("-----BEGIN ")?;
    let (kind, rest) = first.split_once("-----")?;
    let (written, _) = rest.split_once("-----")?;
    let is_public = matches!(kind, "PUBLIC KEY" | "RSA PUBLIC KEY");
    is_public.then(|| written.split_ascii_whitespace().collect())
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKey")
            .field("algorithm", &self.algorithm())
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtError {
    /// A secret without a single byte.
    #[error(
        "expected a secret, best 32 random bytes or more, got an empty one; is its variable set?"
    )]
    EmptySecret,
    /// A PEM that is no public key of the kind.
    #[error(
        "expected the public key of {expected} in PEM, `-----BEGIN PUBLIC KEY-----`, got something \
         else; `openssl pkey -in private.pem -pubout` writes it, `openssl x509 -in certificate.pem \
         -noout -pubkey` that of a certificate"
    )]
    NotAPublicKey {
        /// The kind of key.
        expected: &'static str,
    },
    /// No key at all.
    #[error("expected at least one key, got none; every token would be refused")]
    NoKeys,
    /// Two keys with the same id.
    #[error("expected keys with different ids, got {0:?} twice; remove one or give it another id")]
    DuplicateId(String),
}
