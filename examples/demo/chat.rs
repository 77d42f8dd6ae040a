//! Chat rooms.

use realtime::{
    Event, Start, Subscribe,
    ws::{CloseCode, CloseReason, Message, Socket},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::app::unix_ms;

const ROOMS: [&str; 3] = ["lobby", "rust", "random"];
const HISTORY: usize = 50;
const MAX_NAME: usize = 32;
const MAX_TEXT: usize = 500;

/// Like 404: the client need not come back for this.
const NO_SUCH_ROOM: u16 = 4404;

/// The query of a request to join.
#[derive(Deserialize)]
pub(crate) struct Guest {
    name: Option<String>,
}

#[cfg(feature = "hyper")]
impl Guest {
    pub(crate) fn new(query: Option<&str>) -> Self {
        let mut parameters = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let name = parameters.find(|(name, _)| name == "name");
        Self { name: name.map(|(_, value)| value.into_owned()) }
    }
}

/// A room with its history; a client that was here before gets only what it has not seen. Nothing
/// for a room that does not exist.
pub(crate) fn subscribe(room: &str) -> Subscribe {
    if !ROOMS.contains(&room) {
        return Subscribe::none();
    }
    Subscribe::to(topic(room)).start(Start::Last(HISTORY))
}

/// Publishes what a guest says, until the connection ends.
pub(crate) async fn talk(mut socket: Socket, room: String, guest: Guest) {
    if !ROOMS.contains(&room.as_str()) {
        // A browser tells its page a close code, but never the status of a refused handshake.
        let code = CloseCode::new(NO_SUCH_ROOM).unwrap_or(CloseCode::POLICY_VIOLATION);
        return socket.close(code, no_such_room(&room));
    }
    let name = clean(guest.name);
    while let Some(message) = socket.recv().await {
        let Err(complaint) = say(&socket, &room, &name, &message).await else { continue };
        let error = json!({ "event": "error", "data": { "message": complaint } });
        if socket.send(Message::text(error.to_string())).await.is_err() {
            return;
        }
    }
}

/// Publishes a message, or tells the sender what is wrong with it.
async fn say(socket: &Socket, room: &str, name: &str, message: &Message) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Saying {
        text: String,
    }
    #[derive(Serialize)]
    struct Said<'a> {
        name: &'a str,
        text: &'a str,
        time: u64,
    }

    let json = message.as_text().ok_or("Send text messages, not binary ones.")?;
    let saying: Saying = serde_json::from_str(json)
        .map_err(|error| format!("Expected {{\"text\":\"…\"}} as JSON: {error}."))?;
    let text = saying.text.trim();
    let length = text.chars().count();
    if length == 0 {
        return Err("The message is empty.".to_owned());
    }
    if length > MAX_TEXT {
        return Err(format!(
            "The message has {length} characters; at most {MAX_TEXT} are allowed."
        ));
    }
    let said = Said { name, text, time: unix_ms() };
    let event = Event::json(&said).and_then(|event| event.named("message"));
    let event = event.map_err(|error| error.to_string())?;
    socket.publish(topic(room), event).await.map_err(|error| error.to_string())?;
    Ok(())
}

fn topic(room: &str) -> String {
    format!("chat.{room}")
}

/// A name that can be shown: no control characters, not empty, not long.
fn clean(name: Option<String>) -> String {
    let name: String = name.unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
    let name: String = name.trim().chars().take(MAX_NAME).collect();
    if name.is_empty() { "guest".to_owned() } else { name.trim_end().to_owned() }
}

fn no_such_room(room: &str) -> CloseReason {
    // 20 characters are at most 80 bytes, which leaves 43 of a reason's 123 for the rest.
    let shown: String = room.chars().filter(|c| !c.is_control()).take(20).collect();
    CloseReason::new(format!("no room \"{shown}\": try {}", ROOMS.join(", "))).unwrap_or_default()
}
