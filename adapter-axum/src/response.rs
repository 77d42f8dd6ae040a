//! Core's answers as axum's responses.

use std::fmt;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use realtime_core::Rejection;

/// A refusal, on its way to becoming a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub(crate) realtime_hyper::Refused);

impl Refused {
    /// A refusal with a status and one line of plain text.
    pub fn new(status: u16, line: impl AsRef<str>) -> Self {
        Self(realtime_hyper::Refused::new(status, line))
    }
}

impl From<realtime_hyper::Refused> for Refused {
    fn from(refused: realtime_hyper::Refused) -> Self {
        Self(refused)
    }
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self(rejection.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.0.into_response().map(Body::new)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Refused {}
