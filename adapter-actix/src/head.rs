//! Core's view of a request's head.

use std::{future::Future, net::SocketAddr, pin::Pin};

use actix_web::{HttpRequest, http::Version, web};
use realtime_core::{HttpVersion, Hub, RequestHead};

use crate::response::Refused;

/// A request's head.
#[derive(Debug)]
pub(crate) struct Head<'a>(pub(crate) &'a HttpRequest);

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn version(&self) -> HttpVersion {
        match self.0.version() {
            Version::HTTP_09 | Version::HTTP_10 => HttpVersion::Http10,
            Version::HTTP_2 => HttpVersion::Http2,
            Version::HTTP_3 => HttpVersion::Http3,
            _ => HttpVersion::Http11,
        }
    }

    fn query(&self) -> Option<&str> {
        self.0.uri().query()
    }

    fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.headers().get_all(name).map(|value| value.as_bytes())
    }

    fn authority(&self) -> Option<&[u8]> {
        let of_uri = self.0.uri().authority().map(|authority| authority.as_str().as_bytes());
        of_uri.or_else(|| self.header("host"))
    }

    fn scheme(&self) -> Option<&str> {
        Some(if self.0.app_config().secure() { "https" } else { "http" })
    }

    fn bytes(&self) -> usize {
        let headers = self.0.headers().iter();
        let headers = headers.map(|(name, value)| name.as_str().len() + value.len());
        headers.sum::<usize>() + self.query().map_or(0, str::len)
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.0.peer_addr()
    }
}

/// What an extractor awaits.
pub(crate) type LocalBoxFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// The hub in the app's data.
pub(crate) fn hub(request: &HttpRequest) -> Result<&Hub, Refused> {
    let shared = request.app_data::<web::Data<Hub>>().map(|data| data.get_ref());
    shared.or_else(|| request.app_data::<Hub>()).ok_or_else(|| {
        Refused::new(500, "the app has no hub: add `.app_data(web::Data::new(hub))`")
    })
}
