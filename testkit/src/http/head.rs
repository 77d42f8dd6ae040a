//! The status line and the header fields.

use std::{fmt, io};

/// Header fields in the order of their arrival, names in lower case, values as raw bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// The first value of this name, in any case of letters.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The first value of this name, if it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| str::from_utf8(value).ok())
    }

    /// Every value of this name.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether a comma-separated field of this name lists `token`, in any case of letters.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Parses the lines of a head but its first, without their ends.
    pub(crate) fn parse<'a>(lines: impl Iterator<Item = &'a [u8]>) -> io::Result<Self> {
        lines.map(field).collect::<io::Result<_>>().map(Self)
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (name, value.escape_ascii().to_string())))
            .finish()
    }
}

/// A response up to its empty line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) headers: Headers,
}

impl Head {
    /// Parses the head at the start of `bytes` and says how long it is; `None` if incomplete.
    pub(crate) fn parse(bytes: &[u8]) -> io::Result<Option<(Self, usize)>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let mut lines = bytes[..end].split(|&byte| byte == b'\n').map(|line| match line {
            [rest @ .., b'\r'] => rest,
            line => line,
        });
        let (status, reason) = status_line(lines.next().unwrap_or_default())?;
        Ok(Some((Self { status, reason, headers: Headers::parse(lines)? }, end + 4)))
    }
}

fn status_line(line: &[u8]) -> io::Result<(u16, String)> {
    let text = String::from_utf8_lossy(line);
    let mut parts = text.splitn(3, ' ');
    let version = parts.next().unwrap_or_default();
    let status = parts.next().filter(|digits| digits.len() == 3).and_then(|s| s.parse().ok());
    match status {
        Some(status) if matches!(version, "HTTP/1.1" | "HTTP/1.0") => {
            Ok((status, parts.next().unwrap_or_default().to_owned()))
        }
        _ => Err(malformed(format!("status line {text:?}"))),
    }
}

fn field(line: &[u8]) -> io::Result<(String, Vec<u8>)> {
    let wrong = || malformed(format!("header line \"{}\"", line.escape_ascii()));
    let colon = line.iter().position(|&byte| byte == b':').ok_or_else(wrong)?;
    let name = str::from_utf8(&line[..colon]).map_err(|_| wrong())?;
    if name.is_empty() || name.contains(|c: char| !c.is_ascii_graphic()) {
        return Err(wrong());
    }
    Ok((name.to_ascii_lowercase(), line[colon + 1..].trim_ascii().to_vec()))
}

pub(crate) fn malformed(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed response: {}", what.into()))
}
