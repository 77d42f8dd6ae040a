//! The bridge's task: it connects, and connects again.

use std::time::{Duration, Instant};

use realtime_core::{BrokerHealth, Inlet, TopicName};
use tokio::time::{sleep, timeout};

use crate::{
    bridge::Shared,
    control::{Command, Told},
    feed::Feed,
    known::Known,
    link::{Engine, EngineError, Hello, Link},
    session::{End, Session},
};

/// How long the others are tried to be told that this instance goes.
const GOES_WITHIN: Duration = Duration::from_millis(500);

/// Goes on until the broker is closed or the hub is gone. Every wait has a deadline, or ends with these.
pub(crate) async fn run<E: Engine>(shared: &Shared<E>, inlet: &Inlet) {
    let mut known = Known::default();
    let mut attempt = 0;
    while !shared.is_closing() && !inlet.is_closed() {
        let connected = tokio::select! {
            connected = serve(shared, inlet, &mut known, &mut attempt) => connected,
            () = shared.closing() => break,
        };
        shared.set_link(None);
        match connected {
            End::Gone => break,
            End::Lost(error) => {
                tracing::warn!(engine = ?shared.engine, %error, "no broker");
                shared.set_unavailable(error.to_string());
            }
        }
        let pause = shared.options.pause(attempt);
        attempt = attempt.saturating_add(1);
        tokio::select! {
            () = sleep(pause) => {}
            () = shared.closing() => break,
        }
    }
    if let Some(link) = shared.set_link(None) {
        let gone = Told { from: shared.instance.clone(), command: Command::Gone }.event();
        // The others find out by themselves, only later.
        let _ = timeout(GOES_WITHIN, link.publish(&TopicName::control(), &gone)).await;
    }
    let reason = "the broker has been closed".to_owned();
    shared.set_health(BrokerHealth::Unavailable { since: Instant::now(), reason });
}

/// One connection, from its first attempt to its end.
async fn serve<E: Engine>(
    shared: &Shared<E>,
    inlet: &Inlet,
    known: &mut Known,
    attempt: &mut u32,
) -> End {
    let options = &shared.options;
    let Ok(retention) = inlet.retention() else { return End::Gone };
    let (feed, fetched) = Feed::new(options.feed_events, options.feed_bytes);
    let hello = Hello { instance: shared.instance.clone(), seen: shared.seen(), retention };
    let deadline = options.request_deadline;
    let (link, at) = match timeout(deadline, shared.engine.connect(&hello, feed)).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => return End::Lost(error),
        Err(_) => {
            return End::Lost(EngineError::Unreachable(format!("no connection in {deadline:?}")));
        }
    };
    let mut session = Session::new(shared, inlet, known, link, fetched, retention.events);
    if let Err(end) = session.begin(at).await {
        return end;
    }
    *attempt = 0;
    let end = session.go_on().await;
    session.give_back();
    end
}
