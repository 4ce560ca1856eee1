//! One request on its way: from the client through the plugins to the upstream, and its answer back.
//!
//! A [`Relay`] is no task of its own. hyper polls it for the head of the answer and then as its body, and drops it
//! when the client goes away: so does the request end for the plugins and for the upstream.

use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use consentry_wasm_host::{Connection, Exchange, Frame, Headers, Host, Output};
use http_body_util::{Either, Empty};
use hyper::body::{self, Body, Bytes, Incoming};
use hyper::{HeaderMap, Request, Response, StatusCode, Version};
use tokio::task::block_in_place;
use tokio::time::{Sleep, sleep};

use crate::bodies::{Cut, Inlet, Length, Outlet, pipe};
use crate::heads;
use crate::upstream::Upstream;

/// What all requests have in common.
pub(crate) struct Gateway {
    pub(crate) host: Host,
    pub(crate) upstream: Arc<Upstream>,
}

impl Gateway {
    /// Answers a request. An error cuts the client off.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        connection: Connection,
    ) -> Result<Response<Either<Relay, Empty<Bytes>>>, Cut> {
        let bare = |status| {
            let mut response = Response::new(Either::Right(Empty::new()));
            *response.status_mut() = status;
            response
        };
        let asked = request.method().clone();
        let Some(mut relay) = Relay::begin(self, request, connection) else {
            return Ok(bare(StatusCode::BAD_REQUEST));
        };
        let (head, whole) = match poll_fn(|context| relay.poll_client(context)).await? {
            Frame::Head(head, whole) => (head, whole),
            Frame::Data(..) | Frame::Trailers(_) => return Err(Cut),
        };
        let Ok((response, length)) = heads::to_response(&head, whole, &asked) else {
            eprintln!("error gateway: plugins made an answer that cannot be sent");
            return Ok(bare(StatusCode::BAD_GATEWAY));
        };
        (relay.length, relay.over) = (length, whole);
        Ok(response.map(|()| Either::Left(relay)))
    }
}

type Sent = Pin<Box<dyn Future<Output = Result<Response<Incoming>, Box<dyn Error + Send + Sync>>> + Send>>;

/// The upstream's answer.
enum Answer {
    /// Nothing was asked, or all of it came.
    None,
    Awaited(Sent),
    Coming(Incoming),
}

/// A request, until its answer has gone to the client.
pub(crate) struct Relay {
    gateway: Arc<Gateway>,
    exchange: Exchange,
    /// The body that the client sends, until all of it came.
    request: Option<Incoming>,
    to_upstream: Option<Inlet>,
    answer: Answer,
    /// Runs while there is nothing to wait for but plugins.
    patience: Option<Pin<Box<Sleep>>>,
    /// What the client was promised.
    length: Length,
    /// All of the answer has gone.
    over: bool,
}

impl Relay {
    /// `None`: it is no request that can be passed on.
    fn begin(gateway: &Arc<Gateway>, request: Request<Incoming>, connection: Connection) -> Option<Self> {
        let (parts, body) = request.into_parts();
        let head = heads::of_request(&parts)?;
        let protocol = if parts.version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
        let connection = Connection { protocol: Some(protocol), ..connection };
        let whole = body.is_end_stream();
        let mut relay = Self {
            gateway: gateway.clone(),
            exchange: gateway.host.exchange(connection),
            request: (!whole).then_some(body),
            to_upstream: None,
            answer: Answer::None,
            patience: None,
            length: Length::new(None),
            over: false,
        };
        relay.show(Exchange::request, Frame::Head(head, whole));
        Some(relay)
    }

    /// Shows plugins what came. They run here, each for its deadline at most: meanwhile tokio has another thread do
    /// what this one had to do, or requests would wait for a plugin that is not theirs.
    fn show(&mut self, came: fn(&mut Exchange, Frame), frame: Frame) {
        block_in_place(|| came(&mut self.exchange, frame));
    }

    /// What goes to the client next.
    fn poll_client(&mut self, context: &mut Context<'_>) -> Poll<Result<Frame, Cut>> {
        loop {
            while let Some(output) = self.output() {
                match output {
                    Output::Client(frame) => return Poll::Ready(Ok(frame)),
                    Output::Upstream(frame) => self.send(frame)?,
                    Output::Reset => return Poll::Ready(Err(Cut)),
                }
            }
            if self.exchange.cause().is_some() {
                // Answered here: what is still to come of either side is of no use.
                (self.request, self.to_upstream, self.answer) = (None, None, Answer::None);
            }
            ready!(self.poll_step(context))?;
        }
    }

    fn output(&mut self) -> Option<Output> {
        if self.exchange.is_paused() {
            // It may wait for a plugin that is just being told something.
            return block_in_place(|| self.exchange.output());
        }
        self.patience = None;
        self.exchange.output()
    }

    /// Does what plugins let on. What cannot be sent is answered for the upstream, if it has not done so itself.
    fn send(&mut self, frame: Frame) -> Result<(), Cut> {
        let sent = match (frame, &mut self.to_upstream) {
            (Frame::Head(head, whole), _) => {
                self.ask(&head, whole);
                Ok(())
            }
            // It has failed meanwhile.
            (_, None) => Ok(()),
            (Frame::Data(bytes, end), Some(inlet)) => inlet.data(bytes, end),
            (Frame::Trailers(fields), Some(inlet)) => {
                heads::fields_of(&fields).map_err(|_| Cut).and_then(|fields| inlet.trailers(fields))
            }
        };
        if sent.is_ok() || !matches!(self.answer, Answer::Awaited(_)) {
            return sent;
        }
        eprintln!("error gateway: plugins made a body that cannot be sent");
        self.fail(StatusCode::INTERNAL_SERVER_ERROR);
        Ok(())
    }

    fn ask(&mut self, head: &Headers, whole: bool) {
        let Ok((request, length)) = heads::to_request(head, whole) else {
            eprintln!("error gateway: plugins made a request that cannot be sent");
            return self.fail(StatusCode::INTERNAL_SERVER_ERROR);
        };
        let body = if whole {
            Outlet::nothing()
        } else {
            let (inlet, outlet) = pipe(length);
            self.to_upstream = Some(inlet);
            outlet
        };
        let upstream = self.gateway.upstream.clone();
        self.answer = Answer::Awaited(Box::pin(upstream.send(request.map(|()| body))));
    }

    /// Answers in the place of an upstream from which nothing came. Plugins see it like any answer.
    fn fail(&mut self, status: StatusCode) {
        (self.request, self.to_upstream, self.answer) = (None, None, Answer::None);
        let head = Headers::from_iter([(":status", status.as_str()), ("content-length", "0")]);
        self.show(Exchange::response, Frame::Head(head, true));
    }

    /// Takes in one thing that came; pending: there is nothing.
    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        // The client is read as fast as the upstream takes what plugins let on.
        let room = self.to_upstream.as_mut().is_none_or(|inlet| inlet.poll_flush(context).is_ready());
        if room
            && self.exchange.takes_request()
            && let Some(body) = &mut self.request
            && let Poll::Ready(came) = Pin::new(body).poll_frame(context)
        {
            let frame = piece(came.transpose().map_err(|_| Cut)?);
            if frame.is_end() {
                self.request = None;
            }
            self.show(Exchange::request, frame);
            return Poll::Ready(Ok(()));
        }
        match &mut self.answer {
            Answer::Awaited(sent) => {
                if let Poll::Ready(answer) = sent.as_mut().poll(context) {
                    self.answered(answer);
                    return Poll::Ready(Ok(()));
                }
            }
            Answer::Coming(body) if self.exchange.takes_response() => {
                if let Poll::Ready(came) = Pin::new(body).poll_frame(context) {
                    let frame = piece(came.transpose().map_err(|_| Cut)?);
                    if frame.is_end() {
                        self.answer = Answer::None;
                    }
                    self.show(Exchange::response, frame);
                    return Poll::Ready(Ok(()));
                }
            }
            Answer::Coming(_) | Answer::None => {}
        }
        self.poll_plugins(context).map(Ok)
    }

    fn answered(&mut self, answer: Result<Response<Incoming>, Box<dyn Error + Send + Sync>>) {
        let (parts, body) = match answer {
            Ok(response) => response.into_parts(),
            Err(error) => {
                eprintln!("error gateway: upstream: {error}");
                return self.fail(StatusCode::BAD_GATEWAY);
            }
        };
        let whole = body.is_end_stream();
        self.answer = if whole { Answer::None } else { Answer::Coming(body) };
        self.show(Exchange::response, Frame::Head(heads::of_response(&parts), whole));
    }

    /// Waits for plugins that wait for something, for as long as they may: time runs against them only while it is
    /// not the client or the upstream who is slow.
    fn poll_plugins(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.exchange.is_paused() {
            return Poll::Pending;
        }
        if block_in_place(|| self.exchange.poll_news(context)).is_ready() {
            return Poll::Ready(());
        }
        let others = self.request.is_some() && self.exchange.takes_request()
            || matches!(self.answer, Answer::Coming(_)) && self.exchange.takes_response();
        if others {
            self.patience = None;
            return Poll::Pending;
        }
        let exchange = &self.exchange;
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(exchange.patience())));
        ready!(patience.as_mut().poll(context));
        self.patience = None;
        block_in_place(|| self.exchange.give_up());
        Poll::Ready(())
    }
}

/// What came of a body. Its end comes by itself, as plugins know it from Envoy.
fn piece(came: Option<body::Frame<Bytes>>) -> Frame {
    let Some(frame) = came else { return Frame::Data(Vec::new(), true) };
    match frame.into_data() {
        Ok(bytes) => Frame::Data(bytes.into(), false),
        Err(frame) => Frame::Trailers(fields(&frame.into_trailers().unwrap_or_default())),
    }
}

fn fields(fields: &HeaderMap) -> Headers {
    fields.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect()
}

impl Body for Relay {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<body::Frame<Bytes>, Cut>>> {
        while !self.over {
            let sent = match ready!(self.poll_client(context))? {
                Frame::Data(bytes, end) => {
                    self.length.take(bytes.len(), end)?;
                    self.over = end;
                    if bytes.is_empty() {
                        continue;
                    }
                    body::Frame::data(bytes.into())
                }
                Frame::Trailers(fields) => {
                    self.length.take(0, true)?;
                    self.over = true;
                    body::Frame::trailers(heads::fields_of(&fields).map_err(|_| Cut)?)
                }
                Frame::Head(..) => return Poll::Ready(Some(Err(Cut))),
            };
            return Poll::Ready(Some(Ok(sent)));
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}

impl Drop for Relay {
    /// Plugins are told of the end of the request, and run for it as they do for the rest.
    fn drop(&mut self) {
        let nothing = self.gateway.host.exchange(Connection::default());
        let exchange = std::mem::replace(&mut self.exchange, nothing);
        block_in_place(|| drop(exchange));
    }
}
