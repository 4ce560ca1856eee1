//! What one plugin holds back of one direction, and lets go.

use std::collections::VecDeque;

use super::{Direction, Frame, Seen};
use crate::error::{FailureKind, Fault};
use crate::instance::{Action, Lane, Part, Stage};

/// One direction of an exchange at one plugin, as far as the plugin cannot change it.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// Where the plugin stopped it.
    pub(super) paused: Option<Paused>,
    /// Whether what is held back is the end.
    end: bool,
    /// What came after a head that is held back.
    waiting: VecDeque<Frame>,
    waiting_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paused {
    Head,
    Body,
    Trailers,
}

impl Way {
    /// Keeps what came after a head that is held back; false: that is too much.
    pub(super) fn keep(&mut self, frame: Frame, limit: usize) -> bool {
        let size = match &frame {
            Frame::Data(bytes, _) => bytes.len(),
            Frame::Head(headers, _) | Frame::Trailers(headers) => headers.size(),
        };
        // Many small ones have an end, too.
        self.waiting_bytes = self.waiting_bytes.saturating_add(size.saturating_add(64));
        self.waiting.push_back(frame);
        self.waiting_bytes <= limit
    }

    /// What waited for the head, once that has gone on.
    pub(super) fn take_waiting(&mut self) -> VecDeque<Frame> {
        if self.paused == Some(Paused::Head) || self.waiting.is_empty() {
            return VecDeque::new();
        }
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting)
    }
}

pub(super) fn too_much() -> Fault {
    Fault::new(FailureKind::Body, "it holds too much of a body back")
}

/// What a plugin is shown a frame as.
pub(super) fn stage(direction: Direction, frame: &Frame) -> Stage {
    match (direction, frame) {
        (Direction::Request, Frame::Head(..)) => Stage::RequestHeaders,
        (Direction::Request, Frame::Data(..)) => Stage::RequestBody,
        (Direction::Request, Frame::Trailers(_)) => Stage::RequestTrailers,
        (Direction::Response, Frame::Head(..)) => Stage::ResponseHeaders,
        (Direction::Response, Frame::Data(..)) => Stage::ResponseBody,
        (Direction::Response, Frame::Trailers(_)) => Stage::ResponseTrailers,
    }
}

/// What a plugin is shown a body as.
pub(super) fn body(direction: Direction) -> Stage {
    match direction {
        Direction::Request => Stage::RequestBody,
        Direction::Response => Stage::ResponseBody,
    }
}

fn lane(part: &mut Part, direction: Direction) -> &mut Lane {
    match direction {
        Direction::Request => &mut part.request,
        Direction::Response => &mut part.response,
    }
}

/// A plugin that let go what was not held back has not let go what it will hold back.
pub(super) fn forget_release(way: &Way, part: &mut Part, direction: Direction) {
    if way.paused.is_none() {
        lane(part, direction).released = false;
    }
}

/// Puts a frame where the plugin can see and change it. The answer: whether it is the end of its direction.
pub(super) fn place(
    part: &mut Part,
    direction: Direction,
    frame: Frame,
    limit: usize,
) -> Result<bool, Fault> {
    let lane = lane(part, direction);
    match frame {
        Frame::Head(headers, end) => {
            lane.headers = Some(headers);
            lane.head_gone = false;
            Ok(end)
        }
        Frame::Data(bytes, end) => {
            let bytes_came = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            if lane.body.len().saturating_add(bytes.len()) > limit {
                return Err(too_much());
            }
            if lane.body.is_empty() {
                lane.body = bytes;
            } else {
                lane.body.extend_from_slice(&bytes);
            }
            lane.body_bytes = lane.body_bytes.saturating_add(bytes_came);
            lane.at_end = end;
            lane.body_here = true;
            Ok(end)
        }
        Frame::Trailers(trailers) => {
            lane.trailers = Some(trailers);
            lane.body_here = true;
            Ok(true)
        }
    }
}

/// What goes on after a plugin was shown something.
pub(super) fn after_show(way: &mut Way, part: &mut Part, stage: Stage, end: bool, action: Action) -> Seen {
    let (direction, paused) = match stage {
        Stage::RequestHeaders => (Direction::Request, Paused::Head),
        Stage::RequestBody => (Direction::Request, Paused::Body),
        Stage::RequestTrailers => (Direction::Request, Paused::Trailers),
        Stage::ResponseHeaders => (Direction::Response, Paused::Head),
        Stage::ResponseBody => (Direction::Response, Paused::Body),
        Stage::ResponseTrailers => (Direction::Response, Paused::Trailers),
    };
    way.paused = Some(paused);
    way.end = end;
    let released = std::mem::take(&mut lane(part, direction).released);
    let frames =
        if action == Action::Continue || released { let_go(way, part, direction) } else { [None, None] };
    seen(part, frames)
}

/// What goes on after news, if the plugin released it.
pub(super) fn after_news(way: &mut Way, part: &mut Part, direction: Direction) -> Seen {
    let released = std::mem::take(&mut lane(part, direction).released);
    let frames = if released { let_go(way, part, direction) } else { [None, None] };
    seen(part, frames)
}

fn seen(part: &mut Part, frames: [Option<Frame>; 2]) -> Seen {
    Seen {
        frames,
        answer: part.answer.take(),
        closed: part.request.closed || part.response.closed,
        stands: std::mem::take(&mut part.access),
    }
}

/// All that is held back. Heads and trailers stay to be looked at.
fn let_go(way: &mut Way, part: &mut Part, direction: Direction) -> [Option<Frame>; 2] {
    let lane = lane(part, direction);
    let paused = way.paused.take();
    lane.head_gone |= paused == Some(Paused::Head);
    lane.body_here &= matches!(paused, None | Some(Paused::Head));
    match paused {
        None => [None, None],
        Some(Paused::Head) => [lane.headers.clone().map(|headers| Frame::Head(headers, way.end)), None],
        Some(Paused::Body) => {
            let body = std::mem::take(&mut lane.body);
            // A plugin may give trailers to what had none.
            let trailers = lane.trailers.clone().filter(|_| way.end).map(Frame::Trailers);
            let end = way.end && trailers.is_none();
            let body = (end || !body.is_empty()).then_some(Frame::Data(body, end));
            [body, trailers]
        }
        Some(Paused::Trailers) => {
            let body = std::mem::take(&mut lane.body);
            let body = (!body.is_empty()).then_some(Frame::Data(body, false));
            [body, lane.trailers.clone().map(Frame::Trailers)]
        }
    }
}
