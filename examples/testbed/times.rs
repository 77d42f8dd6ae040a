//! Deadlines and how connections are let go, by the command line.

use std::{str::FromStr, time::Duration};

use realtime::HubBuilder;

pub(crate) const USAGE: &str = "[--ping-interval MS] [--pong-deadline MS] [--write-deadline MS] \
    [--stall-deadline MS] [--idle-timeout MS] [--max-age MS] [--drain-deadline MS] \
    [--reconnects-per-second N]";

/// What is set; the rest is as the library has it.
#[derive(Debug, Default)]
pub(crate) struct Times {
    ping_interval: Option<Duration>,
    pong_deadline: Option<Duration>,
    write_deadline: Option<Duration>,
    stall_deadline: Option<Duration>,
    idle_timeout: Option<Duration>,
    max_age: Option<Duration>,
    drain_deadline: Option<Duration>,
    reconnects_per_second: Option<u32>,
}

impl Times {
    /// Takes a flag's value; whether the flag is one of these.
    pub(crate) fn take(
        &mut self,
        flag: &str,
        value: impl FnOnce() -> Result<String, String>,
    ) -> Result<bool, String> {
        let time = match flag {
            "--ping-interval" => &mut self.ping_interval,
            "--pong-deadline" => &mut self.pong_deadline,
            "--write-deadline" => &mut self.write_deadline,
            "--stall-deadline" => &mut self.stall_deadline,
            "--idle-timeout" => &mut self.idle_timeout,
            "--max-age" => &mut self.max_age,
            "--drain-deadline" => &mut self.drain_deadline,
            "--reconnects-per-second" => {
                self.reconnects_per_second = Some(number(flag, &value()?)?);
                return Ok(true);
            }
            _ => return Ok(false),
        };
        *time = Some(Duration::from_millis(number(flag, &value()?)?));
        Ok(true)
    }

    /// Sets them.
    pub(crate) fn apply(&self, hub: HubBuilder) -> HubBuilder {
        hub.limits(|limits| {
            set(&mut limits.write_deadline, self.write_deadline);
            set(&mut limits.stall_deadline, self.stall_deadline);
            set(&mut limits.idle_timeout, self.idle_timeout);
            set(&mut limits.max_age, self.max_age);
        })
        .websocket(|websocket| {
            set(&mut websocket.ping_interval, self.ping_interval);
            set(&mut websocket.pong_deadline, self.pong_deadline);
        })
        .sse(|sse| set(&mut sse.heartbeat, self.ping_interval))
        .drain(|drain| {
            set(&mut drain.deadline, self.drain_deadline);
            set(&mut drain.reconnects_per_second, self.reconnects_per_second);
        })
    }
}

fn set<T: Copy>(field: &mut T, value: Option<T>) {
    *field = value.unwrap_or(*field);
}

fn number<T: FromStr>(flag: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{flag} must be a number, not {value}"))
}
