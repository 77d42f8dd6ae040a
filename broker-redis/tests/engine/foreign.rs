//! Who else publishes, and what else lies on the server.

use std::process::{Command, Output};

use realtime_core::{Event, EventKey, EventName};
use realtime_testkit::servers::{RedisReply, RedisServer};

use crate::instance::{Instance, sequences, texts};

fn run(command: &mut Command) -> Output {
    let program = command.get_program().to_owned();
    command.output().unwrap_or_else(|error| panic!("install {}: {error}", program.display()))
}

fn refused(reply: &RedisReply) -> &str {
    match reply {
        RedisReply::Error(error) => error,
        other => panic!("expected an error, got {other:?}"),
    }
}

#[tokio::test]
async fn redis_cli_publishes() {
    let server = RedisServer::start();
    let mut instance = Instance::of(&server).await;
    instance.follow("prices").await;
    let port = server.port().to_string();
    let output = run(Command::new("redis-cli")
        .args(["-p", &port, "FCALL", "realtime_publish", "1"])
        .args(["realtime", "prices", r#"{"bid":1.08}"#, "json"]));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.trim(), format!("{}\n1", instance.at.epoch));
    let record = instance.event().await;
    assert_eq!(record.at.sequence, 1);
    assert_eq!(record.event, Event::json(&serde_json::json!({ "bid": 1.08 })).unwrap());
    assert_eq!(instance.publish("prices", "ours").await.sequence, 2);
}

const PYTHON: &str = r#"
import socket, sys
arguments = [b"FCALL", b"realtime_publish", b"1", b"realtime", b"raw", bytes(range(256)), b"binary",
             "gr\u00f6\u00dfe".encode(), b"key"]
command = b"*%d\r\n" % len(arguments)
for argument in arguments:
    command += b"$%d\r\n%s\r\n" % (len(argument), argument)
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10)
connection.sendall(command)
answer = connection.makefile("rb")
assert answer.readline() == b"*2\r\n"
print(answer.readline().decode().strip(), answer.readline().decode().strip())
"#;

#[tokio::test]
async fn a_python_script_with_a_socket_publishes() {
    let server = RedisServer::start();
    let mut instance = Instance::of(&server).await;
    instance.follow("raw").await;
    let port = server.port().to_string();
    let output = run(Command::new("python3").args(["-c", PYTHON, &port]));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().trim(),
        format!(":{} :1", instance.at.epoch),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let bytes: Vec<u8> = (0..=255).collect();
    let expected = Event::binary(bytes).named("größe").unwrap().keyed("key").unwrap();
    assert_eq!(instance.event().await.event, expected);
    assert_eq!(instance.read("raw", 0, 9).await.records[0].event, expected);
}

#[tokio::test]
async fn what_is_none_is_refused_and_says_why() {
    let server = RedisServer::start();
    let instance = Instance::of(&server).await;
    let mut client = server.client();
    let mut publish = |arguments: &[&[u8]]| {
        let entry: [&[u8]; 3] = [b"FCALL", b"realtime_publish", b"1"];
        client.call(&[&entry[..], arguments].concat()).unwrap()
    };
    let long = "x".repeat(256);
    let too_large = vec![b'x'; 16 * 1024 * 1024 + 1];
    let cases: &[(&[&[u8]], &str)] = &[
        (&[b"realtime", b"t"], "expected: FCALL"),
        (&[b"realtime", b"t", b"x", b"text", b"", b"", b""], "expected: FCALL"),
        (&[b"{a}", b"t", b"x"], "the prefix"),
        (&[b"realtime", b"", b"x"], "1 to 255 bytes"),
        (&[b"realtime", long.as_bytes(), b"x"], "1 to 255 bytes"),
        (&[b"realtime", b"a\0b", b"x"], "control character"),
        (&[b"realtime", b"a\x7f", b"x"], "control character"),
        (&[b"realtime", "a\u{85}".as_bytes(), b"x"], "control character"),
        (&[b"realtime", b"a\xff", b"x"], "UTF-8"),
        (&[b"realtime", b"a.*", b"x"], "token * or >"),
        (&[b"realtime", b">", b"x"], "token * or >"),
        (&[b"realtime", b"*.a", b"x"], "token * or >"),
        (&[b"realtime", b"t", b"x", b"xml"], "kind"),
        (&[b"realtime", b"t", b"\xff"], "UTF-8"),
        (&[b"realtime", b"t", b"a\xed\xa0\x80"], "UTF-8"),
        (&[b"realtime", b"t", b"\xc0\x80"], "UTF-8"),
        (&[b"realtime", b"t", b"\xe2\x82"], "UTF-8"),
        (&[b"realtime", b"t", b"\xf4\x90\x80\x80"], "UTF-8"),
        (&[b"realtime", b"t", b"{", b"json"], "must be JSON"),
        (&[b"realtime", b"t", b"x", b"text", long.as_bytes()], "event name"),
        (&[b"realtime", b"t", b"x", b"text", b"a\nb"], "line end"),
        (&[b"realtime", b"t", b"x", b"text", b"realtime.gap"], "realtime."),
        (&[b"realtime", b"t", b"x", b"text", b"\xff"], "event name"),
        (&[b"realtime", b"t", b"x", b"text", b"", long.as_bytes()], "event key"),
        (&[b"realtime", b"t", b"x", b"text", b"", b"\xff"], "event key"),
        (&[b"realtime", b"t", &too_large], "16777216 bytes"),
    ];
    for (arguments, expected) in cases {
        let reply = publish(arguments);
        assert!(refused(&reply).contains(expected), "{reply:?} instead of {expected:?}");
    }
    let at = instance.publish("t", "first").await;
    assert_eq!(at.sequence, 1, "nothing was numbered");
}

/// What the function takes, the crate takes, and the other way round.
#[tokio::test]
async fn names_are_judged_as_the_instances_judge_them() {
    let server = RedisServer::start();
    let mut instance = Instance::of(&server).await;
    instance.follow_pattern(">").await;
    let mut client = server.client();
    let samples = [
        "a",
        "a*b",
        "a.b>c",
        ">>",
        "**",
        "a..b",
        ".",
        "ä.ö",
        " ",
        "a\u{a0}b",
        "\u{9f}",
        "\u{a0}",
        "\t",
        "🦀",
        "a.>",
        "*.b",
        "\u{80}",
        "\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}",
        "realtime.x",
        "\r",
    ];
    let mut sequence = 0;
    for sample in samples {
        let mut took = |arguments: &[&[u8]]| {
            let entry: [&[u8]; 4] = [b"FCALL", b"realtime_publish", b"1", b"realtime"];
            let reply = client.call(&[&entry[..], arguments].concat()).unwrap();
            matches!(reply, RedisReply::Array(_))
        };
        let bytes = sample.as_bytes();
        let topic = took(&[bytes, b"x"]);
        assert_eq!(topic, realtime_core::TopicName::new(sample).is_ok(), "topic {sample:?}");
        let name = took(&[b"t", b"x", b"text", bytes]);
        assert_eq!(name, EventName::new(sample).is_ok(), "name {sample:?}");
        let key = took(&[b"t", b"x", b"text", b"", bytes]);
        assert_eq!(key, EventKey::new(sample).is_ok(), "key {sample:?}");
        sequence += u64::from(topic) + u64::from(name) + u64::from(key);
        let (records, at) = instance.until_mark().await;
        assert_eq!(at.sequence, sequence, "{sample:?}");
        assert_eq!(records.last().unwrap().at.sequence, sequence, "{sample:?}");
    }
}

#[tokio::test]
async fn somebody_elses_messages_and_entries_do_no_harm() {
    let server = RedisServer::start();
    let mut instance = Instance::of(&server).await;
    instance.follow("t").await;
    instance.follow_pattern(">").await;
    let mut client = server.client();
    let mut send = |arguments: &[&[u8]]| client.call(arguments).unwrap();
    instance.publish("t", "1").await;
    let garbage: [&[u8]; 6] = [
        b"",
        b"garbage",
        b"1 2 1 0 text 0 0",
        b"ffffffffffffffff 18446744073709551615 0 0 text 99999999999 0\n",
        b"1 2 1 0 text 0 0\n\xff",
        &[b'x'; 100_000],
    ];
    for bytes in garbage {
        send(&[b"PUBLISH", b"{realtime}:t:t", bytes]);
        send(&[b"PUBLISH", b"{realtime}:t:", bytes]);
        send(&[b"PUBLISH", b"{realtime}:t:a.*", bytes]);
        send(&[b"PUBLISH", b"{realtime}:m:instance0", bytes]);
    }
    instance.publish("t", "2").await;
    let (records, _) = instance.until_mark().await;
    assert_eq!(texts(&records), ["1", "1", "2", "2"]);
    // Within the sequence's numbers they are passed over.
    send(&[b"XADD", b"{realtime}:t:t", b"2-1", b"m", b"garbage"]);
    send(&[b"XADD", b"{realtime}:t:t", b"2-2", b"other", b"x", b"fields", b"y"]);
    instance.publish("t", "3").await;
    let history = instance.read("t", 0, 9).await;
    assert_eq!((texts(&history.records), history.complete_after), (vec!["1", "2", "3"], 0));
    // Above them, nothing could be stored: the topic's past gives way, and it is said.
    send(&[b"XADD", b"{realtime}:t:t", b"*", b"m", b"garbage"]);
    let at = instance.publish("t", "4").await;
    let history = instance.read("t", 0, 9).await;
    assert_eq!((sequences(&history.records), history.complete_after), (vec![at.sequence], 3));
    // As where the key holds something else.
    send(&[b"SET", b"{realtime}:t:t", b"a string"]);
    let history = instance.read("t", 0, 9).await;
    assert_eq!((history.records.len(), history.complete_after), (0, at.sequence));
    let at = instance.publish("t", "5").await;
    let history = instance.read("t", 0, 9).await;
    assert_eq!((sequences(&history.records), history.complete_after), (vec![at.sequence], 4));
    // What is evicted is missing.
    send(&[b"DEL", b"{realtime}:t:t"]);
    let history = instance.read("t", 0, 9).await;
    assert_eq!((history.records.len(), history.complete_after), (0, at.sequence));
    // What is no topic's name is none of the topics.
    send(&[b"ZADD", b"{realtime}:topics", b"+inf", b"a\xff", b"9", b"a.*", b"9e99", b"z"]);
    assert_eq!(instance.topics(">", 0, 9).await, ["t", "z"]);
    assert_eq!(texts(&instance.until_mark().await.0), ["3", "3", "4", "4", "5", "5"]);
}

#[tokio::test]
async fn a_later_version_of_the_library_may_have_the_shared_name() {
    let server = RedisServer::start();
    let later = b"#!lua name=realtime2\nredis.register_function('realtime_publish', function() return 2 end)";
    server.call(&[b"FUNCTION", b"LOAD", later]);
    let mut instance = Instance::of(&server).await;
    instance.follow("t").await;
    instance.publish("t", "x").await;
    assert_eq!(instance.event().await.at.sequence, 1);
    assert_eq!(server.call(&[b"FCALL", b"realtime_publish", b"0"]), RedisReply::Integer(2));
}

#[tokio::test]
async fn an_older_revision_is_replaced_and_a_newer_one_is_not() {
    let server = RedisServer::start();
    let source = include_str!("../../src/functions.lua");
    let load = |revision: &str| {
        let source =
            source.replace("\nlocal REVISION = 1\n", &format!("\nlocal REVISION = {revision}\n"));
        server.call(&[b"FUNCTION", b"LOAD", b"REPLACE", source.as_bytes()])
    };
    let has = |revision: &str| {
        let reply = format!(
            "{:?}",
            server.call(&[b"FCALL", b"realtime1_hello", b"1", b"p", b"", b"", b"1", b"1", b"1"])
        );
        reply.ends_with(&format!("Integer({revision})]))"))
    };
    load("0");
    assert!(has("0"));
    Instance::of(&server).await;
    assert!(has("1"));
    load("2");
    Instance::of(&server).await;
    assert!(has("2"));
}
