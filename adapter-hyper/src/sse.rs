//! The Server-Sent Events side.

use std::future::Future;

use http::{Request, Response, request::Parts};
use realtime_core::{Hub, Subscribe, driver, driver::Admitting, sse};

use crate::{
    head::Head,
    response::{Body, Refused, event_stream},
};

/// A request for an event stream that has been let in.
#[derive(Debug)]
pub struct Sse {
    request: sse::Request,
}

impl Sse {
    /// Lets a request in, or refuses it.
    ///
    /// # Errors
    /// [`Refused`]; see [`driver::accept_event_stream`].
    ///
    /// # Cancel safety
    /// Dropping this refuses the request.
    pub fn from_request<B>(
        hub: &Hub,
        request: &Request<B>,
    ) -> impl Future<Output = Result<Self, Refused>> + Send + use<B> {
        Self::new(driver::accept_event_stream(hub, &Head::of_request(request)))
    }

    /// The same from the parts of a request.
    ///
    /// # Errors
    /// [`Refused`]; see [`driver::accept_event_stream`].
    ///
    /// # Cancel safety
    /// Dropping this refuses the request.
    pub fn from_parts(
        hub: &Hub,
        parts: &Parts,
    ) -> impl Future<Output = Result<Self, Refused>> + Send + use<> {
        Self::new(driver::accept_event_stream(hub, &Head::of_parts(parts)))
    }

    realtime_core::sse_options!();

    /// Answers with the stream of a topic, of several, or as a [`Subscribe`] says.
    ///
    /// # Errors
    /// [`Refused`]: 400 for topics or patterns that are not valid or too many, 403 for a topic that is
    /// not permitted, 503 when the hub's table is full.
    pub fn stream(self, request: impl Into<Subscribe>) -> Result<Response<Body>, Refused> {
        let (answer, body) = driver::Body::open(self.request, request)?;
        Ok(event_stream(&answer, body))
    }

    async fn new(admitting: Admitting<sse::Request>) -> Result<Self, Refused> {
        Ok(Self { request: admitting.await? })
    }
}
