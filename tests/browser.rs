//! The examples in a real browser: headless Chromium, driven by chromedriver.
//!
//! `cargo xtask test` gets both programs and builds the examples. By hand:
//!
//! ```sh
//! cargo build --examples --all-features && cargo test --features full --test browser
//! ```
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: a broken expectation ends the test"
)]

mod browser {
    pub(crate) mod auth_cookie;
    pub(crate) mod auth_token;
    pub(crate) mod chat;
    pub(crate) mod cross_site;
    pub(crate) mod firehose;
    pub(crate) mod jobs;
    pub(crate) mod origin;
    pub(crate) mod page;
    pub(crate) mod resume;

    mod chromium;
    mod folder;
    mod server;
}

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use browser::{chat, firehose, jobs, origin, page, resume};
use tokio::{runtime, time::timeout};

/// What the examples serve with.
#[derive(Clone, Copy, Debug)]
enum Adapter {
    Axum,
    Actix,
    Hyper,
}

impl Adapter {
    fn name(self) -> &'static str {
        match self {
            Self::Axum => "axum",
            Self::Actix => "actix",
            Self::Hyper => "hyper",
        }
    }

    /// Held by a test with this adapter, since each starts a Chromium of its own.
    fn turn(self) -> &'static Mutex<()> {
        static TURNS: [Mutex<()>; 3] = [const { Mutex::new(()) }; 3];
        &TURNS[self as usize]
    }
}

/// Above every wait of a test together; ends one whose browser hangs.
const TEST_LIMIT: Duration = Duration::from_secs(60);

fn run(adapter: Adapter, test: impl AsyncFnOnce(Adapter)) {
    let _turn = adapter.turn().lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = runtime.block_on(async { timeout(TEST_LIMIT, test(adapter)).await });
    ended.unwrap_or_else(|_| panic!("not done after {TEST_LIMIT:?}"));
}

/// Makes each case a `#[test]` for each adapter.
macro_rules! tests {
    ($($module:ident::$case:ident,)*) => {$(
        mod $case {
            use super::{Adapter, $module, run};

            #[test]
            fn axum() {
                run(Adapter::Axum, $module::$case);
            }

            #[test]
            fn actix() {
                run(Adapter::Actix, $module::$case);
            }

            #[test]
            fn hyper() {
                run(Adapter::Hyper, $module::$case);
            }
        }
    )*};
}

tests! {
    page::all_panels_are_live,
    chat::tabs_talk_and_refusals_are_shown,
    jobs::jobs_end_with_the_digest_of_the_files,
    firehose::a_frozen_tab_stops_and_catches_up,
    resume::every_event_comes_once_through_cuts,
    origin::only_its_own_origin_opens_a_websocket,
}

/// Makes each case, of an example that is written for axum alone, a `#[test]`.
macro_rules! axum_tests {
    ($($module:ident { $($case:ident,)* })*) => {$(
        mod $module {
            use super::{Adapter, browser, run};

            $(
                #[test]
                fn $case() {
                    run(Adapter::Axum, async |_| browser::$module::$case().await);
                }
            )*
        }
    )*};
}

axum_tests! {
    auth_cookie {
        who_logs_in_gets_events_and_chats,
        a_logout_closes_every_tab,
    }
    auth_token {
        both_ways_connect_and_refreshes_keep_them_open,
        without_refresh_the_connection_ends_with_the_token,
        a_refresh_as_somebody_else_is_refused,
        an_event_stream_takes_the_token_in_a_header,
    }
    cross_site {
        another_port_of_the_host_gets_nothing_by_the_cookie,
        another_name_of_the_host_gets_nothing,
        a_sandboxed_frame_gets_nothing,
    }
}
