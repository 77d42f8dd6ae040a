//! realtime between instances by way of Redis or Valkey.
#![forbid(unsafe_code)]
