//! What was measured, as tables in Markdown.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Measured, Sessions, sockets};

pub fn text(measured: &Measured) -> String {
    let mut text = String::new();
    if !measured.sockets.is_empty() {
        text.push_str(SOCKETS);
        for row in &measured.sockets {
            text.push_str(&sockets_row(row));
        }
        text.push('\n');
    }
    if !measured.sessions.is_empty() {
        text.push_str("| sessions in one process |");
        for sessions in &measured.sessions {
            let _ = write!(text, " {} |", thousands(sessions.count));
        }
        let _ = write!(text, "\n|---|{}\n", "--:|".repeat(measured.sessions.len()));
        for (name, digits, value) in ROWS {
            let _ = write!(text, "| {name} |");
            for sessions in &measured.sessions {
                let _ = write!(text, " {:.*} |", digits, value(sessions));
            }
            text.push('\n');
        }
    }
    text
}

const SOCKETS: &str = "\
| adapter | connections | SSE, B each | WebSocket, B each | kernel, B each | opened per s | \
idle, ms of a core per s | one event to all, ms | server CPU, ns per delivery | \
POST p50, µs | POST p99, µs |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
";

fn sockets_row(row: &sockets::Measured) -> String {
    format!(
        "| {} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | {:.0} | {:.0} | {:.0} | {:.0} |\n",
        row.adapter,
        thousands(row.connections as u64),
        row.sse_bytes,
        row.websocket_bytes,
        row.kernel_bytes,
        row.opened_per_second,
        row.idle_ms_per_second,
        row.wave_ms,
        row.cpu_ns_per_delivery,
        row.publish_p50_us,
        row.publish_p99_us,
    )
}

/// Name, digits behind the point, value.
type Row = (&'static str, usize, fn(&Sessions) -> f64);

const ROWS: [Row; 21] = [
    ("event stream, B each", 0, |it| number(&it.many, "/sse_bytes")),
    ("WebSocket, B each", 0, |it| number(&it.many, "/websocket_bytes")),
    ("of that a bare task, B", 0, |it| number(&it.floor, "/bytes")),
    ("opening, µs of a core each", 1, |it| number(&it.one, "/open_cpu_us")),
    ("heartbeats per s", 0, |it| number(&it.many, "/idle/heartbeats_per_second")),
    ("idle, ms of a core per s", 1, |it| number(&it.many, "/idle/cpu_ms_per_second")),
    ("a heartbeat, µs of a core", 2, |it| number(&it.many, "/idle/cpu_us_per_heartbeat")),
    ("an event of every topic to all, ms", 1, |it| number(&it.many, "/wave/ms")),
    ("the same, ns of a core per delivery", 0, |it| number(&it.many, CPU)),
    ("publish, subscribers of a topic", 0, |it| number(&it.many, "/publish/subscribers")),
    ("publish p50, µs", 1, |it| number(&it.many, "/publish/p50_us")),
    ("publish p99, µs", 1, |it| number(&it.many, "/publish/p99_us")),
    ("the same, on a core", 1, |it| number(&it.many, "/publish/p99_cpu_us")),
    ("all on one topic: an event to all, ms", 1, |it| number(&it.one, "/wave/ms")),
    ("all on one topic: ns of a core per delivery", 0, |it| number(&it.one, CPU)),
    ("all on one topic: publish p50, µs", 1, |it| number(&it.one, "/publish/p50_us")),
    ("all on one topic: publish p99, µs", 1, |it| number(&it.one, "/publish/p99_us")),
    ("the same, on a core", 1, |it| number(&it.one, "/publish/p99_cpu_us")),
    ("`stats()`, ms", 2, |it| number(&it.many, "/stats_ms")),
    ("`start_drain()`, ms", 1, |it| number(&it.many, "/drain/begin_ms")),
    ("draining, µs of a core each", 1, |it| number(&it.many, "/drain/cpu_us_each")),
];

const CPU: &str = "/wave/server_cpu_ns_per_delivery";

/// What the bench said; not a number where it said nothing.
pub fn number(said: &Value, place: &str) -> f64 {
    said.pointer(place).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

/// `1 000 000`, with spaces that don't break.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_number_of_sessions_has_a_column() {
        let sessions = |count, bytes: f64| Sessions {
            count,
            floor: json!({ "bytes": 320.0 }),
            many: json!({ "sse_bytes": bytes }),
            one: json!({}),
        };
        let sessions = vec![sessions(1_000, 1_500.0), sessions(10_000, 1_600.4)];
        let text = text(&Measured { sockets: Vec::new(), sessions });
        assert!(text.starts_with("| sessions in one process | 1\u{a0}000 | 10\u{a0}000 |\n"));
        assert!(text.contains("\n| event stream, B each | 1500 | 1600 |\n"), "{text}");
        assert!(text.contains("\n| of that a bare task, B | 320 | 320 |\n"), "{text}");
    }

    #[test]
    fn thousands_are_apart() {
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000_000), "1\u{a0}000\u{a0}000");
    }
}
