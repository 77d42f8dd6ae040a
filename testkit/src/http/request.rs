//! Writing a request.

/// A request to be changed and then written out.
///
/// Nothing is added that was not asked for, neither `Host` nor `Content-Length`.
#[derive(Clone, Debug)]
#[must_use]
pub struct Request {
    method: String,
    target: String,
    version: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    /// `GET` of this path and query, HTTP/1.1, with no header.
    pub fn get(target: &str) -> Self {
        Self {
            method: "GET".into(),
            target: target.into(),
            version: "HTTP/1.1".into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Replaces the method.
    pub fn method(mut self, method: &str) -> Self {
        self.method = method.into();
        self
    }

    /// Adds to the query of the target, e.g. `a=1`.
    pub fn query(mut self, parameters: &str) -> Self {
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(parameters);
        self
    }

    /// Replaces the version, e.g. `HTTP/1.0`.
    pub fn version(mut self, version: &str) -> Self {
        self.version = version.into();
        self
    }

    /// Adds a field, also if one of this name is there.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// Puts these fields in the place of all that have one of their names.
    pub fn set(mut self, headers: &[(&str, &str)]) -> Self {
        for (name, _) in headers {
            self = self.without(name);
        }
        headers.iter().fold(self, |request, (name, value)| request.header(name, value))
    }

    /// Takes away all fields of this name.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        self
    }

    /// Appends bytes after the head.
    pub fn body(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.body.extend_from_slice(bytes.as_ref());
        self
    }

    /// The first value of this header.
    pub fn get_header(&self, name: &str) -> Option<&[u8]> {
        self.get_headers(name).next()
    }

    /// Every value of this header.
    pub fn get_headers(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.headers
            .iter()
            .filter(move |(have, _)| have.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    /// The request on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut wire = format!("{} {} {}\r\n", self.method, self.target, self.version).into_bytes();
        for (name, value) in &self.headers {
            wire.extend_from_slice(name.as_bytes());
            wire.extend_from_slice(b": ");
            wire.extend_from_slice(value);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"\r\n");
        wire.extend_from_slice(&self.body);
        wire
    }
}
