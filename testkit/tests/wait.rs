//! Polling with a deadline.

#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use common::panic_of;
use realtime_testkit::wait;

#[tokio::test(start_paused = true)]
async fn polls_until_the_condition_holds() {
    let mut polls = 0;
    wait::until("three polls", || {
        polls += 1;
        polls == 3
    })
    .await;
    assert_eq!(polls, 3);
}

#[tokio::test(start_paused = true)]
async fn sees_what_another_task_does() {
    let count = Arc::new(AtomicUsize::new(0));
    let writer = Arc::clone(&count);
    tokio::spawn(async move { writer.store(7, Ordering::SeqCst) });
    wait::until_async("the other task", async || {
        tokio::task::yield_now().await;
        count.load(Ordering::SeqCst) == 7
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn gives_up_at_the_deadline_and_says_what_it_waited_for() {
    let message = panic_of(wait::until("pigs fly", || false)).await;
    assert_eq!(message, "still waiting after 10s until pigs fly");
    let hangs = wait::until_async("an answer", async || std::future::pending().await);
    assert_eq!(panic_of(hangs).await, "still waiting after 10s until an answer");
}
