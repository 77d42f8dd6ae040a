//! What the other instances say, and are told.

use std::{sync::Arc, time::Instant};

use realtime_core::{Event, TopicName};

use super::{Answer, End, Marked, Session};
use crate::{
    control::{Command, Told},
    link::{Engine, Link},
};

impl<E: Engine> Session<'_, E> {
    /// Has what the others were not told for certain be told them over the next connection.
    pub(crate) fn give_back(&mut self) {
        if self.marks.values().any(|(marked, _)| matches!(marked, Marked::CatchUp)) {
            self.shared.wish(|wishes| wishes.catch_ups += 1);
        }
        for (_, command) in std::mem::take(&mut self.telling) {
            if let Command::Disconnect { .. } = command {
                self.shared.wish(|wishes| wishes.tell(command));
            }
        }
    }

    /// Does what another instance says.
    pub(super) fn obey(&mut self, event: &Event, now: Instant) -> Result<(), End> {
        let Some(Told { from, command }) = Told::read(event) else { return Ok(()) };
        if from == self.shared.instance {
            return Ok(());
        }
        let others = &self.shared.others;
        if command == Command::Gone {
            others.gone(&from);
            return Ok(());
        }
        others.heard(&from, now);
        match command {
            Command::Disconnect { subject, reason } => self.inlet.disconnect(&subject, &reason)?,
            Command::Count { topic, number } => {
                let subscribers = match TopicName::new(topic) {
                    Ok(topic) => self.inlet.subscribers(&topic)? as u64,
                    Err(_) => 0,
                };
                self.tell(Command::Counted { to: from, number, subscribers });
            }
            Command::Counted { to, number, subscribers } if to == self.shared.instance => {
                others.answered(number, subscribers);
            }
            Command::Counted { .. } | Command::Here | Command::Gone => {}
        }
        Ok(())
    }

    pub(super) fn tell(&mut self, command: Command) {
        self.token += 1;
        let number = self.token;
        let told = Told { from: self.shared.instance.clone(), command };
        let event = told.event();
        self.telling.insert(number, told.command);
        let link = Arc::clone(&self.link);
        self.ask(
            async move { Answer::Told(number, link.publish(&TopicName::control(), &event).await) },
        );
    }
}

pub(super) fn tell_lost_commands() {
    tracing::error!("what other instances said was lost: a subject may not have been disconnected");
}
