//! Those who publish in other languages, and those who publish nonsense.

use std::process::Command;

use realtime_core::Event;
use realtime_testkit::servers::{NatsBinary, NatsServer};

use crate::instance::{Instance, sequences, texts};

on_both!(a_python_script_publishes, headers_tell_what_an_event_is, nonsense_is_passed_over,);

/// As in the documentation of the crate.
const SCRIPT: &str = r#"
import socket, sys
server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
data = '{"bid":1.08}'.encode()
server.sendall(b'CONNECT {"verbose":false}\r\n')
server.sendall(b'PUB realtime.t.prices %d\r\n%s\r\nPING\r\n' % (len(data), data))
while b'PONG' not in server.recv(4096):
    pass
"#;

async fn a_python_script_publishes(on: NatsBinary) {
    let server = NatsServer::start(on);
    let mut instance = Instance::of(&server).await;
    instance.follow("prices").await;
    let port = server.port().to_string();
    let script = Command::new("python3").args(["-c", SCRIPT, &port]).output();
    let script = script.expect("install python3 (Debian: apt-get install python3)");
    assert!(script.status.success(), "{}", String::from_utf8_lossy(&script.stderr));
    let record = instance.event().await;
    assert_eq!((record.topic.as_str(), record.at.sequence), ("prices", 1));
    assert_eq!(record.event, Event::text("{\"bid\":1.08}"));
    assert_eq!(texts(&instance.read("prices", 0, 9).await.records), ["{\"bid\":1.08}"]);
}

async fn headers_tell_what_an_event_is(on: NatsBinary) {
    let server = NatsServer::start(on);
    let mut instance = Instance::of(&server).await;
    instance.follow("t").await;
    let mut client = server.client();
    let headers = [("Realtime-Kind", "json"), ("Realtime-Name", "a b%20c"), ("Realtime-Key", "k")];
    client.publish("realtime.t.t", &headers, b"[1, 2]").unwrap();
    let event = instance.event().await.event;
    assert!(event.is_json());
    assert_eq!(event.data().as_text(), Some("[1, 2]"));
    assert_eq!(event.name().unwrap().as_str(), "a b c");
    assert_eq!(event.key().unwrap().as_str(), "k");
    client.publish("realtime.t.t", &[], b"\xff\0").unwrap();
    assert_eq!(instance.event().await.event, Event::binary(vec![255, 0]));
    // What the server says of the place counts.
    let forged = [("Nats-Sequence", "99"), ("Nats-Last-Sequence", "98"), ("Nats-Stream", "x")];
    client.publish("realtime.t.t", &forged, b"x").unwrap();
    let record = instance.event().await;
    assert_eq!((record.at.sequence, record.previous), (3, 2));
}

async fn nonsense_is_passed_over(on: NatsBinary) {
    let server = NatsServer::start(on);
    let mut instance = Instance::of(&server).await;
    instance.follow("t").await;
    instance.follow_pattern(">").await;
    let mut client = server.client();
    client.publish("realtime.t.t", &[("Realtime-Name", "realtime.gap")], b"1").unwrap();
    client.publish("realtime.t.%41", &[], b"2").unwrap();
    client.publish("realtime.live.t.t", &[], b"3").unwrap();
    let marks = ["no token", ""];
    for mark in marks {
        client.publish("realtime.m.nobody", &[], mark.as_bytes()).unwrap();
    }
    client.publish("realtime.t.t", &[], b"6").unwrap();
    let (records, at) = instance.until_mark().await;
    assert_eq!((texts(&records), sequences(&records), at.sequence), (vec!["6"], vec![5], 6));
    assert_eq!(sequences(&instance.read("t", 0, 9).await.records), [5]);
    assert_eq!(instance.topics(">", 0, 9).await, ["t"]);
}
