//! An upstream that keeps what it was sent.

use std::io::{BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::http::{End, Message};

/// Answers by path; lives as long as the process.
pub(crate) struct Upstream {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Exchange>>>,
}

/// What came, and what was answered, if anything.
pub(crate) type Exchange = (Message, Option<Message>);

impl Upstream {
    pub(crate) fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let seen = Arc::<Mutex<Vec<Exchange>>>::default();
        let kept = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || serve(stream, &kept));
            }
        });
        Ok(Self { port, seen })
    }

    /// What came since this was asked last.
    pub(crate) fn seen(&self) -> Vec<Exchange> {
        self.seen.lock().map(|mut seen| std::mem::take(&mut *seen)).unwrap_or_default()
    }
}

fn serve(mut stream: TcpStream, kept: &Mutex<Vec<Exchange>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        reader.get_ref().set_read_timeout(None).ok()?;
        std::io::BufRead::fill_buf(&mut reader).ok()?;
        // A body that is shorter than it says shall not hold the tests up.
        reader.get_ref().set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        let request = Message::read(&mut reader, false).ok()??;
        if request.end == End::Closed {
            // Taken back, and seen or not as chance would have it.
            return None;
        }
        let answer = answer(&request);
        kept.lock().ok()?.push((request, answer.clone()));
        match answer {
            Some(answer) => answer.write(&mut stream).ok()?,
            None => {
                stream.set_read_timeout(None).ok()?;
                let _until_it_is_closed = reader.read_to_end(&mut Vec::new());
            }
        }
    }
}

/// What is answered to a path; `None` is never answered.
fn answer(request: &Message) -> Option<Message> {
    let path = request.second_word().split('?').next().unwrap_or_default();
    let ok = || {
        Message::new("HTTP/1.1 200 OK")
            .header("content-type", "text/plain")
            .header("x-one", "1")
            .header("x-two", "a")
            .header("x-two", "b")
            .header("X-Mixed", "M")
            .header("x-empty", "")
            .header("x-bytes", b"\xe4\xff")
    };
    match path {
        "/never" => None,
        "/none" => Some(ok().body("")),
        "/204" => Some(Message::new("HTTP/1.1 204 No Content").header("x-one", "1")),
        "/chunked" => Some(ok().chunked("from upstream\n")),
        "/trailers" => Some(
            ok().chunked("from upstream\n")
                // Some gateways send only what is announced.
                .header("trailer", "x-trailer, x-gone, x-mixed, x-added")
                .trailer("x-trailer", "1")
                .trailer("x-gone", "1")
                .trailer("X-Mixed", "M"),
        ),
        _ if request.first_word() == "HEAD" => {
            Some(Message { body: Vec::new(), ..ok().body("from upstream\n") })
        }
        _ => Some(ok().body("from upstream\n")),
    }
}
