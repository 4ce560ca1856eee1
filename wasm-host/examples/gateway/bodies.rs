//! Bodies on their way out.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::HeaderMap;
use hyper::body::{Body, Bytes, Frame};
use tokio::sync::mpsc::{self, OwnedPermit, error::SendError};

/// A message that was begun and cannot be ended: whoever reads it must not take it for whole.
#[derive(Debug)]
pub(crate) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut off")
    }
}

impl std::error::Error for Cut {}

/// The length that a head promised, as far as it is still to come.
pub(crate) struct Length(Option<u64>);

impl Length {
    pub(crate) fn new(promised: Option<u64>) -> Self {
        Self(promised)
    }

    /// So much of it came. An error: more than was promised, or less at its end.
    pub(crate) fn take(&mut self, bytes: usize, end: bool) -> Result<(), Cut> {
        let Some(left) = self.0 else { return Ok(()) };
        let left = u64::try_from(bytes).ok().and_then(|bytes| left.checked_sub(bytes)).ok_or(Cut)?;
        self.0 = Some(left);
        if end && left > 0 { Err(Cut) } else { Ok(()) }
    }
}

/// What goes through a pipe. Its end goes through as well: a pipe that just ends was broken.
enum Piece {
    Frame(Frame<Bytes>),
    End,
}

type Reserving = Pin<Box<dyn Future<Output = Result<OwnedPermit<Piece>, SendError<()>>> + Send>>;

/// The end of a pipe that is written to. Dropped before the body's end, it cuts the body off.
pub(crate) struct Inlet {
    pipe: mpsc::Sender<Piece>,
    room: Option<Reserving>,
    waiting: VecDeque<Piece>,
    length: Length,
}

/// The end that hyper reads.
pub(crate) struct Outlet(Option<mpsc::Receiver<Piece>>);

/// A body that is still to come, and the way to put it in.
pub(crate) fn pipe(length: Length) -> (Inlet, Outlet) {
    let (pipe, outlet) = mpsc::channel(1);
    let inlet = Inlet { pipe, room: None, waiting: VecDeque::new(), length };
    (inlet, Outlet(Some(outlet)))
}

impl Inlet {
    /// Takes some of the body, to be handed over when there is room.
    pub(crate) fn data(&mut self, bytes: Vec<u8>, end: bool) -> Result<(), Cut> {
        self.length.take(bytes.len(), end)?;
        if !bytes.is_empty() {
            self.waiting.push_back(Piece::Frame(Frame::data(bytes.into())));
        }
        if end {
            self.waiting.push_back(Piece::End);
        }
        Ok(())
    }

    /// Takes the trailers, which are the end.
    pub(crate) fn trailers(&mut self, trailers: HeaderMap) -> Result<(), Cut> {
        self.length.take(0, true)?;
        self.waiting.extend([Piece::Frame(Frame::trailers(trailers)), Piece::End]);
        Ok(())
    }

    /// Hands over what waits; pending while there is no room for it. What nobody reads any more is let go.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Some(piece) = self.waiting.pop_front() {
            let pipe = &self.pipe;
            let room = self.room.get_or_insert_with(|| Box::pin(pipe.clone().reserve_owned()));
            match room.as_mut().poll(context) {
                Poll::Ready(Ok(place)) => drop(place.send(piece)),
                Poll::Ready(Err(_)) => self.waiting.clear(),
                Poll::Pending => {
                    self.waiting.push_front(piece);
                    return Poll::Pending;
                }
            }
            self.room = None;
        }
        Poll::Ready(())
    }
}

impl Outlet {
    /// No body.
    pub(crate) fn nothing() -> Self {
        Self(None)
    }
}

impl Body for Outlet {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let Some(pipe) = &mut self.0 else { return Poll::Ready(None) };
        Poll::Ready(match ready!(pipe.poll_recv(context)) {
            Some(Piece::Frame(frame)) => Some(Ok(frame)),
            Some(Piece::End) => {
                self.0 = None;
                None
            }
            None => Some(Err(Cut)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}
