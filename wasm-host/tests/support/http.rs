//! HTTP/1.1, as much of it as the tests need, and nothing hidden: headers in their order and with their letters.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub(crate) type Header = (String, Vec<u8>);

/// A request or a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The request line or the status line.
    pub(crate) line: String,
    pub(crate) headers: Vec<Header>,
    pub(crate) body: Vec<u8>,
    pub(crate) chunked: bool,
    pub(crate) trailers: Vec<Header>,
    pub(crate) end: End,
}

/// How far a body came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    #[default]
    Whole,
    /// The rest does not come.
    Silence,
    /// The connection was closed before the rest came.
    Closed,
}

impl Message {
    pub(crate) fn new(line: &str) -> Self {
        Self { line: line.to_owned(), ..Self::default() }
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.into()));
        self
    }

    /// With `content-length`.
    pub(crate) fn body(self, body: &str) -> Self {
        let message = self.header("content-length", body.len().to_string());
        Self { body: body.into(), ..message }
    }

    pub(crate) fn chunked(self, body: &str) -> Self {
        let message = self.header("transfer-encoding", "chunked");
        Self { body: body.into(), chunked: true, ..message }
    }

    /// The method of a request, or the version of a response.
    pub(crate) fn first_word(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// The path of a request, or the status of a response.
    pub(crate) fn second_word(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }

    /// Without what is each gateway's own affair: letters of names, the order of headers of different names, how a body's
    /// end is told, words for statuses, and what it says of itself.
    pub(crate) fn normal(mut self) -> Self {
        let own = ["date", "server", "content-length", "transfer-encoding", "connection"];
        for headers in [&mut self.headers, &mut self.trailers] {
            headers.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
            headers.retain(|(name, _)| !own.contains(&name.as_str()) && !name.starts_with("x-envoy-"));
            headers.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        if self.line.starts_with("HTTP/") {
            self.line = self.line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        }
        self
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.get(name).is_some_and(|found| found.eq_ignore_ascii_case(value.as_bytes()))
    }

    /// All of it in one piece, so that it arrives as one.
    pub(crate) fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        let headers = |bytes: &mut Vec<u8>, headers: &[Header]| {
            for (name, value) in headers {
                bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
            }
            bytes.extend(b"\r\n");
        };
        bytes.extend([self.line.as_bytes(), b"\r\n"].concat());
        headers(&mut bytes, &self.headers);
        if self.chunked {
            if !self.body.is_empty() {
                bytes.extend(format!("{:x}\r\n", self.body.len()).into_bytes());
                bytes.extend([&self.body[..], b"\r\n"].concat());
            }
            bytes.extend(b"0\r\n");
            headers(&mut bytes, &self.trailers);
        } else {
            bytes.extend(&self.body);
        }
        out.write_all(&bytes)
    }

    /// `None` where nothing is left; what there is of it where it ends too early.
    pub(crate) fn read(from: &mut impl BufRead, to_head: bool) -> std::io::Result<Option<Self>> {
        let Some(first) = line(from)? else { return Ok(None) };
        let mut message = Self::new(&String::from_utf8_lossy(&first));
        message.headers = headers(from)?;
        let response = message.line.starts_with("HTTP/");
        let status = message.second_word();
        if to_head || (response && (status.starts_with('1') || status == "204" || status == "304")) {
            return Ok(Some(message));
        }
        if message.is("transfer-encoding", "chunked") {
            message.chunked = true;
            message.end = End::Closed;
            while let Some(size) = line(from)? {
                let size = usize::from_str_radix(String::from_utf8_lossy(&size).trim(), 16).unwrap_or(0);
                if size == 0 {
                    message.trailers = headers(from)?;
                    message.end = End::Whole;
                    break;
                }
                take(from, size, &mut message.body);
                line(from)?;
            }
        } else if let Some(length) = message.get("content-length") {
            let length = String::from_utf8_lossy(length).parse().unwrap_or(0);
            message.end = take(from, length, &mut message.body);
        } else if response {
            from.read_to_end(&mut message.body)?;
        }
        Ok(Some(message))
    }
}

/// What came instead of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    Closed,
    Silence,
}

/// A request of its own connection; silence is a minute without an answer.
pub(crate) fn ask(port: u16, request: &Message) -> Result<Message, Nothing> {
    ask_within(Duration::from_secs(60), port, request)
}

pub(crate) fn ask_within(patience: Duration, port: u16, request: &Message) -> Result<Message, Nothing> {
    let read = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(patience))?;
        request.write(&mut stream)?;
        Message::read(&mut BufReader::new(stream), request.first_word() == "HEAD")
    };
    match read() {
        Ok(Some(response)) => Ok(response),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Err(Nothing::Silence)
        }
        Ok(None) | Err(_) => Err(Nothing::Closed),
    }
}

fn line(from: &mut impl BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if from.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    while line.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        line.pop();
    }
    Ok(Some(line))
}

fn headers(from: &mut impl BufRead) -> std::io::Result<Vec<Header>> {
    let mut headers = Vec::new();
    while let Some(line) = line(from)?.filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        headers.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
    }
    Ok(headers)
}

/// What there is of `size` bytes.
fn take(from: &mut impl BufRead, size: usize, into: &mut Vec<u8>) -> End {
    match from.take(size as u64).read_to_end(into) {
        Ok(read) if read == size => End::Whole,
        Ok(_) => End::Closed,
        Err(_) => End::Silence,
    }
}
