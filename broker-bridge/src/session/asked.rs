//! What the hub wants is asked of the server, and what that answers is passed on.

use std::{future::Future, sync::Arc, time::Instant};

use tokio::time::timeout;

use super::{Answer, End, Marked, Session, borrowed, earlier};
use crate::link::{At, Engine, EngineError, History, Interest, Link};

impl<E: Engine> Session<'_, E> {
    pub(super) fn take_wishes(&mut self) {
        let wishes = self.shared.take_wishes();
        self.known.changes.extend(wishes.interests);
        for (topic, past) in wishes.reads {
            if self.reads.get(&topic).is_none_or(|asked| !asked.0.has(past)) {
                self.token += 1;
                let number = self.token;
                self.reads.insert(topic.clone(), (past, number));
                let link = Arc::clone(&self.link);
                self.ask(async move {
                    let read = link.read(&topic, past.after, past.limit).await;
                    Answer::Read(topic, past, number, read)
                });
            }
        }
        for (pattern, past) in wishes.finds {
            if self.finds.get(&pattern).is_none_or(|asked| !asked.0.has(past)) {
                self.token += 1;
                let number = self.token;
                self.finds.insert(pattern.clone(), (past, number));
                let link = Arc::clone(&self.link);
                self.ask(async move {
                    let found = link.topics(&pattern, past.after, past.limit).await;
                    Answer::Found(pattern, past, number, found)
                });
            }
        }
        wishes.commands.into_iter().for_each(|command| self.tell(command));
        if wishes.catch_ups > 0 {
            self.mark(Marked::CatchUp);
        }
    }

    /// Asks the server for what the hub wants now, unless it has yet to answer the last time.
    pub(super) fn change(&mut self) -> Result<(), End> {
        if self.is_changing || self.known.changes.is_empty() {
            return Ok(());
        }
        let (mut come, mut go, mut still) = (Vec::new(), Vec::new(), Vec::new());
        for (interest, wanted) in std::mem::take(&mut self.known.changes) {
            if !wanted {
                if !self.is_wanted(&interest)? && self.known.forget(&interest) {
                    for (marked, _) in self.marks.values_mut() {
                        if let Marked::Establish(come) = marked {
                            come.retain(|it| *it != interest);
                        }
                    }
                    match &interest {
                        Interest::Topic(topic) => _ = self.reads.remove(topic),
                        Interest::Pattern(pattern) => _ = self.finds.remove(pattern),
                    }
                    go.push(interest);
                }
            } else if let Some(is_established) = self.known.wanted.get(&interest) {
                // It has not stopped to come, whatever the hub has thought meanwhile.
                if *is_established {
                    still.push(interest);
                }
            } else {
                self.known.wanted.insert(interest.clone(), false);
                come.push(interest);
            }
        }
        if !still.is_empty() {
            self.inlet.establish(still.iter().map(borrowed), false)?;
        }
        if come.is_empty() && go.is_empty() {
            return Ok(());
        }
        self.is_changing = true;
        let link = Arc::clone(&self.link);
        self.ask(async move {
            let mut changed = Ok(());
            if !come.is_empty() {
                changed = link.subscribe(&come).await;
            }
            if changed.is_ok() && !go.is_empty() {
                changed = link.unsubscribe(&go).await;
            }
            Answer::Changed(come, changed)
        });
        Ok(())
    }

    /// Whether the hub wants it now. That it does not may have been told late, by one who was overtaken by
    /// another who wants it.
    pub(super) fn is_wanted(&self, interest: &Interest) -> Result<bool, End> {
        Ok(match interest {
            Interest::Topic(topic) => self.inlet.is_wanted(topic)?,
            Interest::Pattern(pattern) => self.inlet.is_followed(pattern)?,
        })
    }

    pub(super) fn take_answer(&mut self, answer: Answer) -> Result<(), End> {
        match answer {
            Answer::Marks(marked) => marked?,
            Answer::Told(number, told) => {
                match told {
                    Err(error @ EngineError::Unreachable(_)) => return Err(error.into()),
                    Err(error) => {
                        tracing::error!(%error, "other instances can't be told what to do");
                    }
                    Ok(_) => {}
                }
                self.telling.remove(&number);
            }
            Answer::Changed(come, changed) => {
                changed?;
                self.is_changing = false;
                if !come.is_empty() {
                    self.mark(Marked::Establish(come));
                }
            }
            Answer::Read(topic, past, number, read) => {
                // Else it was asked for before the topic went and came again, or by one that asked for less.
                if self.reads.get(&topic).is_none_or(|(_, asked)| *asked != number) {
                    return Ok(());
                }
                self.reads.remove(&topic);
                let history = match read {
                    Err(error @ EngineError::Unreachable(_)) => return Err(error.into()),
                    Ok(history)
                        if self
                            .is_of_this_life(At { epoch: history.epoch, sequence: 0 })
                            .is_ok() =>
                    {
                        history
                    }
                    // That the numbers have begun anew is found by the next mark at the latest.
                    Ok(_) => return Ok(()),
                    Err(error) => {
                        tracing::warn!(%error, "what was published before can't be read");
                        History { epoch: 0, records: Vec::new(), complete_after: u64::MAX }
                    }
                };
                let now = Instant::now();
                let events = history.records.into_iter().map(|it| earlier(it, now).1).collect();
                self.inlet.earlier(&topic, past.after, history.complete_after, events, now)?;
            }
            Answer::Found(pattern, past, number, found) => {
                if self.finds.get(&pattern).is_none_or(|(_, asked)| *asked != number) {
                    return Ok(());
                }
                self.finds.remove(&pattern);
                let topics = match found {
                    Err(error @ EngineError::Unreachable(_)) => return Err(error.into()),
                    Err(error) => {
                        tracing::warn!(%error, "a pattern's topics can't be found");
                        None
                    }
                    Ok(topics) => Some(topics),
                };
                self.inlet.found(&pattern, past.after, topics, Instant::now())?;
            }
        }
        Ok(())
    }

    pub(super) fn mark(&mut self, marked: Marked) {
        self.token += 1;
        let token = self.token;
        self.marks.insert(token, (marked, Instant::now() + self.shared.options.request_deadline));
        let link = Arc::clone(&self.link);
        self.ask(async move { Answer::Marks(link.mark(token).await) });
    }

    pub(super) fn ask(&mut self, answer: impl Future<Output = Answer> + Send + 'static) {
        let deadline = self.shared.options.request_deadline;
        self.asked.push(Box::pin(async move {
            let late = || EngineError::Unreachable(format!("no answer in {deadline:?}"));
            timeout(deadline, answer).await.unwrap_or_else(|_| Answer::Marks(Err(late())))
        }));
    }
}
