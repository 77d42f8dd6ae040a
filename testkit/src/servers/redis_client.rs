//! Commands to a Redis server, written by hand: [`RedisClient`].

use std::{
    io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write},
    net::{Ipv4Addr, TcpStream},
};

use crate::deadline::DEADLINE;

/// A blocking connection that sends one command after the other, in the second version of the protocol.
#[derive(Debug)]
pub struct RedisClient {
    stream: BufReader<TcpStream>,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisReply {
    /// A line of text.
    Status(String),
    /// An error.
    Error(String),
    /// A number.
    Integer(i64),
    /// Bytes, or none.
    Bulk(Option<Vec<u8>>),
    /// Several, or none.
    Array(Option<Vec<RedisReply>>),
}

impl RedisClient {
    /// Connects to a port on this machine.
    ///
    /// # Errors
    /// What the system says.
    pub fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a command and reads its answer.
    ///
    /// # Errors
    /// What the system says, and when it takes longer than [`DEADLINE`](crate::DEADLINE).
    pub fn call(&mut self, arguments: &[&[u8]]) -> Result<RedisReply> {
        let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            bytes.extend_from_slice(argument);
            bytes.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&bytes)?;
        self.reply()
    }

    fn reply(&mut self) -> Result<RedisReply> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let Some(rest) = line.get(1..).and_then(|rest| rest.strip_suffix("\r\n")) else {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the server has closed"));
        };
        let number = || {
            let number = rest.parse::<i64>();
            number.map_err(|_| Error::new(ErrorKind::InvalidData, format!("no number: {rest:?}")))
        };
        Ok(match line.as_bytes()[0] {
            b'+' => RedisReply::Status(rest.to_owned()),
            b'-' => RedisReply::Error(rest.to_owned()),
            b':' => RedisReply::Integer(number()?),
            b'$' => RedisReply::Bulk(match usize::try_from(number()?) {
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.stream.read_exact(&mut bytes)?;
                    bytes.truncate(length);
                    Some(bytes)
                }
                Err(_) => None,
            }),
            b'*' => RedisReply::Array(match usize::try_from(number()?) {
                Ok(count) => Some((0..count).map(|_| self.reply()).collect::<Result<_>>()?),
                Err(_) => None,
            }),
            other => {
                let what = format!("no reply begins with {:?}", char::from(other));
                return Err(Error::new(ErrorKind::InvalidData, what));
            }
        })
    }
}
