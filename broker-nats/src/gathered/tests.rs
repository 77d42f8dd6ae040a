use std::{future::poll_fn, thread};

use tokio::sync::mpsc;

use super::*;

struct Channel(mpsc::Receiver<u64>);

impl Stream for Channel {
    type Item = u64;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u64>> {
        self.0.poll_recv(cx)
    }
}

fn channels(count: usize, capacity: usize) -> (Vec<mpsc::Sender<u64>>, Gathered<Channel>) {
    let mut gathered = Gathered::new(capacity);
    let senders = (0..count).map(|i| {
        let (sender, receiver) = mpsc::channel(capacity);
        gathered.insert(i.to_string(), Channel(receiver));
        sender
    });
    (senders.collect(), gathered)
}

#[tokio::test]
async fn what_one_task_sends_to_many_channels_comes_in_its_order() {
    const MESSAGES: u64 = 300_000;
    let (senders, mut gathered) = channels(300, 65_536);
    let sending = thread::spawn(move || {
        for i in 0..MESSAGES {
            // To each in turn, to few, and to any.
            let to = [i % 300, i % 3, fastrand::u64(..300)][(i / 1000 % 3) as usize];
            // Never full: no channel gets more than it has room for.
            senders[to as usize].try_send(i).unwrap();
            if i % 5000 == 0 {
                thread::yield_now();
            }
        }
        senders
    });
    let mut expected = 0;
    let (mut current, mut next) = (Vec::new(), Vec::new());
    tokio::task::unconstrained(async {
        while expected < MESSAGES {
            if current.is_empty() {
                poll_fn(|cx| gathered.poll_rung(cx)).await;
            }
            gathered.round(&mut next).unwrap();
            let complete: Option<u64> = current.iter().max().copied();
            current.append(&mut next);
            current.sort_unstable();
            let ready = current.partition_point(|i| Some(*i) <= complete);
            for i in current.drain(..ready) {
                assert_eq!(i, expected);
                expected += 1;
            }
        }
    })
    .await;
    drop(sending.join().unwrap());
    assert_eq!(gathered.round(&mut next), Err(Broken::Ended));
}

#[test]
fn a_channel_that_may_have_been_full_is_told() {
    let (senders, mut gathered) = channels(2, 4);
    let mut taken = Vec::new();
    for i in 0..3 {
        senders[0].try_send(i).unwrap();
    }
    assert_eq!(gathered.round(&mut taken), Ok(()));
    for i in 0..4 {
        senders[1].try_send(i).unwrap();
    }
    assert!(senders[1].try_send(4).is_err());
    assert_eq!(gathered.round(&mut taken), Err(Broken::Overflow));
}

#[test]
fn what_is_taken_out_brings_nothing() {
    let (senders, mut gathered) = channels(2, 4);
    let mut taken = Vec::new();
    senders[0].try_send(1).unwrap();
    senders[1].try_send(2).unwrap();
    assert!(gathered.contains("0"));
    assert!(gathered.remove("0").is_some() && gathered.remove("0").is_none());
    assert!(!gathered.contains("0"));
    assert_eq!(gathered.round(&mut taken), Ok(()));
    assert_eq!(taken, [2]);
}
