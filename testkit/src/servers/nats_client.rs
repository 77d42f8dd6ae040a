//! Messages to a NATS server, written by hand: [`NatsClient`].

use std::{
    io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write},
    net::{Ipv4Addr, TcpStream},
};

use crate::deadline::DEADLINE;

/// A blocking connection that publishes, and asks one question after the other.
#[derive(Debug)]
pub struct NatsClient {
    stream: BufReader<TcpStream>,
    asked: u32,
}

impl NatsClient {
    /// Connects to a port on this machine, with user and password if there are any.
    ///
    /// # Errors
    /// What the system says, and what the server says.
    pub fn connect(port: u16, login: Option<(&str, &str)>) -> Result<Self> {
        let mut client = Self { stream: dial(port)?, asked: 0 };
        client.line()?;
        let login = login.map_or(String::new(), |(user, password)| {
            format!(",\"user\":{user:?},\"pass\":{password:?}")
        });
        let hello = format!(
            "CONNECT {{\"verbose\":false,\"headers\":true,\"no_responders\":true{login}}}\r\n"
        );
        client.stream.get_mut().write_all(hello.as_bytes())?;
        client.wait()?;
        Ok(client)
    }

    /// What a server says of itself to whoever connects.
    pub(crate) fn greeting(port: u16) -> Result<String> {
        let mut client = Self { stream: dial(port)?, asked: 0 };
        client.line()
    }

    /// Publishes, and returns once the server has it.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn publish(
        &mut self,
        subject: &str,
        headers: &[(&str, &str)],
        payload: &[u8],
    ) -> Result<()> {
        self.send(subject, "", headers, payload)?;
        self.wait()
    }

    /// Sends a question and returns the payload of the answer.
    ///
    /// # Errors
    /// What the system says, an error of the server, and when it takes longer than
    /// [`DEADLINE`](crate::DEADLINE).
    pub fn ask(&mut self, subject: &str, payload: &[u8]) -> Result<String> {
        self.asked += 1;
        let inbox = format!("_INBOX.testkit.{}.{}", std::process::id(), self.asked);
        let subscribe = format!("SUB {inbox} {0}\r\nUNSUB {0} 1\r\n", self.asked);
        self.stream.get_mut().write_all(subscribe.as_bytes())?;
        self.send(subject, &inbox, &[], payload)?;
        loop {
            let line = self.line()?;
            let mut words = line.split_ascii_whitespace();
            let (head, length) = match words.next() {
                Some("MSG") => (0, number(words.next_back())?),
                Some("HMSG") => {
                    let length = number(words.next_back())?;
                    (number(words.next_back())?, length)
                }
                _ => continue,
            };
            let mut bytes = vec![0; length + 2];
            self.stream.read_exact(&mut bytes)?;
            return Ok(String::from_utf8_lossy(&bytes[head..length]).into_owned());
        }
    }

    /// Whether anybody is subscribed to `subject`: the server says at once if nobody is.
    ///
    /// # Errors
    /// See [`ask`](Self::ask).
    pub fn is_heard(&mut self, subject: &str) -> Result<bool> {
        self.asked += 1;
        let inbox = format!("_INBOX.testkit.{}.{}", std::process::id(), self.asked);
        let subscribe = format!("SUB {inbox} {0}\r\nUNSUB {0} 1\r\n", self.asked);
        self.stream.get_mut().write_all(subscribe.as_bytes())?;
        self.send(subject, &inbox, &[], b"")?;
        self.stream.get_mut().write_all(b"PING\r\n")?;
        let mut is_heard = true;
        loop {
            let line = self.line()?;
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("MSG" | "HMSG") => {
                    let mut bytes = vec![0; number(words.next_back())? + 2];
                    self.stream.read_exact(&mut bytes)?;
                    is_heard = false;
                }
                Some("PONG") => return Ok(is_heard),
                _ => {}
            }
        }
    }

    fn send(
        &mut self,
        subject: &str,
        reply: &str,
        headers: &[(&str, &str)],
        payload: &[u8],
    ) -> Result<()> {
        let mut bytes = Vec::new();
        if headers.is_empty() {
            bytes.extend(format!("PUB {subject} {reply} {}\r\n", payload.len()).bytes());
        } else {
            let lines: String =
                headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let head = format!("NATS/1.0\r\n{lines}\r\n");
            let total = head.len() + payload.len();
            bytes
                .extend(format!("HPUB {subject} {reply} {} {total}\r\n{head}", head.len()).bytes());
        }
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(b"\r\n");
        self.stream.get_mut().write_all(&bytes)
    }

    /// Until the server has done all that was asked before.
    fn wait(&mut self) -> Result<()> {
        self.stream.get_mut().write_all(b"PING\r\n")?;
        while self.line()? != "PONG" {}
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let Some(line) = line.strip_suffix("\r\n") else {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the server has closed"));
        };
        if line == "PING" {
            self.stream.get_mut().write_all(b"PONG\r\n")?;
        }
        match line.strip_prefix("-ERR ") {
            Some(error) => Err(Error::other(error.to_owned())),
            None => Ok(line.to_owned()),
        }
    }
}

fn dial(port: u16) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(BufReader::new(stream))
}

fn number(word: Option<&str>) -> Result<usize> {
    let number = word.and_then(|word| word.parse().ok());
    number.ok_or_else(|| Error::new(ErrorKind::InvalidData, format!("no number: {word:?}")))
}
