//! IO whose peer takes nothing.

use std::io;

use super::*;

fn pair(buffer: usize, seconds: u64) -> (DuplexStream, WriteDeadline<DuplexStream>) {
    let (client, server) = tokio::io::duplex(buffer);
    (client, WriteDeadline::new(server, Duration::from_secs(seconds)))
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_not_taken_fails_at_the_deadline_and_so_do_those_after_it() {
    let (_client, mut io) = pair(4, 10);
    let start = Clock::now();
    let failed = io.write_all(b"hello").await.unwrap_err();
    assert_eq!((failed.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, 10));
    assert_eq!(io.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(io.shutdown().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_a_byte_now_and_then_is_waited_for() {
    let (mut client, mut io) = pair(4, 10);
    let writer = tokio::spawn(async move { io.write_all(b"hello world").await });
    for _ in 0..7 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert!(!writer.is_finished());
        client.read_u8().await.unwrap();
    }
    writer.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn silence_is_no_pending_write() {
    let (mut client, mut io) = pair(4, 10);
    for _ in 0..3 {
        io.write_all(b"x").await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        client.read_u8().await.unwrap();
    }
    client.write_all(b"y").await.unwrap();
    assert_eq!(io.read_u8().await.unwrap(), b'y');
}

#[tokio::test(start_paused = true)]
async fn a_deadline_without_end_is_none() {
    let (client, server) = tokio::io::duplex(4);
    let mut io = WriteDeadline::new(server, Duration::MAX);
    let writer = tokio::spawn(async move { io.write_all(b"hello").await });
    tokio::time::sleep(Duration::from_secs(1_000_000)).await;
    assert!(!writer.is_finished());
    drop(client);
    assert_eq!(writer.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}
