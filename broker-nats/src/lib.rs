//! realtime between instances by way of NATS JetStream.
#![forbid(unsafe_code)]
