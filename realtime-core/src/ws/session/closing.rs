//! The closing handshake (RFC 6455 §7), and the end.

use std::{task::Context, time::Instant};

use super::{Outgoing, Session};
use crate::{
    close::{CloseCause, CloseFrame},
    drain::{Leave, jittered},
    ws::frames,
};

/// Boxed where it is short-lived, since most connections are open.
#[derive(Debug)]
pub(super) enum Phase {
    Open,
    /// A Close is to go out, after what is queued.
    Closing(Box<Closing>),
    Ended(Box<Ended>),
}

#[derive(Debug)]
pub(super) struct Closing {
    pub(super) cause: CloseCause,
    pub(super) since: Instant,
    pub(super) sent: bool,
    pub(super) peer: Peer,
}

#[derive(Debug)]
pub(super) struct Ended {
    pub(super) cause: CloseCause,
    pub(super) linger: bool,
}

/// What is to come from the peer of a connection that closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// Its Close.
    Open,
    /// Nothing: it has sent its Close.
    Closed,
    /// Bytes that make no sense.
    Broken,
}

impl Session {
    /// Closes when a drain says so.
    pub(super) fn check_drain(&mut self, cx: &Context<'_>, now: Instant) {
        let retry = self.hub().config().drain.retry;
        if self.admission.guard().is_cut() {
            return self.end(CloseCause::Draining { retry }, false);
        }
        // One that closes by itself takes nobody's place.
        if self.is_open()
            && let Some(Leave::At(at)) = self.admission.guard_mut().poll(cx)
            && now >= at
        {
            self.close(CloseCause::Draining { retry: jittered(retry) }, now);
        }
    }

    /// Closes when its time is up.
    pub(super) fn check_lifetime(&mut self, now: Instant) {
        if self.is_open()
            && let Some(end) = self.lifetime.end(now)
        {
            self.close(end.into(), now);
        }
    }

    pub(super) fn peer_closed(&mut self, frame: Option<CloseFrame>, now: Instant) {
        self.close(CloseCause::Peer(frame), now);
        self.set_peer(Peer::Closed);
        self.end_if_closed();
    }

    /// Starts the closing handshake; what was queued before goes first.
    pub(super) fn close(&mut self, cause: CloseCause, now: Instant) {
        if self.is_open() {
            if let Some(shared) = &self.shared {
                shared.closing(&cause);
            }
            let closing = Closing { cause, since: now, sent: false, peer: Peer::Open };
            self.phase = Phase::Closing(Box::new(closing));
        }
    }

    /// Closes because the peer's bytes make no sense; what came before them is still answered.
    pub(super) fn fail(&mut self, failure: CloseCause, now: Instant) {
        self.close(failure.clone(), now);
        self.set_peer(Peer::Broken);
        if let Phase::Closing(closing) = &mut self.phase
            && !closing.sent
        {
            closing.cause = failure;
        }
        self.end_if_closed();
    }

    fn set_peer(&mut self, is: Peer) {
        if let Phase::Closing(closing) = &mut self.phase {
            closing.peer = is;
        }
    }

    /// Sends the Close behind what is queued, once that is all.
    pub(super) fn send_close_if_due(&mut self) {
        let Phase::Closing(closing) = &self.phase else { return };
        // A handler gets to answer what came before the peer's Close, or its failure.
        let may_answer = closing.cause.is_of_peer();
        let is_done = || self.shared.as_ref().is_none_or(|shared| shared.seal_if_done(may_answer));
        if !closing.sent && is_done() {
            self.send_close();
        }
    }

    /// Sends the Close in place of what is queued.
    pub(super) fn send_close_now(&mut self) {
        self.outgoing.drop_unstarted();
        self.send_close();
    }

    fn send_close(&mut self) {
        if let Phase::Closing(closing) = &mut self.phase {
            closing.sent = true;
            self.outgoing.close(frames::close(closing.cause.frame().as_ref()));
            if let Some(shared) = &self.shared {
                shared.seal();
            }
        }
    }

    pub(super) fn end_if_closed(&mut self) {
        if let Phase::Closing(closing) = &self.phase
            && closing.sent
            && closing.peer != Peer::Open
            && self.outgoing.is_empty()
        {
            let (cause, linger) = (closing.cause.clone(), closing.peer == Peer::Broken);
            self.end(cause, linger);
        }
    }

    /// Ends at once. Of a connection that closes, the cause is what it closes for.
    pub(super) fn end(&mut self, cause: CloseCause, linger: bool) {
        let cause = match &self.phase {
            Phase::Open => cause,
            Phase::Closing(closing) => closing.cause.clone(),
            Phase::Ended(_) => return,
        };
        if let Some(shared) = &self.shared {
            shared.closing(&cause);
            shared.seal();
        }
        self.unread = None;
        self.outgoing = Outgoing::default();
        self.phase = Phase::Ended(Box::new(Ended { cause, linger }));
    }
}
