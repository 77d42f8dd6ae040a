//! A room of the core uses only rooms before it.

use crate::tidy::{
    finding::{Finding, line_of},
    source::{is_test_file, production_code},
    tokens::below,
};

pub const RULE: &str = "room-order";

/// The rooms of `realtime-core`, bottom up.
const ROOMS: [&str; 31] = [
    "sync",
    "stats",
    "event",
    "topic",
    "pattern",
    "position",
    "head",
    "overflow",
    "log",
    "cursor",
    "fanout",
    "broker",
    "rate",
    "client_ip",
    "origin",
    "auth",
    "jwt",
    "limits",
    "lifetime",
    "drain",
    "permits",
    "config",
    "hub",
    "subscription",
    "close",
    "rejection",
    "admission",
    "sse",
    "ws",
    "options",
    "driver",
];

const FOLDER: &str = "realtime-core/src/";

pub fn check(path: &str, text: &str) -> Vec<Finding> {
    let Some(file) = path.strip_prefix(FOLDER) else { return Vec::new() };
    // `lib.rs` is the front door and names all rooms.
    if file == "lib.rs" || is_test_file(path) {
        return Vec::new();
    }
    let Some(room) = room_of(file) else {
        let message = format!(
            "no such room; give `{file}` its place in the list at the top of \
             xtask/src/tidy/rooms.rs, above everything it uses"
        );
        return vec![Finding::new(RULE, path, 1, message)];
    };
    let code = production_code(text);
    let mut used = below(&code, "crate");
    // What a macro names is used where the macro is; a macro for all has its name at the root.
    used.retain(|(at, name)| !is_in_macro(&code, *at) && !code[at + name.len()..].starts_with('!'));
    used.extend(below(&code, &to_root(file)).into_iter().filter(|(_, name)| is_room(name)));
    used.sort();
    used.into_iter()
        .filter_map(|(at, name)| {
            let message = complaint(room, name)?;
            Some(Finding::new(RULE, path, line_of(text, at), message))
        })
        .collect()
}

fn complaint(room: usize, name: &str) -> Option<String> {
    let here = ROOMS[room];
    match ROOMS.iter().position(|other| *other == name) {
        Some(other) if other <= room => None,
        Some(_) => Some(format!(
            "room `{here}` uses `{name}`, which comes after it; hand the value in from above, or \
             move the item down"
        )),
        None if name == "self" => None,
        None => {
            Some(format!("`crate::{name}` hides which room is used; write `crate::<room>::{name}`"))
        }
    }
}

/// Whether this name comes after `$crate::`.
fn is_in_macro(code: &str, name: usize) -> bool {
    code[..name].trim_end_matches(char::is_whitespace).ends_with("$crate::")
}

fn is_room(name: &str) -> bool {
    ROOMS.contains(&name)
}

fn room_of(file: &str) -> Option<usize> {
    let first = file.split('/').next()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    ROOMS.iter().position(|room| *room == name)
}

/// The chain of `super`s that leads from this file to the crate's root.
fn to_root(file: &str) -> String {
    let modules = file.trim_end_matches(".rs").trim_end_matches("/mod").split('/').count();
    vec!["super"; modules].join("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(file: &str, text: &str) -> usize {
        check(&format!("{FOLDER}{file}"), text).len()
    }

    #[test]
    fn a_room_above_is_refused() {
        for (file, text) in [
            ("event.rs", "use crate::topic::TopicName;"),
            ("hub.rs", "use crate::{\n    event::Event,\n    driver::now,\n};"),
            ("ws/session.rs", "fn a() { crate::driver::now() }"),
            ("log.rs", "use super::hub::Hub;"),
            ("ws/session.rs", "use super::super::driver::now;"),
        ] {
            assert_eq!(count(file, text), 1, "{file}: {text}");
        }
        let finding = &check("realtime-core/src/log.rs", "\nuse crate::hub::Hub;")[0];
        assert_eq!(finding.line, 2);
        assert!(finding.message.contains("room `log` uses `hub`"), "{finding}");
    }

    #[test]
    fn a_name_without_its_room_is_refused() {
        assert_eq!(count("hub.rs", "use crate::Event;"), 1);
    }

    #[test]
    fn an_unknown_room_is_refused() {
        assert_eq!(count("attic.rs", ""), 1);
        assert_eq!(count("attic/box.rs", ""), 1);
    }

    #[test]
    fn rooms_before_it_and_itself_are_fine() {
        for (file, text) in [
            ("hub.rs", "use crate::{event::Event, hub::Hub};"),
            ("hub/builder.rs", "use super::Hub; use crate::hub;"),
            ("ws/session.rs", "use super::codec; use super::super::hub::Hub;"),
            ("event.rs", "/// See [`Hub`](crate::Hub).\nfn a() {}"),
            ("event.rs", "#[cfg(test)] mod tests { use crate::hub::Hub; }"),
            ("event/tests.rs", "use crate::hub::Hub;"),
            ("lib.rs", "pub use crate::hub::Hub;"),
            ("event.rs", "pub(crate) struct A;"),
            ("options.rs", "macro_rules! a { () => { $crate::Hub } }"),
            ("driver.rs", "crate::options_of! {}"),
        ] {
            assert_eq!(count(file, text), 0, "{file}: {text}");
        }
        assert_eq!(check("testkit/src/lib.rs", "use crate::deadline::DEADLINE;"), []);
    }
}
