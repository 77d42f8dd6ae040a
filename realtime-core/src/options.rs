//! The options that the adapters' extractors pass on to core's requests: written once, so that they
//! have the same words in every framework.

/// The methods of a type with a field `request`, an [`sse::Request`](crate::sse::Request).
#[doc(hidden)]
#[macro_export]
macro_rules! sse_options {
    () => {
        $crate::connection_options!();

        /// Changes the configuration for this stream.
        #[must_use]
        pub fn configure(mut self, change: impl FnOnce(&mut $crate::SseConfig)) -> Self {
            self.request = self.request.configure(change);
            self
        }
    };
}

/// The methods of a type with a field `request`, a [`ws::Request`](crate::ws::Request).
#[doc(hidden)]
#[macro_export]
macro_rules! websocket_options {
    () => {
        $crate::connection_options!();

        /// Subscribes the connection. Default: to nothing. The id that the client sent, if it did,
        /// is resumed after.
        #[must_use]
        pub fn subscribe(mut self, request: impl Into<$crate::Subscribe>) -> Self {
            self.request = self.request.subscribe(request);
            self
        }

        /// How events look to this client. Default: [`Format::Envelope`]($crate::ws::Format).
        #[must_use]
        pub fn format(mut self, format: $crate::ws::Format) -> Self {
            self.request = self.request.format(format);
            self
        }

        /// Agrees on the first of the client's subprotocols that is in `supported`, if any is.
        #[must_use]
        pub fn protocols(mut self, supported: &[&str]) -> Self {
            self.request = self.request.protocols(supported);
            self
        }

        /// Changes the configuration for this connection.
        #[must_use]
        pub fn configure(mut self, change: impl FnOnce(&mut $crate::WebSocketConfig)) -> Self {
            self.request = self.request.configure(change);
            self
        }

        /// Changes the limits for this connection: those on messages, inbox and outbox.
        #[must_use]
        pub fn limits(mut self, change: impl FnOnce(&mut $crate::Limits)) -> Self {
            self.request = self.request.limits(change);
            self
        }
    };
}

/// The methods of both.
#[doc(hidden)]
#[macro_export]
macro_rules! connection_options {
    () => {
        /// The hub.
        pub fn hub(&self) -> &$crate::Hub {
            self.request.hub()
        }

        /// The client's address, as far as it is known; see
        /// [`TrustedProxies`]($crate::TrustedProxies).
        pub fn client_ip(&self) -> Option<$crate::ClientIp> {
            self.request.client_ip()
        }

        /// Whose connection it is, if that is known by now.
        pub fn identity(&self) -> Option<&$crate::Identity> {
            self.request.identity()
        }

        /// Gives the connection the identity that the application has found out by itself: for
        /// limits, permissions, expiry, and [`Hub::disconnect`]($crate::Hub::disconnect) from this
        /// call on. A revocation between the application's look at its data and this call is missed:
        /// where that look takes any time, use [`identify_since`](Self::identify_since).
        ///
        /// # Errors
        /// 429 when the identity has as many connections as it may, 401 when it has expired.
        pub fn identify(mut self, identity: $crate::Identity) -> Result<Self, $crate::Rejection> {
            self.request = self.request.identify(identity)?;
            Ok(self)
        }

        /// The same as [`identify`](Self::identify), and whoever was disconnected since `watch` began
        /// is refused. Let it begin with
        /// [`Hub::watch_revocations`]($crate::Hub::watch_revocations) before looking up who it is.
        ///
        /// # Errors
        /// 429 when the identity has as many connections as it may, 401 when it has expired or been
        /// revoked, 503 when so much was revoked meanwhile that nobody knows, 500 when `watch` is of
        /// another hub.
        pub fn identify_since(
            mut self,
            watch: $crate::RevocationWatch,
            identity: $crate::Identity,
        ) -> Result<Self, $crate::Rejection> {
            self.request = self.request.identify_since(watch, identity)?;
            Ok(self)
        }

        /// Has `call` called when the connection has ended, with the cause: once, whatever it ends by,
        /// a panic, a drain or the end of the runtime included, and not at all when there is none
        /// because the request is refused. A second call takes the place of the first.
        ///
        /// It runs as a part of what ends the connection and must not block; what has to wait is for
        /// a task of its own.
        #[must_use]
        pub fn on_close(
            mut self,
            call: impl FnOnce($crate::ws::CloseCause) + Send + 'static,
        ) -> Self {
            self.request = self.request.on_close(call);
            self
        }
    };
}
