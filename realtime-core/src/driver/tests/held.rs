//! What a framework sits on, in the ways that threads can get in each other's way.

use std::{sync::mpsc, thread};

use futures_util::FutureExt;

use super::*;
use crate::{
    Identity, Subscribe, TopicName,
    driver::held::{Held, Holds},
    sse,
};

/// Wants to be polled at a time that the test chooses.
struct Wanting(Instant);

impl Holds for Wanting {
    fn deadline(&self, _: Instant) -> Instant {
        self.0
    }

    fn hold(&mut self, _: &Waker) {}

    fn is_due(&self, _: Instant) -> bool {
        false
    }

    fn give_up(&mut self, _: Instant) {}
}

/// Runs `run` on two threads whose clock goes on, and fails when it does not end.
fn ends<F: Future<Output = ()> + 'static>(run: impl FnOnce() -> F + Send + 'static) {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        // Timers are looked at all the time, so that one which is set too late has passed.
        runtime.spawn(async {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        runtime.block_on(run());
        done.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(10)).expect("it ends");
}

#[test]
fn a_timer_that_rings_while_it_is_set_is_no_deadlock() {
    ends(async || {
        for _ in 0..20 {
            let wanting = Wanting(now() + Duration::from_secs(10));
            let mut held = Held::new(wanting, Duration::from_secs(60));
            let mut polls = 0;
            poll_fn(|cx| {
                held.poll::<()>(cx, |it, cx, now| {
                    polls += 1;
                    it.0 = now + Duration::from_millis(5);
                    // Whatever else is done in a poll takes longer than that.
                    thread::sleep(Duration::from_millis(10));
                    cx.waker().wake_by_ref();
                    if polls < 5 { Poll::Pending } else { Poll::Ready(None) }
                })
            })
            .await;
        }
    });
}

#[test]
fn a_drain_of_streams_whose_permission_takes_its_time_is_no_deadlock() {
    ends(async || {
        let hub = Hub::builder()
            .authorize(|_: Option<&Identity>, _, _: &TopicName| {
                thread::sleep(Duration::from_millis(20));
                false
            })
            .drain(|drain| drain.reconnects_per_second = 100)
            .build()
            .unwrap();
        let streams: Vec<_> = (0..4)
            .map(|_| {
                let request = sse::Request::let_in(&hub, &Head::get()).unwrap();
                let mut body = Body::open(request, Subscribe::pattern("a.*")).unwrap().1;
                tokio::spawn(async move { while poll_next(&mut body).await.is_some() {} })
            })
            .collect();
        hub.start_drain();
        publish_to(&hub, "a.1").await;
        for stream in streams {
            stream.await.unwrap();
        }
    });
}

#[tokio::test]
async fn a_drain_may_be_begun_by_any_thread() {
    let hub = Hub::new();
    let mut body = Body::open(sse::Request::let_in(&hub, &Head::get()).unwrap(), "a").unwrap().1;
    let drained = hub.clone();
    thread::spawn(move || drained.start_drain()).join().unwrap();
    assert!(poll_next(&mut body).await.is_some());
    assert!(poll_next(&mut body).await.is_none());
    assert!(hub.drain().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_never_polled_is_given_up() {
    let hub = Hub::new();
    let _body = Body::open(sse::Request::let_in(&hub, &Head::get()).unwrap(), "a").unwrap().1;
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(hub.stats().connections_sse, 0);
}

async fn poll_next(body: &mut Body) -> Option<bytes::Bytes> {
    poll_fn(|cx| futures_core::Stream::poll_next(Pin::new(&mut *body), cx)).await
}

async fn publish_to(hub: &Hub, topic: &str) {
    hub.publish(topic, Event::text("x")).await.unwrap();
}
