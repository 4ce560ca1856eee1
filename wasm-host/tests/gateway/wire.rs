//! HTTP/1.1 as it stands on the wire, an upstream that keeps what it was sent, and the gateway as a process.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// How long anything may take that does not hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A message that was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    /// The request line, or the status line.
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// It has an end.
    pub(crate) whole: bool,
}

impl Message {
    /// `None`: nothing more came. `bare`: there is no body, whatever the head says.
    pub(crate) fn read(from: &mut impl BufRead, bare: bool) -> Option<Self> {
        let mut message = Self { line: line(from)?, ..Self::default() };
        message.headers = fields(from)?;
        message.whole = message.read_body(from, bare).is_some();
        Some(message)
    }

    fn read_body(&mut self, from: &mut impl BufRead, bare: bool) -> Option<()> {
        if bare {
            return Some(());
        }
        if self.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            loop {
                let size = u64::from_str_radix(&line(from)?, 16).ok()?;
                if size == 0 {
                    self.trailers = fields(from)?;
                    return Some(());
                }
                let read = from.take(size).read_to_end(&mut self.body).ok()?;
                (read as u64 == size && line(from)?.is_empty()).then_some(())?;
            }
        }
        let length = self.get("content-length").map_or(0, |length| length.parse().unwrap());
        let read = from.take(length).read_to_end(&mut self.body).ok()?;
        (read as u64 == length).then_some(())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn status(&self) -> u16 {
        self.line.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// A line, each byte a letter.
fn line(from: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    let read = from.read_until(b'\n', &mut line);
    let waited = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
    assert!(!read.as_ref().is_err_and(|error| waited.contains(&error.kind())), "nothing came");
    read.ok()?;
    line.strip_suffix(b"\r\n").map(|line| line.iter().copied().map(char::from).collect())
}

fn fields(from: &mut impl BufRead) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let line = line(from)?;
        if line.is_empty() {
            return Some(fields);
        }
        let (name, value) = line.split_once(": ")?;
        fields.push((name.to_ascii_lowercase(), value.to_owned()));
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What is answered to these bytes, on a connection of their own. `None`: it was closed without an answer.
pub(crate) fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Option<Message> {
    let request = request.as_ref().to_vec();
    let bare = request.starts_with(b"HEAD");
    let stream = connect(address);
    let mut writer = stream.try_clone().unwrap();
    // Whoever answers before may close the connection.
    let writing = thread::spawn(move || drop(writer.write_all(&request)));
    let answer = Message::read(&mut BufReader::new(&stream), bare);
    drop(stream.shutdown(std::net::Shutdown::Both));
    writing.join().unwrap();
    answer
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Message {
    ask(address, format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n")).unwrap()
}

/// An upstream, and the requests that came to it.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Receiver<Message>,
}

impl Upstream {
    /// Answers each whole request with these bytes.
    pub(crate) fn new(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let (sender, seen) = mpsc::channel();
        let answer = Arc::new(answer);
        let address = serving(move |stream| {
            let mut reader = BufReader::new(stream);
            while let Some(request) = Message::read(&mut reader, false).filter(|request| request.whole) {
                let bytes = answer(&request);
                drop(sender.send(request));
                if reader.get_mut().write_all(&bytes).is_err() {
                    return;
                }
            }
        });
        Self { address, seen }
    }

    /// Says 200 and `hello`.
    pub(crate) fn hello() -> Self {
        Self::new(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-from: upstream\r\n\r\nhello".to_vec())
    }

    /// The next request that came.
    pub(crate) fn next(&self) -> Message {
        self.seen.recv_timeout(PATIENCE).unwrap()
    }

    pub(crate) fn saw_nothing(&self) -> bool {
        self.seen.try_recv().is_err()
    }
}

/// Has every connection served by a thread.
pub(crate) fn serving(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (address, serve) = (listener.local_addr().unwrap(), Arc::new(serve));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// An address where nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// The example, running. Ends with the value.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    lines: Arc<(Mutex<Vec<String>>, Condvar)>,
    _plugins: tempfile::TempDir,
}

impl Gateway {
    /// With plugins in the text format of WebAssembly.
    pub(crate) fn new(upstream: SocketAddr, plugins: &[&str], arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(program());
        command.args(["--listen", "127.0.0.1:0", "--upstream", &upstream.to_string()]).args(arguments);
        for patience in ["--deadline-ms", "--pause-ms"].iter().filter(|name| !arguments.contains(name)) {
            // Nothing takes that long by chance, on whatever machine this runs.
            command.args([patience, "30000"]);
        }
        for (place, plugin) in plugins.iter().enumerate() {
            let file = folder.path().join(format!("{place}.wat"));
            fs::write(&file, plugin).unwrap();
            command.arg("--plugin").arg(file);
        }
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::<(Mutex<Vec<String>>, Condvar)>::default();
        let (stderr, kept) = (BufReader::new(child.stderr.take().unwrap()), lines.clone());
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                kept.0.lock().unwrap().push(line);
                kept.1.notify_all();
            }
        });
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let address = first.strip_prefix("listening http ").map(|address| address.trim().parse().unwrap());
        let address = address.unwrap_or_else(|| panic!("it ends with {:?}", child.wait()));
        Self { child, address, lines, _plugins: folder }
    }

    /// Waits until it has written a line that has this in it.
    pub(crate) fn wait_for(&self, part: &str) {
        self.wait_for_many(1, part);
    }

    /// Waits until it has written so many of such lines.
    pub(crate) fn wait_for_many(&self, count: usize, part: &str) {
        let lines = self.lines.0.lock().unwrap();
        let missing =
            |lines: &mut Vec<String>| lines.iter().filter(|line| line.contains(part)).count() < count;
        let (lines, waited) = self.lines.1.wait_timeout_while(lines, PATIENCE, missing).unwrap();
        assert!(!waited.timed_out(), "no {part:?} in {lines:?}");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Examples lie beside the folder of the tests.
fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.set_file_name("examples");
    path.push(format!("gateway{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "cargo build -p consentry-wasm-host --example gateway");
    path
}
