//! The client side of Server-Sent Events.

mod client;
mod parser;
mod utf8;
mod vectors;

pub use client::Client;
pub use parser::{Event, Parser};
pub use vectors::{
    EncodeInput, EncodeVector, ExpectedData, ExpectedEvent, Outcome, ParseVector, Vectors, vectors,
};
