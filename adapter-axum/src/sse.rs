//! The Server-Sent Events side.

use axum::{
    body::Body,
    extract::{FromRef, FromRequestParts},
    response::Response,
};
use http::request::Parts;
use realtime_core::{Hub, Subscribe};

use crate::{head::note_peer, response::Refused};

/// A request for an event stream that has been let in; an extractor.
///
/// # Cancel safety
/// A framework that drops the extraction, as it does when the client has gone, refuses the request.
#[derive(Debug)]
pub struct Sse {
    request: realtime_hyper::Sse,
}

impl<S> FromRequestParts<S> for Sse
where
    Hub: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        note_peer(parts);
        let request = realtime_hyper::Sse::from_parts(&Hub::from_ref(state), parts).await?;
        Ok(Self { request })
    }
}

impl Sse {
    realtime_core::sse_options!();

    /// Answers with the stream of a topic, of several, or as a [`Subscribe`] says.
    ///
    /// # Errors
    /// [`Refused`]: 400 for topics or patterns that are not valid or too many, 403 for a topic that is
    /// not permitted, 503 when the hub's table is full.
    pub fn stream(self, request: impl Into<Subscribe>) -> Result<Response, Refused> {
        Ok(self.request.stream(request)?.map(Body::new))
    }
}
