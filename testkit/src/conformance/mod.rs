//! One suite for every adapter: a real server on a free port, scripted clients.
//!
//! An adapter joins with one test file, which says how to start its server with a given hub and
//! with the routes of the table, written as its users write them, and then names the suite:
//!
//! ```text
//! fn start(hub: Hub) -> Server {
//!     Server::on_tokio(async move |listener, stop| { /* serve until `stop` is ready */ })
//! }
//!
//! realtime_testkit::conformance_tests!(start);
//! ```
//!
//! | route | answer |
//! |---|---|
//! | `/events` | `sse.stream(routes::subscribe(query))` |
//! | `/ws` | `upgrade.stream(routes::subscribe(query))` |
//! | `/raw` | the same with `format(Format::Raw)` |
//! | `/echo` | `upgrade.protocols(&["echo.example"]).run(routes::echo)` |
//! | `/chat` | `upgrade.subscribe("chat")`, and a handler that publishes to it what it receives |
//! | `/topics` | `upgrade.run(routes::topics)` |
//! | `/whoami` | `upgrade.run(routes::whoami)` |
//! | `/identified` | `upgrade.identify(routes::identity(query))` and then the same |
//! | `/mine` | `sse.stream(..)` of `routes::topic_of` the identity, or 403 without one |
//! | `/mine-identified` | `sse.identify(routes::identity(query))` and then the same |
//! | `/refresh` | `upgrade.run(routes::refresh)` |
//! | `/publish` | `upgrade.run(routes::publish)` |
//! | `/done`, `/error`, `/panic`, `/close4404` | `upgrade.run(routes::done)` and so on |
//! | `/ended` | `sse.on_close(routes::on_close(query)).stream(routes::subscribe(query))` |
//! | `/ended-ws` | `upgrade.on_close(..)` of the same, `subscribe(routes::subscribe(query))`, and `routes::commands` as the handler |
//! | `/attached` | the framework's own handshake, then `attach(..)`, `subscribe(routes::subscribe(query))`, and `routes::commands` as the handler |
//!
//! `/events` and `/echo` are there for any method, so that ours is the one that refuses it. A case is a function in the file of its concept and one name in the list below;
//! with that, every adapter has it.

pub mod attach;
pub mod authentication;
pub mod capacity;
pub mod chat;
pub mod closing;
pub mod drain;
pub mod first_message;
pub mod flood;
pub mod frames;
pub mod handshake;
pub mod heads;
pub mod hostile;
pub mod https;
pub mod leaks;
pub mod limits;
pub mod liveness;
pub mod messages;
pub mod on_close;
pub mod origin;
pub mod overflow;
pub mod permission;
pub mod proxies;
pub mod refresh;
pub mod release;
pub mod resume;
pub mod rolling_restart;
pub mod routes;
pub mod secrets;
pub mod sockets;
pub mod stalled;
pub mod storm;
pub mod streams;
pub mod tokens;
pub mod topics;
pub mod unix_sockets;
pub mod vanished;

mod endings;
mod identity;
mod lagging;
mod recorder;
mod served;
mod server;
mod shared_log;

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

use realtime_core::{Hub, HubBuilder};

use crate::hosts::Host;

pub use served::Served;
pub use server::{Server, Stop};

/// Every case as a `#[test]` of its own, against the server that the function `$start` starts: a
/// `fn(Hub) -> Server`.
#[macro_export]
macro_rules! conformance_tests {
    ($start:ident) => {
        $crate::conformance_tests! { @rooms $start, run,
            attach: [
                delivers_and_echoes,
                closes_as_the_handler_ends,
                answers_the_clients_close,
                counts_and_releases,
            ],
            authentication: [
                takes_a_bearer_token,
                takes_a_cookie,
                takes_a_query_parameter_when_told_to,
                takes_a_token_as_subprotocol,
                ignores_cookie_and_query_when_not_told_to,
                never_echoes_the_token,
                takes_the_first_of_several,
                refuses_who_presents_nothing,
                refuses_malformed_credentials,
                refuses_tokens_that_are_not_good,
                tells_to_come_back_when_it_cannot_check,
                lets_go_of_who_leaves_during_the_check,
                checks_so_many_at_once,
                checks_others_while_one_address_keeps_it_busy,
                lets_in_nobody_where_it_is_optional,
                believes_the_handler,
                knows_one_identity_from_two_addresses,
            ],
            capacity: [
                tells_clients_to_come_back,
                lets_in_again_what_was_released,
                tells_an_event_source_to_come_back,
                refuses_bad_topics,
                refuses_too_many_topics,
                refuses_too_many_patterns,
                refuses_what_a_pattern_matches_too_much_of,
                refuses_ten_thousand_topics,
            ],
            chat: [reaches_every_member_on_both_transports, is_not_held_back],
            closing: [
                echoes_the_clients_code_and_closes_tcp,
                closes_when_the_handler_is_done,
                closes_with_the_handlers_code,
                tells_a_failed_handler,
                outlives_a_panicking_handler,
                gives_up_on_a_close_without_an_answer,
            ],
            drain: [
                ends_every_connection_and_the_server,
                cuts_who_stays,
                refuses_who_comes,
                sends_clients_away_at_a_rate,
            ],
            first_message: [
                lets_in_by_the_first_message,
                is_no_need_after_a_header,
                has_to_come_in_time,
                has_to_be_first,
                has_to_be_good,
                may_not_be_long,
                may_come_in_pieces,
                is_before_those_behind_it,
                may_come_again,
                is_optional_where_told_so,
                lets_go_of_who_leaves_during_the_check,
                identity_ends_when_it_expires,
                identity_lasts_as_the_refresh_says,
                identity_ends_when_it_is_revoked,
                identity_is_not_let_in_once_revoked,
                is_not_kept_waiting_by_another_address,
            ],
            flood: [
                leaves_a_slow_but_steady_reader_alone,
                keeps_one_pong_for_a_client_that_does_not_read,
                keeps_one_pong_behind_events_that_are_not_read,
                cuts_a_client_that_takes_nothing,
            ],
            frames: [
                puts_fragments_together_around_control_frames,
                reads_one_byte_at_a_time,
                reads_a_frame_in_the_handshakes_segment,
                carries_every_form_of_length,
            ],
            handshake: [
                accepts_with_the_right_key,
                takes_or_refuses_a_choice_of_protocols,
                agrees_on_a_subprotocol,
                refuses_every_method_but_get,
                refuses_http_1_0,
                refuses_no_host_and_two,
                asks_for_an_upgrade,
                names_its_version,
                refuses_bad_keys,
                refuses_a_body,
            ],
            heads: [
                refuses_a_header_section_that_is_too_large,
                cuts_a_client_that_sends_nothing,
                cuts_a_head_that_comes_slowly,
            ],
            hostile: [
                refuses_a_claimed_size_at_the_header,
                refuses_a_message_that_grows_too_big,
                refuses_too_many_fragments,
                refuses_text_that_is_no_utf_8,
                refuses_broken_frames,
                refuses_broken_close_frames,
            ],
            limits: [
                hold_connections_of_an_address,
                hold_connections_of_an_identity,
                hold_handshakes_of_an_address,
                hold_against_a_flood_of_connections,
                hold_messages,
                hold_bytes,
                hold_bytes_of_a_head,
                hold_refreshes,
            ],
            liveness: [
                answers_pings_with_their_payload,
                takes_a_pong_that_nobody_asked_for,
                pings_a_silent_client,
                ends_a_connection_without_a_pong,
                sends_heartbeats_on_a_silent_stream,
            ],
            messages: [
                match_the_golden_messages,
                carry_raw_data,
            ],
            on_close: [
                tells_how_clients_went,
                tells_what_handlers_did,
                tells_of_slow_clients,
                tells_of_what_was_revoked_or_expired,
                tells_of_what_lasted_too_long,
                tells_of_a_drain,
                tells_of_who_is_cut_by_a_drain,
                tells_of_requests_that_are_aborted,
            ],
            origin: [
                refuses_other_origins,
                lets_in_the_same_origin,
                lets_in_the_origins_of_the_list,
                lets_in_any_origin_when_told_so,
                refuses_spoofed_origins,
                wants_to_know_where_a_cookie_comes_from,
                lets_tokens_in_without_an_origin,
                tells_browsers_who_may_read,
                answers_preflights,
            ],
            overflow: [
                disconnect_ends_a_stream_that_then_resumes,
                disconnect_closes_a_websocket_that_then_resumes,
                drop_oldest_on_a_stream,
                drop_oldest_on_a_websocket,
                drop_newest_on_a_stream,
                drop_newest_on_a_websocket,
                conflate_on_a_stream,
                conflate_on_a_websocket,
            ],
            permission: [
                to_publish,
                to_publish_follows_the_identity,
                to_subscribe,
                to_subscribe_after_the_first_message,
                to_subscribe_by_the_handler,
                to_subscribe_is_decided_again_on_refresh,
                to_follow_a_pattern,
                to_follow_a_pattern_is_decided_again_on_refresh,
                to_follow_a_pattern_is_not_had_by_name,
                to_follow_a_pattern_is_asked_before_it_counts,
            ],
            proxies: [
                are_not_believed_when_not_listed,
                are_believed_who_the_client_is,
                are_believed_what_the_site_is,
                may_not_contradict_themselves,
            ],
            refresh: [
                puts_the_end_off,
                counts_as_one_of_the_identity,
                ends_when_it_is_revoked,
            ],
            release: [
                after_fin_of_an_idle_client,
                after_reset_of_an_idle_client,
                after_fin_in_the_middle_of_a_stream,
                after_reset_in_the_middle_of_a_stream,
                after_reset_of_a_client_that_did_not_read,
                after_fin_of_a_client_that_did_not_read,
                after_a_handler_was_cut,
            ],
            resume: [
                a_stream_by_header_and_by_query,
                a_stream_that_was_cut_before_its_first_event,
                a_websocket_by_query,
                resets_a_stream_with_a_fresh_id,
                resets_a_stream_whose_events_were_evicted,
                resets_a_websocket_with_a_fresh_id,
            ],
            rolling_restart: [loses_nothing_with_a_shared_log, tells_what_ends_with_the_process],
            stalled: [
                cuts_a_stream_read_a_byte_a_second,
                cuts_a_websocket_read_a_byte_a_second,
                gives_back_a_stream_read_a_byte_a_second,
                gives_back_what_a_stream_holds,
                gives_back_what_a_websocket_holds,
                cuts_a_stream_that_takes_nothing,
                leaves_a_slow_but_steady_stream_alone,
            ],
            streams: [
                start_with_their_bytes_before_any_event,
                match_the_golden_bytes,
                match_the_golden_head,
                refuse_every_method_but_get,
            ],
            tokens: [
                that_are_good_get_in,
                that_are_not_good_do_not,
                are_good_for_their_time,
            ],
            topics: [
                come_in_the_order_of_publishing,
                are_added_and_removed_by_the_handler,
            ],
        }
        $crate::conformance_tests! { @rooms $start, run_alone,
            leaks: [of_handshakes_there_are_none],
            secrets: [appear_nowhere, appear_nowhere_of_ours_on_attached_sockets],
            storm: [leaves_nothing_behind],
            vanished: [
                ends_idle_websockets_by_the_pong_deadline,
                ends_websockets_by_the_write_deadline,
                ends_idle_streams_by_their_heartbeat,
                ends_streams_by_the_write_deadline,
                gives_back_streams_by_the_stall_deadline,
            ],
        }
    };
    (@rooms $start:ident, $run:ident, $($room:ident: [$($case:ident),* $(,)?]),* $(,)?) => {$(
        mod $room {
            use super::$start;

            $(
                #[test]
                fn $case() {
                    $crate::conformance::$run($start, $crate::conformance::$room::$case);
                }
            )*
        }
    )*};
}

/// The cases that are only for a server behind a Unix socket: `$start` makes it by
/// [`Server::on_unix_socket`], with the same routes.
#[macro_export]
macro_rules! unix_socket_tests {
    ($start:ident) => {
        $crate::conformance_tests! { @rooms $start, run,
            limits: [hold_not_what_has_no_address],
            unix_sockets: [are_not_believed_unasked, are_believed_when_told_so],
        }
    };
}

/// The cases that are only for a server which is dropped with its runtime when it is to stop, whatever it
/// has, and drains nothing.
#[macro_export]
macro_rules! dropped_server_tests {
    ($start:ident) => {
        $crate::conformance_tests! { @rooms $start, run,
            on_close: [tells_of_a_server_that_is_dropped],
        }
    };
}

/// The cases that are only for a server which asks the hub for each connection that it accepts, as our
/// `serve` helpers do.
#[macro_export]
macro_rules! socket_limit_tests {
    ($start:ident) => {
        $crate::conformance_tests! { @rooms $start, run,
            sockets: [
                of_an_address_are_so_many,
                of_a_proxy_are_limited_in_all,
                that_are_websockets_count_as_such,
            ],
        }
    };
}

/// The cases that are only for a server whose every request came by TLS that ended in the server
/// itself, as far as the adapter can tell.
#[macro_export]
macro_rules! https_tests {
    ($start:ident) => {
        $crate::conformance_tests! { @rooms $start, run,
            https: [is_the_origins_scheme],
        }
    };
}

/// How a case gets its server.
#[derive(Clone, Copy, Debug)]
pub struct Suite {
    start: fn(Hub) -> Server,
}

impl Suite {
    /// A server with a hub of the default configuration.
    pub fn start(&self) -> Served {
        self.start_with(|hub| hub)
    }

    /// A server with a hub that `configure` has changed.
    ///
    /// # Panics
    ///
    /// When the configuration is not valid.
    pub fn start_with(&self, configure: impl FnOnce(HubBuilder) -> HubBuilder) -> Served {
        Self::start_by(self.start, configure)
    }

    /// The same on another host.
    pub(crate) fn start_at(
        &self,
        host: Host,
        configure: impl FnOnce(HubBuilder) -> HubBuilder,
    ) -> Served {
        let start = self.start;
        let at = |hub| host.run(|| server::listening_at(host.ip(), || start(hub)));
        Self::start_by(at, configure)
    }

    fn start_by(
        start: impl FnOnce(Hub) -> Server,
        configure: impl FnOnce(HubBuilder) -> HubBuilder,
    ) -> Served {
        // What a case has left open is not to be waited for.
        let hub = Hub::builder().drain(|drain| drain.deadline = Duration::ZERO);
        let hub = configure(hub).build().expect("a valid configuration");
        Served::new(start(hub.clone()), hub)
    }
}

/// Runs one case.
pub fn run<F: Future<Output = ()>>(start: fn(Hub) -> Server, case: impl FnOnce(Suite) -> F) {
    let _shared = ALONE.read().unwrap_or_else(PoisonError::into_inner);
    play(start, case);
}

/// Runs one case while no other runs in this process.
pub fn run_alone<F: Future<Output = ()>>(start: fn(Hub) -> Server, case: impl FnOnce(Suite) -> F) {
    let _alone = ALONE.write().unwrap_or_else(PoisonError::into_inner);
    play(start, case);
}

fn play<F: Future<Output = ()>>(start: fn(Hub) -> Server, case: impl FnOnce(Suite) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(case(Suite { start }));
}

/// Held for writing by a case that counts what the whole process has open.
static ALONE: RwLock<()> = RwLock::new(());
