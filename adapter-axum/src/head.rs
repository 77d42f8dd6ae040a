//! Core's view of a request's head: hyper's, plus what axum knows of the peer.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use http::request::Parts;
use realtime_hyper::PeerAddr;

/// Tells hyper's view the peer's address, if the service was made with connect info.
pub(crate) fn note_peer(parts: &mut Parts) {
    if let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>().copied() {
        parts.extensions.insert(PeerAddr(peer));
    }
}
