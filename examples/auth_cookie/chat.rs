//! The chat's WebSocket.

use realtime::{
    Event, EventError,
    ws::{Message, Socket},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    permissions::{CHAT, NEWS, notifications_of},
    users::USERS,
};

const MAX_BYTES: usize = 500;

#[derive(Serialize)]
struct Said<'a> {
    name: &'a str,
    text: &'a str,
}

/// Publishes what a user says, until the connection ends.
pub(crate) async fn talk(mut socket: Socket) {
    while let Some(message) = socket.recv().await {
        let Err(complaint) = say(&socket, &message).await else { continue };
        let error = json!({ "event": "error", "data": complaint });
        if socket.send(Message::text(error.to_string())).await.is_err() {
            return;
        }
    }
}

/// Publishes a message: to the chat, or with `/news` before it, to the news.
async fn say(socket: &Socket, message: &Message) -> Result<(), String> {
    // Who it is the server knows; nothing that the client says about it counts.
    let identity = socket.identity().ok_or("Log in first.")?;
    let name = identity.subject();
    let text = message.as_text().map(str::trim).ok_or("Send text messages, not binary ones.")?;
    if text.is_empty() || text.len() > MAX_BYTES {
        return Err(format!("A message has 1 to {MAX_BYTES} bytes."));
    }
    let (topic, event) = match text.strip_prefix("/news ") {
        Some(news) => (NEWS, Event::text(format!("{name}: {news}")).named("news")),
        None => (CHAT, said(name, text, "said")),
    };
    let event = event.map_err(|error| error.to_string())?;
    // Not `socket.hub().publish`, which asks nobody whether this user may.
    socket.publish(topic, event).await.map_err(|error| error.to_string())?;
    if topic == CHAT {
        notify_mentioned(socket, name, text).await?;
    }
    Ok(())
}

/// Tells those whom a message names with an `@`. That is the service's doing, not the user's.
async fn notify_mentioned(socket: &Socket, name: &str, text: &str) -> Result<(), String> {
    for user in USERS.iter().filter(|user| text.contains(&format!("@{}", user.name))) {
        let event = said(name, text, "mention").map_err(|error| error.to_string())?;
        let published = socket.hub().publish(notifications_of(user.name), event).await;
        published.map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn said(name: &str, text: &str, event: &str) -> Result<Event, EventError> {
    Event::json(&Said { name, text })?.named(event)
}
