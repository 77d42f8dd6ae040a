//! Being told that a connection has ended: once, whatever by.

use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt;

use super::*;
use crate::sse;

/// What was told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<CloseCause>>>);

impl Told {
    fn tell(&self) -> impl FnOnce(CloseCause) + Send + use<> {
        let told = Arc::clone(&self.0);
        move |cause| told.lock().unwrap_or_else(PoisonError::into_inner).push(cause)
    }

    fn causes(&self) -> Vec<CloseCause> {
        self.0.lock().unwrap().clone()
    }

    fn names(&self) -> Vec<&'static str> {
        self.causes().iter().map(CloseCause::as_str).collect()
    }
}

/// A WebSocket that tells, its client, and its server's task.
fn websocket<F>(
    hub: &Hub,
    told: &Told,
    run: impl FnOnce(Socket) -> F,
) -> (Client, JoinHandle<CloseCause>)
where
    F: Future<Output: Outcome> + Send + 'static,
{
    let request = Request::let_in(hub, &Head::websocket()).unwrap();
    let request = request.format(Format::Raw).subscribe("a").on_close(told.tell());
    let (_, session, socket) = request.open_with_socket(now()).unwrap();
    serve(session, socket, 1024, &[], run)
}

fn stream(hub: &Hub, told: &Told) -> Body {
    let request = sse::Request::let_in(hub, &Head::get()).unwrap();
    Body::open(request.on_close(told.tell()), "a").unwrap().1
}

#[tokio::test(start_paused = true)]
async fn of_a_handler_that_is_done_of_one_that_panics_and_of_a_client_that_closes() {
    let hub = Hub::new();
    let told = Told::default();
    let (mut client, server) = websocket(&hub, &told, async |_| ());
    assert_eq!(client.next().await, Some(close(1000, "")));
    assert_eq!(told.causes(), [], "it has not ended");
    client.send(Sent::close(1000, "")).await;
    server.await.unwrap();
    assert_eq!(told.names(), ["done"]);

    let told = Told::default();
    let (mut client, server) = websocket(&hub, &told, async |_| -> () {
        std::panic::resume_unwind(Box::new("as the test asked"))
    });
    assert_eq!(client.next().await, Some(close(1011, "internal error")));
    drop(client);
    server.await.unwrap();
    assert_eq!(told.names(), ["handler_failed"]);

    let told = Told::default();
    let (mut client, server) = websocket(&hub, &told, idle);
    client.send(Sent::close(4000, "enough")).await;
    server.await.unwrap();
    let [CloseCause::Peer(Some(frame))] = &told.causes()[..] else { panic!("{:?}", told.names()) };
    assert_eq!((frame.code.to_string(), frame.reason.as_str()), ("4000".to_owned(), "enough"));
}

#[tokio::test(start_paused = true)]
async fn of_a_client_that_vanishes_and_of_a_task_that_is_aborted() {
    let hub = Hub::new();
    let told = Told::default();
    let (client, server) = websocket(&hub, &told, idle);
    drop(client);
    server.await.unwrap();
    assert_eq!(told.names(), ["vanished"]);

    let told = Told::default();
    let (client, server) = websocket(&hub, &told, idle);
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    assert_eq!(told.names(), ["vanished"]);
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn of_a_closing_that_is_cut_short_what_it_was_closed_for() {
    let hub = Hub::new();
    let told = Told::default();
    let (mut client, server) = websocket(&hub, &told, async |_| ());
    assert_eq!(client.next().await, Some(close(1000, "")));
    server.abort();
    let _ = server.await;
    assert_eq!(told.names(), ["done"]);
}

#[tokio::test(start_paused = true)]
async fn of_event_streams_by_what_they_end() {
    let hub = Hub::new();
    let told = Told::default();
    let mut body = stream(&hub, &told);
    body.next().await;
    drop(body);
    assert_eq!(told.names(), ["vanished"]);

    let told = Told::default();
    let mut body = stream(&hub, &told);
    body.next().await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(told.names(), ["write_deadline"], "though the framework has it still");
    assert_eq!(body.next().await, None);
    drop(body);

    let told = Told::default();
    let mut body = stream(&hub, &told);
    for _ in 0..2000 {
        publish(&hub, "x").await;
    }
    while body.next().await.is_some() {}
    drop(body);
    assert_eq!(told.names(), ["slow_consumer"]);
}

#[tokio::test(start_paused = true)]
async fn of_a_drain_and_by_then_all_is_given_back() {
    let hub = Hub::new();
    let told = Told::default();
    let mut body = stream(&hub, &told);
    body.next().await;
    let (client, server) = websocket(&hub, &told, idle);
    let counted = Arc::new(Mutex::new(None));
    let request = sse::Request::let_in(&hub, &Head::get()).unwrap();
    let request = request.on_close({
        let (hub, counted) = (hub.clone(), Arc::clone(&counted));
        move |_| *counted.lock().unwrap() = Some(hub.stats().connections_sse)
    });
    let last = Body::open(request, "a").unwrap().1;
    hub.end_drain();
    server.await.unwrap();
    drop(body);
    drop(last);
    assert_eq!(told.names(), ["draining", "draining"]);
    assert_eq!(*counted.lock().unwrap(), Some(0));
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn of_what_was_refused_nothing_is_told_and_a_panic_harms_nobody() {
    let hub = Hub::new();
    let told = Told::default();
    let request = sse::Request::let_in(&hub, &Head::get()).unwrap();
    Body::open(request.on_close(told.tell()), "a.*").unwrap_err();
    drop(Request::let_in(&hub, &Head::websocket()).unwrap().on_close(told.tell()));
    let request = Request::let_in(&hub, &Head::websocket()).unwrap();
    request.subscribe("a.*").on_close(told.tell()).open(now()).unwrap_err();
    assert_eq!(told.causes(), []);

    let request = sse::Request::let_in(&hub, &Head::get()).unwrap();
    let panics = |_| std::panic::resume_unwind(Box::new("as the test asked"));
    drop(Body::open(request.on_close(panics), "a").unwrap().1);
    assert_eq!(hub.stats().connections_sse, 0);
}
