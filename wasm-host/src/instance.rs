//! What the core asks of an ABI, whichever it is: plugins that can be started, and instances that see requests.

use std::sync::Weak;

use consentry::policy::{AccessRequest, Evaluation};

use crate::error::{Failure, Fault, LoadError};
use crate::http::{Connection, Headers, HttpHead, Response};
use crate::slot::Slot;

/// A plugin in one configuration, linked and ready to be started.
pub(crate) trait Program: Send + Sync {
    /// Starts and configures an instance, which will live in `slot`.
    fn start(&self, slot: Weak<Slot>) -> Result<Box<dyn Instance>, LoadError>;

    /// Whether instances want to be shown this.
    fn wants(&self, stage: Stage) -> bool;
}

/// A started instance. After a fault it is dropped.
pub(crate) trait Instance: Send {
    /// A request begins; it is this instance's alone until it ends.
    fn begin(&mut self, part: Box<Part>) -> Result<(), Fault>;

    /// What the instance and its request have in common. `None`: it has no request.
    fn part(&mut self) -> Option<&mut Part>;

    /// Shows the instance what came. Bodies are shown whole as far as they were held back.
    fn show(&mut self, stage: Stage, end: bool) -> Result<Action, Fault>;

    /// The request ends.
    fn end(&mut self) -> Result<(), Fault>;

    /// Something came that is no part of a request.
    fn wake(&mut self, news: News) -> Result<(), Fault>;

    /// Whether it has done with all requests that ended, and waits for no answer.
    fn is_done(&self) -> bool {
        true
    }
}

/// The steps of a request and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    RequestHeaders,
    RequestBody,
    RequestTrailers,
    ResponseHeaders,
    ResponseBody,
    ResponseTrailers,
}

impl Stage {
    /// All of them, each at its own number.
    pub(crate) const ALL: [Self; 6] = [
        Self::RequestHeaders,
        Self::RequestBody,
        Self::RequestTrailers,
        Self::ResponseHeaders,
        Self::ResponseBody,
        Self::ResponseTrailers,
    ];
}

/// What an instance says to what it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Continue,
    Pause,
}

/// What comes to an instance beside requests.
pub(crate) enum News {
    /// The answer to a call to an upstream.
    Answer { call: u32, answer: Option<CalloutAnswer> },
    /// Its timer.
    Tick,
    /// Something was put into a queue that it reads.
    Queue { queue: u32 },
}

/// What an upstream answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CalloutAnswer {
    /// `:status` among them.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: Headers,
}

/// One direction of an exchange, as one plugin has it before it.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// The head, from when it came.
    pub(crate) headers: Option<Headers>,
    /// What came of the body and was not let on yet.
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<Headers>,
    /// Bytes of the body that have come.
    pub(crate) body_bytes: u64,
    /// The body has come to its end.
    pub(crate) at_end: bool,
    /// The head has gone on: it can be looked at, and not be changed any more.
    pub(crate) head_gone: bool,
    /// Something of the body is here, to be changed before it goes on.
    pub(crate) body_here: bool,
    /// The plugin has asked for what it held back to go on.
    pub(crate) released: bool,
    /// The plugin has asked for an end.
    pub(crate) closed: bool,
}

/// What a plugin and its request have in common.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) connection: Connection,
    pub(crate) request: Lane,
    pub(crate) response: Lane,
    /// The plugin's own answer.
    pub(crate) answer: Option<Response>,
    /// What the plugin says that the request stands for.
    pub(crate) access: Stands,
    /// Properties that the plugin set.
    pub(crate) properties: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a plugin says that a request stands for.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) enum Stands {
    /// It says nothing: there is nothing to be asked for it.
    #[default]
    Untold,
    /// This is to be asked.
    For(Box<AccessRequest>),
    /// For nothing that it knows: denied.
    Nothing,
}

impl Part {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, ..Self::default() }
    }

    /// The fields of a head or of trailers, or the bytes of a body.
    pub(crate) fn size(&self, stage: Stage) -> usize {
        let fields = |headers: &Option<Headers>| headers.as_ref().map_or(0, Headers::len);
        match stage {
            Stage::RequestHeaders => fields(&self.request.headers),
            Stage::RequestBody => self.request.body.len(),
            Stage::RequestTrailers => fields(&self.request.trailers),
            Stage::ResponseHeaders => fields(&self.response.headers),
            Stage::ResponseBody => self.response.body.len(),
            Stage::ResponseTrailers => fields(&self.response.trailers),
        }
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It goes to the upstream.
    Continue {
        /// As plugins changed it.
        head: HttpHead,
        /// What it stands for, as far as plugins said; all of it was allowed.
        asked: Vec<Asked>,
    },
    /// It is answered here.
    Respond {
        /// The answer.
        response: Response,
        /// Why.
        cause: Cause,
        /// What it stands for, as far as plugins said, and as far as that was asked.
        asked: Vec<Asked>,
    },
}

/// What a request stands for, as a plugin said, and the answer to that.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The plugin's name.
    pub plugin: String,
    /// What the request stands for.
    pub request: AccessRequest,
    /// The answer; or why it is no question, and denied.
    pub evaluation: Result<Evaluation, String>,
}

/// Why a request was answered by the host.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// A plugin answered it.
    Plugin(String),
    /// What it stands for is denied: the stable code of the reason.
    Denied(String),
    /// A plugin failed, and what fails is closed.
    Failed(Failure),
}
