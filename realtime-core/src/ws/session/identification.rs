//! Who the peer is: the first message that says so, refreshes, and the end of an identity.

use std::{
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::Session;
use crate::{
    admission::{Established, NotAuthenticated, NotRefreshed},
    auth::{AuthenticateError, Authentication, Credentials},
    client_ip::ClientIp,
    close::CloseCause,
    hub::Hub,
    lifetime::later,
    limits::Limits,
    permits::{LimitReached, NotEstablished, Principal, PrincipalEnd},
    rejection::Rejection,
    stats::add,
    subscription::{Subscribe, SubscribeError},
    ws::{codec::Decoder, message::Message, socket::Counts},
};

/// How far the peer's identification is. Boxed where it is short-lived, since most connections have
/// none under way.
#[derive(Debug)]
pub(super) struct Identification {
    /// What is to follow once the peer has authenticated; `None` once it has, or need not.
    waiting: Option<Box<Waiting>>,
    check: Check,
    /// Whether the peer is known and may not have what the connection is for.
    is_refused: bool,
    /// Whether what the identity may follow is yet to be decided.
    is_undecided: bool,
    /// Whether messages may carry tokens.
    takes_tokens: bool,
}

#[derive(Debug)]
struct Waiting {
    subscribe: Subscribe,
    message_bytes: usize,
    message_fragments: u32,
    since: Instant,
    deadline: Duration,
}

/// The check of a secret that a message carried.
#[derive(Debug)]
enum Check {
    None,
    Due(Box<Credentials>),
    Running,
}

impl Identification {
    /// Of a connection whose peer is known, or need not be.
    pub(super) fn done(hub: &Hub) -> Self {
        let authentication = hub.config().authentication.as_ref();
        let takes_tokens = authentication.is_some_and(|it| it.first_message.is_some());
        Self {
            waiting: None,
            check: Check::None,
            is_refused: false,
            is_undecided: false,
            takes_tokens,
        }
    }

    /// Of a connection whose peer has yet to say who it is, for what is to follow then.
    pub(super) fn awaiting(hub: &Hub, subscribe: Subscribe, limits: &Limits, now: Instant) -> Self {
        let authentication = hub.config().authentication.as_ref();
        let deadline = authentication
            .and_then(|it| it.first_message)
            .unwrap_or(Authentication::FIRST_MESSAGE_DEADLINE);
        let waiting = Waiting {
            subscribe,
            message_bytes: limits.message_bytes,
            message_fragments: limits.message_fragments,
            since: now,
            deadline,
        };
        Self { waiting: Some(Box::new(waiting)), ..Self::done(hub) }
    }

    /// Whether the peer is known, or need not be.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_none() && !self.is_refused
    }

    /// Whether a secret is to be checked before anything else is looked at.
    pub(super) fn is_checking(&self) -> bool {
        !matches!(self.check, Check::None)
    }

    /// Until when the peer has to say who it is.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waiting = self.waiting.as_ref().filter(|_| !self.is_checking())?;
        Some(later(waiting.since, waiting.deadline))
    }
}

impl Session {
    /// What the peer presents, to be checked now; the outcome is to be told with
    /// [`authenticated`](Self::authenticated), and until then the session wants no input.
    pub(crate) fn presented(&mut self) -> Option<Credentials> {
        match std::mem::replace(&mut self.identification.check, Check::Running) {
            Check::Due(credentials) => Some(*credentials),
            check => {
                self.identification.check = check;
                None
            }
        }
    }

    /// Whether [`presented`](Self::presented) has something.
    pub(crate) fn has_presented(&self) -> bool {
        matches!(self.identification.check, Check::Due(_))
    }

    /// Whether the peer is known, or need not be: before, no handler is to run.
    pub(crate) fn is_admitted(&self) -> bool {
        self.identification.is_done()
    }

    /// Takes the outcome of a check.
    pub(crate) fn authenticated(
        &mut self,
        outcome: Result<Established, NotAuthenticated>,
        now: Instant,
    ) {
        self.identification.check = Check::None;
        if !self.is_open() {
            return;
        }
        match outcome {
            Ok(established) => self.establish(established, now),
            // What it has is valid still; when that ends, it is told so.
            Err(
                NotAuthenticated::Authenticate(AuthenticateError::Unavailable(_))
                | NotAuthenticated::Limit(_),
            ) if self.is_admitted() => {}
            Err(error) => self.turn_away(error.into(), now),
        }
    }

    /// Gives the connection an identity, the first or one in place of that before.
    fn establish(&mut self, established: Established, now: Instant) {
        let Some(waiting) = self.identification.waiting.take() else {
            self.refresh(established, now);
            // What the handler has asked for so far is decided anew with the rest.
            return self.apply_changes(now);
        };
        let agreed = self.admission.refresh(established).map_err(CloseCause::from);
        if let Some(shared) = &self.shared {
            shared.set_identity(self.admission.identity().cloned());
        }
        if let Err(cause) = agreed.and_then(|()| self.begin(*waiting, now)) {
            self.identification.is_refused = true;
            self.turn_away(cause, now);
        }
    }

    /// Puts an identity in place of the one before; what it may follow is yet to be decided.
    pub(super) fn refresh(&mut self, established: Established, now: Instant) {
        match self.admission.refresh(established) {
            Ok(()) => self.identification.is_undecided = true,
            Err(error) => self.turn_away(error.into(), now),
        }
    }

    /// Takes the identity that the handler has proved; what it may follow is yet to be decided.
    pub(super) fn adopt(&mut self, principal: Box<Principal>, now: Instant) {
        match self.admission.adopt(principal) {
            Ok(()) => self.identification.is_undecided = true,
            Err(error) => self.turn_away(error.into(), now),
        }
    }

    /// Takes a message that is about who the peer is; gives back any other.
    pub(super) fn identify(&mut self, message: Message, now: Instant) -> Option<Message> {
        if !self.identification.takes_tokens {
            return Some(message);
        }
        match message.as_text().and_then(Authentication::message) {
            // Before it is asked whose they are: that costs too.
            Some(_) if self.identification.is_done() && self.is_refreshed_too_fast(now) => {
                self.fail(CloseCause::TooFast, now);
                None
            }
            Some(credentials) => {
                self.identification.check = Check::Due(Box::new(credentials));
                None
            }
            None if self.identification.is_done() => Some(message),
            None => {
                add(&self.hub().counters().rejected, 1);
                let expected = r#"expected {"token":"…"} first"#;
                self.fail(CloseCause::Unauthenticated(expected.into()), now);
                None
            }
        }
    }

    /// Counts a refresh, and tells whether it comes too soon after others.
    pub(super) fn is_refreshed_too_fast(&mut self, now: Instant) -> bool {
        let rate = self.hub().config().limits.refreshes;
        self.pace.refresh(rate, now)
    }

    /// Closes a connection whose identity has ended.
    pub(super) fn check_identity(&mut self, cx: &Context<'_>, now: Instant) {
        let Some(principal) = self.admission.principal() else { return };
        match principal.poll_end(cx, now) {
            Poll::Ready(PrincipalEnd::Expired) => self.close_now(CloseCause::Expired, now),
            Poll::Ready(PrincipalEnd::Revoked(reason)) => {
                self.close_now(CloseCause::Revoked(reason), now);
            }
            Poll::Pending => {}
        }
    }

    /// When the identity, or the time to have one, ends.
    pub(super) fn identity_deadline(&self) -> Option<Instant> {
        let expires_at = self.admission.principal().and_then(Principal::expires_at);
        expires_at.into_iter().chain(self.identification.deadline()).min()
    }

    /// Does what is due at the [`identity_deadline`](Self::identity_deadline).
    pub(super) fn handle_identity_timeout(&mut self, now: Instant) {
        let expires_at = self.admission.principal().and_then(Principal::expires_at);
        if self.identification.deadline().is_some_and(|deadline| now >= deadline) {
            self.turn_away(CloseCause::AuthenticationDeadline, now);
        } else if expires_at.is_some_and(|at| now >= at) {
            self.close_now(CloseCause::Expired, now);
        }
    }

    /// Goes on as agreed on in the handshake, now that the peer is known.
    fn begin(&mut self, waiting: Waiting, now: Instant) -> Result<(), CloseCause> {
        let Waiting { subscribe, message_bytes, message_fragments, .. } = waiting;
        self.decoder = Decoder::new(message_bytes, message_fragments);
        self.subscription = self.admission.subscribe(subscribe, now)?;
        self.tell_ready();
        if let Some(shared) = &self.shared {
            shared.set_permission(self.admission.permission());
            shared.set_counts(Counts::of(&self.subscription));
        }
        Ok(())
    }

    /// Asks anew for the topics that the connection has, if its identity is another than before.
    pub(super) fn permit_again_if_due(&mut self, now: Instant) {
        // Once it is closing nothing is delivered any more.
        if !std::mem::take(&mut self.identification.is_undecided) || !self.is_open() {
            return;
        }
        if let Some(shared) = &self.shared {
            shared.set_identity(self.admission.identity().cloned());
        }
        let forbidden = self.set_permission(self.admission.permission());
        if let Some(topic) = forbidden.into_iter().next() {
            self.turn_away(SubscribeError::Forbidden { topic }.into(), now);
        }
    }

    fn turn_away(&mut self, cause: CloseCause, now: Instant) {
        add(&self.hub().counters().rejected, 1);
        self.close_now(cause, now);
    }

    /// Closes without what is queued.
    fn close_now(&mut self, cause: CloseCause, now: Instant) {
        if self.is_open() {
            self.close(cause, now);
            self.send_close_now();
        }
    }

    /// The hub that it is on.
    pub fn hub(&self) -> &Hub {
        self.admission.hub()
    }

    pub(crate) fn client_ip(&self) -> Option<ClientIp> {
        self.admission.client_ip()
    }
}

impl From<NotRefreshed> for CloseCause {
    fn from(error: NotRefreshed) -> Self {
        match error {
            NotRefreshed::OtherSubject => Self::Forbidden(error.to_string().into()),
            NotRefreshed::NotEstablished(NotEstablished::Revoked) => {
                Self::Revoked(error.to_string().into())
            }
            NotRefreshed::NotEstablished(NotEstablished::TooOld) => Self::AuthenticationUnavailable,
            NotRefreshed::NotEstablished(NotEstablished::Limit(limit)) => limit.into(),
        }
    }
}

impl From<NotAuthenticated> for CloseCause {
    fn from(error: NotAuthenticated) -> Self {
        match error {
            NotAuthenticated::Authenticate(error) => error.into(),
            NotAuthenticated::Limit(limit) => limit.into(),
        }
    }
}

impl From<AuthenticateError> for CloseCause {
    fn from(error: AuthenticateError) -> Self {
        match error {
            AuthenticateError::Invalid(reason) => Self::Unauthenticated((&*reason).into()),
            AuthenticateError::Unavailable(_) => Self::AuthenticationUnavailable,
        }
    }
}

impl From<LimitReached> for CloseCause {
    fn from(limit: LimitReached) -> Self {
        match limit {
            LimitReached::Checks { .. } => Self::TooManyChecks,
            _ => Self::TooManyConnections,
        }
    }
}

impl From<SubscribeError> for CloseCause {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::Table(_) => Self::Overloaded,
            SubscribeError::TooManyTopics { .. } => Self::TooManyTopics,
            SubscribeError::TooManyPatterns { .. } => Self::TooManyPatterns,
            error => Self::Forbidden(Rejection::from(error).line().into()),
        }
    }
}
