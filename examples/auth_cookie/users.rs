//! The people who may log in.

use sha2::{Digest, Sha256};

/// Somebody who may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    password: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Editor,
    Reader,
}

/// A real service has a database here, and in it no passwords but slow, salted hashes of them, like
/// Argon2's.
pub(crate) const USERS: [User; 3] = [
    User { name: "ada", role: Role::Editor, password: "lovelace" },
    User { name: "bea", role: Role::Reader, password: "buttercup" },
    User { name: "cem", role: Role::Reader, password: "cinnamon" },
];

/// The user of this name, if the password is theirs.
pub(crate) fn log_in(name: &str, password: &str) -> Option<&'static User> {
    let user = USERS.iter().find(|user| user.name == name);
    // As much work for a name that is not known as for one that is.
    let expected = user.map_or("nobody's", |user| user.password);
    user.filter(|_| is_same(password, expected))
}

/// Compares two secrets in a time that does not tell how far they agree.
fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (Sha256::digest(one), Sha256::digest(other));
    one.iter().zip(other.iter()).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}
