//! One request and its answer on their way through the plugins. Does no I/O: frames go in, frames come out.

mod hop;
mod lane;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::authority::Authority;
use crate::error::{Failure, FailureKind, Fault};
use crate::http::{Connection, Headers, Response};
use crate::instance::{Action, Asked, Cause, Stands};
use crate::plugin::Plugin;
use crate::settings::OnFailure;
use crate::slot::Signal;
use hop::{Hop, begin, lost};
use lane::{Paused, Way};

/// A piece of a request or of an answer.
///
/// Where a plugin may change a body, the head goes out without its `content-length`: gateways send it in chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The head, with `:method` … or `:status`; whether that is all.
    Head(Headers, bool),
    /// Some of the body; whether it is the last.
    Data(Vec<u8>, bool),
    /// The trailers, after the body.
    Trailers(Headers),
}

impl Frame {
    /// Whether nothing follows in its direction.
    #[must_use]
    pub fn is_end(&self) -> bool {
        match self {
            Self::Head(_, end) | Self::Data(_, end) => *end,
            Self::Trailers(_) => true,
        }
    }
}

/// What a gateway is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this to the upstream.
    Upstream(Frame),
    /// Send this to the client.
    Client(Frame),
    /// Cut the client off: what was begun cannot be ended.
    Reset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Response,
}

/// One request and its answer, on their way through the plugins that were there when it began.
///
/// Give it what comes ([`Exchange::request`], [`Exchange::response`]), do what it says ([`Exchange::output`]). While
/// a plugin waits for something there is no output; [`Exchange::poll_news`] tells when to look again. Dropping
/// it ends the request for the plugins.
pub struct Exchange {
    authority: Arc<dyn Authority>,
    connection: Connection,
    unmapped_goes_on: bool,
    /// In the order in which requests go through them.
    hops: Vec<Hop>,
    output: VecDeque<Output>,
    signal: Arc<Signal>,
    /// A plugin, or the host, has answered: nothing more goes to the upstream, and nothing comes from it.
    answered: bool,
    head_sent: bool,
    /// The client has all of its answer.
    ended: bool,
    over: bool,
    cause: Option<Cause>,
    asked: Vec<Asked>,
}

/// What an instance left behind after it was shown something.
struct Seen {
    /// What goes on.
    frames: [Option<Frame>; 2],
    answer: Option<Response>,
    closed: bool,
    stands: Stands,
}

impl Exchange {
    pub(crate) fn new(
        plugins: &[Arc<Plugin>],
        authority: Arc<dyn Authority>,
        connection: Connection,
        unmapped_goes_on: bool,
    ) -> Self {
        Self {
            authority,
            connection,
            unmapped_goes_on,
            hops: plugins.iter().map(Hop::new).collect(),
            output: VecDeque::new(),
            signal: Arc::default(),
            answered: false,
            head_sent: false,
            ended: false,
            over: false,
            cause: None,
            asked: Vec::new(),
        }
    }

    /// A piece of the request came from the client.
    pub fn request(&mut self, frame: Frame) {
        self.take_news();
        if !self.answered && !self.over {
            self.feed(0, Direction::Request, frame);
        }
    }

    /// A piece of the answer came from the upstream.
    pub fn response(&mut self, frame: Frame) {
        self.take_news();
        if !self.answered && !self.over {
            self.outward(self.hops.len(), frame);
        }
    }

    /// What is to be done next. `None`: wait for more to come, or for news.
    pub fn output(&mut self) -> Option<Output> {
        self.take_news();
        self.output.pop_front()
    }

    /// Whether a plugin holds something back.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.hops.iter().any(Hop::is_paused)
    }

    /// Whether more of the request is of use now. While a plugin holds the head back nothing after it is shown to
    /// anybody: it would be kept here, and be too much at some point.
    #[must_use]
    pub fn takes_request(&self) -> bool {
        !self.hops.iter().any(|hop| hop.request.paused == Some(Paused::Head))
    }

    /// As [`Exchange::takes_request`], of the answer.
    #[must_use]
    pub fn takes_response(&self) -> bool {
        !self.hops.iter().any(|hop| hop.response.paused == Some(Paused::Head))
    }

    /// Waits until a plugin that waits for something may have gone on; false: none has. For callers that block.
    pub fn wait(&mut self, patience: Duration) -> bool {
        self.signal.wait(patience) && {
            self.look_again();
            true
        }
    }

    /// As [`Exchange::wait`], for callers that do not block.
    pub fn poll_news(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.signal.take_or_register(Some(context.waker())) {
            self.look_again();
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// The longest that a request may wait for its plugins.
    #[must_use]
    pub fn patience(&self) -> Duration {
        let patience = |hop: &Hop| hop.plugin.settings.limits.pause_deadline();
        self.hops.iter().filter(|hop| hop.is_paused()).map(patience).max().unwrap_or_default()
    }

    /// Gives up on a plugin that waits for too long.
    pub fn give_up(&mut self) {
        if let Some(index) = self.hops.iter().position(Hop::is_paused) {
            self.fail_idle(index, &Fault::new(FailureKind::Pause, "it still waits for something"));
        }
    }

    /// Why the request was answered here, when it was.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }

    /// What the request stands for, as far as plugins said, and the answers.
    #[must_use]
    pub fn asked(&self) -> &[Asked] {
        &self.asked
    }

    pub(crate) fn take_asked(&mut self) -> Vec<Asked> {
        std::mem::take(&mut self.asked)
    }

    fn take_news(&mut self) {
        if self.is_paused() && self.signal.take_or_register(None) {
            self.look_again();
        }
    }

    /// Lets on what plugins released in the meantime.
    fn look_again(&mut self) {
        for direction in [Direction::Request, Direction::Response] {
            for index in 0..self.hops.len() {
                let Some(hop) = self.hops.get_mut(index) else { continue };
                let Some(slot) = hop.slot.clone() else { continue };
                let way = hop.way(direction);
                let seen = slot.with(|instance| {
                    let part = instance.part().ok_or_else(lost)?;
                    Ok(lane::after_news(way, part, direction))
                });
                self.digest(index, direction, seen, None);
            }
        }
    }

    /// Shows a frame to the plugin at `index`, and lets on what it lets on.
    fn feed(&mut self, index: usize, direction: Direction, frame: Frame) {
        if direction == Direction::Request && self.answered {
            return;
        }
        let Some(hop) = self.hops.get_mut(index) else { return self.leave(direction, frame) };
        if hop.skipped {
            return self.pass(index, direction, frame);
        }
        let limit = hop.plugin.settings.limits.body_bytes;
        if hop.way(direction).paused == Some(Paused::Head) {
            if !hop.way(direction).keep(frame, limit) {
                self.fail_idle(index, &lane::too_much());
            }
            return;
        }
        if hop.slot.is_none() {
            // An answer given before the request came here passes by.
            if direction == Direction::Response {
                return self.pass(index, direction, frame);
            }
            match begin(&hop.plugin, self.connection, &self.signal) {
                Ok(slot) => hop.slot = Some(slot),
                Err(failure) => return self.failed(index, failure, Some((direction, frame))),
            }
        }
        let Some(slot) = hop.slot.clone() else { return };
        hop.answering |= direction == Direction::Response;
        let stage = lane::stage(direction, &frame);
        let wants = hop.plugin.program.wants(stage);
        let way = hop.way(direction);
        if !wants && way.paused.is_none() && matches!(frame, Frame::Data(..)) {
            return self.pass(index, direction, frame);
        }
        let open = hop.plugin.settings.on_failure == OnFailure::Open;
        let spare = open.then(|| (direction, frame.clone()));
        let way = hop.way(direction);
        let seen = slot.with(|instance| {
            lane::forget_release(way, instance.part().ok_or_else(lost)?, direction);
            let end = lane::place(instance.part().ok_or_else(lost)?, direction, frame, limit)?;
            let action = if wants { instance.show(stage, end)? } else { Action::Continue };
            Ok(lane::after_show(way, instance.part().ok_or_else(lost)?, stage, end, action))
        });
        self.digest(index, direction, seen, spare);
    }

    /// Does what an instance wants done after it was shown something.
    fn digest(&mut self, index: usize, direction: Direction, seen: Result<Seen, Fault>, spare: Spare) {
        let seen = match seen {
            Ok(seen) => seen,
            Err(fault) => return self.fail(index, &fault, spare),
        };
        if seen.closed {
            return self.reset();
        }
        if let Some(answer) = seen.answer {
            let name = self.hops.get(index).map(|hop| hop.plugin.name.to_string());
            // Not to be shown its own answer in the place of the answer that it looks at.
            let answering = self.hops.get(index).is_some_and(|hop| hop.answering);
            let direction = if answering { Direction::Response } else { direction };
            return self.answer(direction, &answer, Cause::Plugin(name.unwrap_or_default()));
        }
        if let Some(reason) = self.denied(index, seen.stands) {
            let mut answer = Response::new(403);
            answer.headers.append(b"content-type", b"application/json");
            answer.headers.append(b"x-consentry-reason", reason.as_bytes());
            answer.body = format!("{{\"decision\":\"deny\",\"reason\":\"{reason}\"}}\n").into_bytes();
            return self.answer(direction, &answer, Cause::Denied(reason.to_owned()));
        }
        for frame in seen.frames.into_iter().flatten() {
            self.pass(index, direction, frame);
        }
        let Some(hop) = self.hops.get_mut(index) else { return };
        for frame in hop.way(direction).take_waiting() {
            self.feed(index, direction, frame);
        }
    }

    /// Asks for what a request stands for: the reason why nothing of it may go on.
    fn denied(&mut self, index: usize, stands: Stands) -> Option<&'static str> {
        let request = match stands {
            Stands::Untold => return None,
            Stands::Nothing if self.unmapped_goes_on => return None,
            Stands::Nothing => return Some("unmapped"),
            Stands::For(request) => *request,
        };
        let evaluation = self.authority.evaluate(&request).map_err(|error| error.to_string());
        let reason = match &evaluation {
            Ok(evaluation) if evaluation.is_allowed() => None,
            Ok(evaluation) => Some(evaluation.reason.map_or("not_permitted", |reason| reason.name())),
            Err(_) => Some("malformed"),
        };
        if let (Err(why), Some(hop)) = (&evaluation, self.hops.get(index)) {
            hop.plugin.note(&format!("what it says that a request stands for is no question: {why}"));
        }
        let plugin = self.hops.get(index).map(|hop| hop.plugin.name.to_string()).unwrap_or_default();
        self.asked.push(Asked { plugin, request, evaluation });
        reason
    }

    /// On to the next plugin in this direction.
    fn pass(&mut self, index: usize, direction: Direction, frame: Frame) {
        match direction {
            Direction::Request => self.feed(index + 1, direction, frame),
            Direction::Response => self.outward(index, frame),
        }
    }

    /// To the plugin before `index`; before the first is the client.
    fn outward(&mut self, index: usize, frame: Frame) {
        match index.checked_sub(1) {
            Some(before) => self.feed(before, Direction::Response, frame),
            None => self.leave(Direction::Response, frame),
        }
    }

    fn leave(&mut self, direction: Direction, mut frame: Frame) {
        if self.over {
            return;
        }
        // A length that a plugin may still make wrong would let the body be read as the next message.
        if let Frame::Head(headers, false) = &mut frame
            && self.hops.iter().any(|hop| !hop.skipped && hop.plugin.program.wants(lane::body(direction)))
        {
            headers.remove(b"content-length");
        }
        match direction {
            Direction::Request => self.output.push_back(Output::Upstream(frame)),
            // Whatever comes after the end would be read as the next answer.
            Direction::Response if self.ended => {}
            Direction::Response => {
                self.head_sent = true;
                self.ended = frame.is_end();
                self.output.push_back(Output::Client(frame));
            }
        }
    }

    /// Answers in the upstream's place. The plugins that saw the request see the answer to it; an answer in place of
    /// another answer goes straight to the client.
    fn answer(&mut self, direction: Direction, answer: &Response, cause: Cause) {
        self.cause.get_or_insert(cause);
        if self.head_sent {
            return self.reset();
        }
        self.answered = true;
        for hop in &mut self.hops {
            hop.request = Way::default();
            hop.response = Way::default();
        }
        let whole = answer.body.is_empty() || !answer.may_have_body();
        let body = (!whole).then(|| Frame::Data(answer.body.clone(), true));
        let begun = match direction {
            Direction::Request => {
                self.hops.iter().take_while(|hop| hop.slot.is_some() || hop.skipped).count()
            }
            Direction::Response => 0,
        };
        for frame in [Some(Frame::Head(answer.head(), whole)), body].into_iter().flatten() {
            self.outward(begun, frame);
        }
        // What plugins let on at once is as long as it is, whatever they changed.
        if let [.., Output::Client(Frame::Head(head, false)), Output::Client(Frame::Data(body, true))] =
            self.output.make_contiguous()
        {
            head.set(b"content-length", body.len().to_string().as_bytes());
        }
    }

    fn reset(&mut self) {
        self.answered = true;
        self.over = true;
        self.output.push_back(Output::Reset);
        for hop in &mut self.hops {
            hop.request = Way::default();
            hop.response = Way::default();
        }
    }

    /// The plugin at `index` failed without being called.
    fn fail_idle(&mut self, index: usize, fault: &Fault) {
        let Some(hop) = self.hops.get(index) else { return };
        let failure = hop.plugin.failed(fault);
        self.failed(index, failure, None);
    }

    fn fail(&mut self, index: usize, fault: &Fault, spare: Spare) {
        let Some(hop) = self.hops.get(index) else { return };
        let failure = hop.plugin.failure(fault);
        self.failed(index, failure, spare);
    }

    /// The plugin at `index` is out of it. The request goes on without it only where that is asked for, and nothing
    /// that it held back is lost.
    fn failed(&mut self, index: usize, failure: Failure, spare: Spare) {
        let Some(hop) = self.hops.get_mut(index) else { return };
        let held = hop.is_paused();
        hop.slot = None;
        hop.skipped = true;
        if hop.plugin.settings.on_failure == OnFailure::Open && !held {
            // It failed at what it was shown, or between two of them.
            return spare.into_iter().for_each(|(direction, frame)| self.pass(index, direction, frame));
        }
        let answering = !self.answered && self.hops.iter().any(|hop| hop.answering);
        let (direction, too_large) =
            if answering { (Direction::Response, 502) } else { (Direction::Request, 413) };
        let status = if failure.kind == FailureKind::Body { too_large } else { 503 };
        self.answer(direction, &Response::new(status), Cause::Failed(failure));
    }
}

/// What goes on in place of what a plugin was to let on, if it fails.
type Spare = Option<(Direction, Frame)>;

impl Drop for Exchange {
    fn drop(&mut self) {
        for hop in &mut self.hops {
            if let Some(slot) = hop.slot.take()
                && slot.with(|instance| instance.end()).is_ok()
            {
                hop.plugin.check_in(slot);
            }
        }
    }
}
