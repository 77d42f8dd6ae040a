//! The engine against real servers: the one that Debian ships, and a current one.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "test code")]

/// Has each of these functions be a test on either server.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod shipped {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(realtime_testkit::servers::NatsBinary::Shipped).await;
                }
            )+
        }

        mod current {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(realtime_testkit::servers::NatsBinary::Current).await;
                }
            )+
        }
    };
}

mod access;
mod foreign;
mod history;
mod instance;
mod live;
mod restarts;
