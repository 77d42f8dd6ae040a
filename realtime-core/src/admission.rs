//! Letting a request in: limits, origin, credentials, in this order, before anything is allocated
//! for it.

use std::{sync::Arc, time::Instant};

use crate::{
    auth::{Action, AuthenticateError, Authorize, CredentialSource, Credentials, Identity},
    client_ip::ClientIp,
    close::{CloseCause, OnClose},
    drain::Guard,
    head::RequestHead,
    hub::Hub,
    limits::Transport,
    permits::{LimitReached, NotEstablished, Permit, Principal, RevocationWatch},
    rejection::Rejection,
    stats::add,
    subscription::{Permission, Subscribe, SubscribeError, Subscription},
    topic::TopicName,
};

/// A request that has been let in, but for the check of what it presents.
#[derive(Debug)]
#[must_use = "use `driver::accept_event_stream` or `driver::accept_websocket`"]
pub struct Candidate<R> {
    pub(crate) request: R,
    pub(crate) credentials: Option<Credentials>,
}

impl<R> Candidate<R> {
    /// The request, if it presents nothing that has to be checked.
    ///
    /// # Errors
    /// The candidate as it was.
    pub fn anonymous(self) -> Result<R, Self> {
        if self.credentials.is_some() { Err(self) } else { Ok(self.request) }
    }
}

/// A request of either transport.
pub(crate) trait Admits {
    fn admission(&mut self) -> &mut Admission;

    /// The refusal as this client understands it.
    fn refusal(&self, rejection: Rejection) -> Rejection;

    /// Gives the request its identity, or refuses it.
    fn established(
        mut self,
        outcome: Result<Established, NotAuthenticated>,
    ) -> Result<Self, Rejection>
    where
        Self: Sized,
    {
        let admission = self.admission();
        let established = outcome
            .map_err(Rejection::from)
            .and_then(|established| Ok(admission.establish(established)?));
        match established {
            Ok(()) => Ok(self),
            Err(rejection) => {
                add(&admission.hub.counters().rejected, 1);
                Err(self.refusal(rejection))
            }
        }
    }
}

impl Hub {
    /// Remembers who is disconnected from here on, for [`identify_since`](crate::ws::Request::identify_since):
    /// to be called before an application looks up whose a request is.
    pub fn watch_revocations(&self) -> RevocationWatch {
        self.permits().watch()
    }
}

/// What a request, and then the connection, holds while it is in.
#[derive(Debug)]
pub(crate) struct Admission {
    hub: Hub,
    principal: Option<Box<Principal>>,
    permit: Permit,
    /// Last, so that it is called when the rest has been given back.
    on_close: Option<Box<OnClose>>,
}

/// What a request presents to prove who it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Presents {
    /// Nothing, and need not.
    Nothing,
    /// Nothing yet: its first message is to.
    FirstMessage,
    /// This.
    Credentials(Credentials),
}

impl Admission {
    /// Lets a request in up to the check of what it presents, which is the caller's next thing to do.
    pub(crate) fn begin(
        hub: &Hub,
        head: &impl RequestHead,
        transport: Transport,
        now: Instant,
    ) -> Result<(Self, Presents), Rejection> {
        let config = hub.config();
        let (bytes, max) = (head.bytes(), config.limits.header_bytes);
        if bytes > max {
            let line = format!("the request's head has {bytes} bytes, and {max} are allowed");
            return Err(Rejection::new(431, line));
        }
        let client = config.trusted_proxies.client(head)?;
        let permit = hub.admit(transport, client.ip, now)?;
        let is_websocket = transport == Transport::WebSocket;
        let presents = presents(hub, head, is_websocket);
        let by_cookie = matches!(
            &presents,
            Ok(Presents::Credentials(Credentials { source: CredentialSource::Cookie, .. }))
        );
        if is_websocket {
            config.origin.check_websocket(head, &client.site, by_cookie)?;
        } else if by_cookie {
            config.origin.check_event_stream(head, &client.site, by_cookie)?;
        }
        Ok((Self::with(hub, permit), presents?))
    }

    /// An admission with a permit and without an identity.
    pub(crate) fn with(hub: &Hub, permit: Permit) -> Self {
        Self { hub: hub.clone(), principal: None, permit, on_close: None }
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn client_ip(&self) -> Option<ClientIp> {
        self.permit.client()
    }

    /// Has `call` called when the connection has ended, in place of what was to be.
    pub(crate) fn on_close(&mut self, call: impl FnOnce(CloseCause) + Send + 'static) {
        self.on_close = Some(Box::new(OnClose::new(call)));
    }

    /// Takes word that there is a connection.
    pub(crate) fn opened(&mut self) {
        if let Some(on_close) = &mut self.on_close {
            on_close.opened();
        }
    }

    /// Takes word of why the connection ends.
    pub(crate) fn ended(&mut self, cause: impl FnOnce() -> CloseCause) {
        if let Some(on_close) = &mut self.on_close {
            on_close.ended(cause());
        }
    }

    /// Why a connection ends that is given up because nobody takes what it gives.
    pub(crate) fn given_up(&self, is_lagging: bool) -> CloseCause {
        if self.guard().is_cut() {
            CloseCause::Draining { retry: self.hub.config().drain.retry }
        } else if is_lagging {
            add(&self.hub.counters().slow_disconnects, 1);
            CloseCause::SlowConsumer
        } else {
            CloseCause::WriteDeadline
        }
    }

    /// The connection's part in a drain.
    pub(crate) fn guard(&self) -> &Guard {
        self.permit.guard()
    }

    /// The connection's part in a drain.
    pub(crate) fn guard_mut(&mut self) -> &mut Guard {
        self.permit.guard_mut()
    }

    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.principal.as_deref().map(Principal::identity)
    }

    pub(crate) fn principal(&self) -> Option<&Principal> {
        self.principal.as_deref()
    }

    /// Subscribes to what the connection's identity may have.
    pub(crate) fn subscribe(
        &self,
        request: Subscribe,
        now: Instant,
    ) -> Result<Subscription, SubscribeError> {
        self.hub.subscribe_at(request.permitted(self.permission()), now)
    }

    /// What the connection's identity may subscribe to.
    pub(crate) fn permission(&self) -> Option<Permission> {
        permission(&self.hub, self.identity())
    }

    /// Gives the connection an identity, in place of the one that it had.
    pub(crate) fn establish(&mut self, established: Established) -> Result<(), NotEstablished> {
        if self.principal().is_some_and(Principal::is_revoked) {
            return Err(NotEstablished::Revoked);
        }
        // The place of the one before is free for the new one.
        self.principal = None;
        self.principal = Some(Box::new(established.principal(&self.hub)?));
        Ok(())
    }

    /// Takes an identity that has its place already, in place of the one before, which must be of the
    /// same subject if there is one.
    pub(crate) fn adopt(&mut self, principal: Box<Principal>) -> Result<(), NotRefreshed> {
        match &self.principal {
            Some(before) if before.identity().subject() != principal.identity().subject() => {
                Err(NotRefreshed::OtherSubject)
            }
            // Revoked stays revoked.
            Some(before) if before.is_revoked() => Ok(()),
            _ => {
                self.principal = Some(principal);
                Ok(())
            }
        }
    }

    /// Puts an identity in place of the one before, which must be of the same subject if there is one.
    pub(crate) fn refresh(&mut self, established: Established) -> Result<(), NotRefreshed> {
        let Established { identity, expires_at, .. } = &established;
        match &mut self.principal {
            Some(principal) if principal.identity().subject() == identity.subject() => {
                principal.refresh(identity.clone(), *expires_at);
                Ok(())
            }
            Some(_) => Err(NotRefreshed::OtherSubject),
            None => Ok(self.establish(established)?),
        }
    }
}

/// An identity that has been found out.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) identity: Identity,
    /// When it expires.
    pub(crate) expires_at: Option<Instant>,
    /// Sees to it that it has not been revoked meanwhile.
    pub(crate) watch: RevocationWatch,
}

impl Established {
    /// Gives the identity its place, unless it has as many as it may or has been revoked meanwhile.
    pub(crate) fn principal(self, hub: &Hub) -> Result<Principal, NotEstablished> {
        let max = hub.config().limits.connections_per_subject;
        let permit = self.watch.establish(self.identity.subject(), max)?;
        Ok(Principal::new(self.identity, self.expires_at, permit))
    }
}

/// Why an identity has not been found out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAuthenticated {
    #[error(transparent)]
    Authenticate(#[from] AuthenticateError),
    /// Its turn to be checked has not come.
    #[error(transparent)]
    Limit(#[from] LimitReached),
}

impl From<NotAuthenticated> for Rejection {
    fn from(error: NotAuthenticated) -> Self {
        match error {
            NotAuthenticated::Authenticate(error) => error.into(),
            NotAuthenticated::Limit(limit) => limit.into(),
        }
    }
}

/// Why a connection keeps the identity that it has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotRefreshed {
    #[error("the subject must stay the same")]
    OtherSubject,
    #[error(transparent)]
    NotEstablished(#[from] NotEstablished),
}

impl From<NotEstablished> for Rejection {
    fn from(error: NotEstablished) -> Self {
        match error {
            NotEstablished::Revoked => AuthenticateError::invalid(error.to_string()).into(),
            NotEstablished::TooOld => AuthenticateError::unavailable(error).into(),
            NotEstablished::Limit(limit) => limit.into(),
        }
    }
}

/// What `identity` may subscribe to.
pub(crate) fn permission(hub: &Hub, identity: Option<&Identity>) -> Option<Permission> {
    let authorize = hub.config().authorize.clone()?;
    let identity = identity.cloned();
    Some(Arc::new(move |topic: &TopicName| {
        authorize.authorize(identity.as_ref(), Action::Subscribe, topic)
    }))
}

fn presents(hub: &Hub, head: &impl RequestHead, is_websocket: bool) -> Result<Presents, Rejection> {
    let Some(authentication) = &hub.config().authentication else { return Ok(Presents::Nothing) };
    match authentication.presented(head, is_websocket)? {
        Some(credentials) => Ok(Presents::Credentials(credentials)),
        None if authentication.optional => Ok(Presents::Nothing),
        None if is_websocket && authentication.first_message.is_some() => {
            Ok(Presents::FirstMessage)
        }
        // RFC 6750 §3: without credentials, no error code.
        None => Err(Rejection::new(401, "credentials are missing")
            .with_header("www-authenticate", "Bearer")),
    }
}
