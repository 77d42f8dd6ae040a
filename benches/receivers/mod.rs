//! What one writes without the library: a `tokio::sync::broadcast`, and a task for each subscriber.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Waker},
};

use tokio::sync::broadcast;

/// Tasks that wait for what is sent, each with a receiver.
pub(crate) struct Receivers<T> {
    sender: broadcast::Sender<T>,
    tasks: Vec<Task>,
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    waker: Waker,
}

impl<T: Clone + 'static> Receivers<T> {
    /// Tasks that wait already, woken by what `waker` makes. Each gives what it gets to its `take`.
    pub(crate) fn new<F: FnMut(T) + 'static>(
        sender: broadcast::Sender<T>,
        count: usize,
        waker: fn() -> Waker,
        take: impl Fn() -> F,
    ) -> Self {
        let task = |_| {
            let (mut receiver, mut take) = (sender.subscribe(), take());
            let future = async move {
                loop {
                    match receiver.recv().await {
                        Ok(message) => take(message),
                        Err(broadcast::error::RecvError::Closed) => return,
                        Err(broadcast::error::RecvError::Lagged(_)) => unreachable!("all keep up"),
                    }
                }
            };
            Task { future: Box::pin(future), waker: waker() }
        };
        let tasks = (0..count).map(task).collect();
        let mut receivers = Self { sender, tasks };
        receivers.take();
        receivers
    }

    /// Sends a message, which wakes all tasks.
    pub(crate) fn send(&self, message: T) {
        drop(self.sender.send(message));
    }

    /// Every task takes what is there, and waits again.
    pub(crate) fn take(&mut self) {
        for task in &mut self.tasks {
            let polled = task.future.as_mut().poll(&mut Context::from_waker(&task.waker));
            assert!(polled.is_pending(), "the sender lives");
        }
    }
}
