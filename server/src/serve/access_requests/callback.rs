//! Callbacks: whoever asked for access is told how it ended.
//!
//! A callback is a notification: what counts is the task. Those that wait are kept in a file beside the ledger, a line for
//! each, so that they are told after a restart, too.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::hmac;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::AccessRequests;
use super::task::{Notice, Status, TaskId};
use crate::serve::app::App;
use crate::serve::callers::Callback as Allowed;
use crate::serve::client::Client;

/// What a request for access says about whom to tell (ARAP, "Callback Completion").
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AccessRequestCallback")]
pub(super) struct Wanted {
    /// Where to: an address that is registered for the caller.
    endpoint: String,
    /// Sent back as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// Of which ends to tell; left out: of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    events: Option<Vec<Ending>>,
}

/// How a request can end (ARAP, "Task Lifecycle"). None of ours fails: what breaks is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "AccessRequestEnding")]
enum Ending {
    Approved,
    Denied,
    Expired,
    Cancelled,
    Failed,
    Partial,
}

impl Ending {
    fn is(self, status: Status) -> bool {
        match self {
            Self::Approved => status == Status::Approved,
            Self::Denied => status == Status::Denied,
            Self::Expired => status == Status::Expired,
            Self::Cancelled => status == Status::Cancelled,
            Self::Failed => false,
            Self::Partial => status == Status::Partial,
        }
    }
}

impl Wanted {
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

/// One that waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Waiting {
    task: String,
    caller: String,
    callback: Wanted,
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Wait(Waiting),
    /// It was told, or given up.
    Done(String),
}

/// Those that wait, by their tasks.
pub(super) struct Callbacks {
    waiting: Mutex<BTreeMap<String, Waiting>>,
    /// Held from looking who waits to having written it down.
    file: Mutex<Option<Kept>>,
}

/// Where they are written down.
struct Kept {
    path: PathBuf,
    file: File,
    /// Lines in it.
    lines: usize,
}

/// What is sent.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a str>,
    #[serde(flatten)]
    notice: &'a Notice,
}

/// The file is written anew when it has this many more lines than twice those that wait.
const SPARE: usize = 1_000;

/// So many wait at most.
pub(super) const MOST: usize = 10_000;

/// How often it is seen whether tasks have ended.
const EVERY: Duration = Duration::from_secs(1);
/// How often it is tried to tell somebody; after each failure it takes twice as long, from a second on.
const TRIES: u32 = 10;

impl Allowed {
    /// Whether this endpoint is one of those that are registered: the very one, or below one that ends with `/`.
    pub(super) fn allows(&self, endpoint: &str) -> bool {
        let plain = |rest: &str| {
            !rest.contains("..")
                && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/?=&".contains(&byte))
        };
        let below = |url: &str| endpoint.strip_prefix(url).filter(|_| url.ends_with('/')).is_some_and(plain);
        self.urls.iter().any(|url| url == endpoint || below(url))
    }

    fn signature(&self, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.key);
        let made = hmac::sign(&key, body);
        made.as_ref().iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }
}

impl Callbacks {
    /// Those that wait according to the file in `folder`; without a folder, none, and they end with the process.
    pub(super) fn open(folder: Option<&Path>) -> Result<Self, String> {
        let Some(folder) = folder else {
            return Ok(Self { waiting: Mutex::default(), file: Mutex::default() });
        };
        let path = folder.join("callbacks.jsonl");
        let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut waiting = BTreeMap::new();
        if path.exists() {
            for line in BufReader::new(File::open(&path).map_err(wrong)?).split(b'\n') {
                // The last line may have been cut off, within a letter even: then it was not acknowledged.
                match serde_json::from_slice(&line.map_err(wrong)?) {
                    Ok(Line::Wait(one)) => drop(waiting.insert(one.task.clone(), one)),
                    Ok(Line::Done(task)) => drop(waiting.remove(&task)),
                    Err(_) => {}
                }
            }
        }
        let file = rewritten(&path, &waiting).map_err(wrong)?;
        let kept = Kept { path, file, lines: waiting.len() };
        Ok(Self { waiting: Mutex::new(waiting), file: Mutex::new(Some(kept)) })
    }

    /// Keeps one, durably. Blocks.
    pub(super) fn keep(&self, task: &TaskId, caller: &str, callback: Wanted) -> Result<(), String> {
        let one = Waiting { task: task.to_string(), caller: caller.to_owned(), callback };
        // Nobody who only looks at who waits waits for the disk.
        let mut kept = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let waiting = self.waiting();
            if waiting.contains_key(&one.task) {
                return Ok(());
            }
            if waiting.len() >= MOST {
                return Err(format!("{MOST} callbacks wait already"));
            }
        }
        if let Some(kept) = &mut *kept {
            kept.write(&Line::Wait(one.clone())).map_err(|error| error.to_string())?;
        }
        self.waiting().insert(one.task.clone(), one);
        Ok(())
    }

    /// Forgets one. Blocks.
    fn done(&self, task: &str) {
        let mut kept = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting().remove(task);
        let Some(kept) = &mut *kept else { return };
        let written = kept.write(&Line::Done(task.to_owned())).and_then(|()| {
            let waiting = self.waiting().clone();
            if kept.lines <= 2 * waiting.len() + SPARE {
                return Ok(());
            }
            kept.file = rewritten(&kept.path, &waiting)?;
            kept.lines = waiting.len();
            Ok(())
        });
        if let Err(error) = written {
            tracing::error!("a callback will be told again after a restart: {error}");
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Vec<Waiting> {
        self.waiting().values().cloned().collect()
    }
}

impl Kept {
    fn write(&mut self, line: &Line) -> std::io::Result<()> {
        let text = serde_json::to_string(line)?;
        // What was cut off before ends where this begins.
        writeln!(self.file, "\n{text}")?;
        self.lines += 1;
        self.file.sync_data()
    }
}

/// The file with those that wait alone, open to be added to.
fn rewritten(path: &PathBuf, waiting: &BTreeMap<String, Waiting>) -> std::io::Result<File> {
    let unfinished = path.with_extension("new");
    // What callers gave to be sent back is for nobody else.
    let mut file =
        OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&unfinished)?;
    for one in waiting.values() {
        writeln!(file, "{}", serde_json::to_string(&Line::Wait(one.clone()))?)?;
    }
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    OpenOptions::new().append(true).open(path)
}

/// Tells whoever asked for access how it ended, for as long as the server runs.
pub(crate) async fn tell(app: App, mut ending: watch::Receiver<bool>) {
    let Some(requests) = app.access_requests.clone() else { return };
    let client = match Client::new() {
        Ok(client) => client,
        Err(error) => return tracing::error!("callbacks are never told: {error}"),
    };
    let mut underway: BTreeMap<String, tokio::task::JoinHandle<()>> = BTreeMap::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = ending.changed() => break,
        }
        underway.retain(|_, telling| !telling.is_finished());
        let mut waiting = requests.callbacks.all();
        waiting.retain(|one| !underway.contains_key(&one.task));
        if waiting.is_empty() {
            continue;
        }
        for (one, notice) in ended(&app, &requests, waiting).await {
            let task = one.task.clone();
            underway
                .insert(task, tokio::spawn(told(app.clone(), requests.clone(), client.clone(), one, notice)));
        }
    }
    underway.into_values().for_each(|telling| telling.abort());
}

/// Those whose tasks have ended, and what to say about them.
async fn ended(app: &App, requests: &Arc<AccessRequests>, waiting: Vec<Waiting>) -> Vec<(Waiting, Notice)> {
    let (app, requests) = (app.clone(), requests.clone());
    let look = move || {
        let Some(engine) = app.decision_point.engine() else { return Vec::new() };
        let mut ended = Vec::new();
        for one in waiting {
            match requests.notice(&app, engine, &one.task) {
                Ok(Some(notice)) if notice.status() != Status::Pending => ended.push((one, notice)),
                Ok(Some(_)) | Err(_) => {}
                // Of another ledger than this one.
                Ok(None) => requests.callbacks.done(&one.task),
            }
        }
        ended
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

/// Tells it, with patience.
async fn told(app: App, requests: Arc<AccessRequests>, client: Client, one: Waiting, notice: Notice) {
    let events = one.callback.events.as_ref();
    let is_wanted = events.is_none_or(|events| events.iter().any(|event| event.is(notice.status())));
    let allowed = app.callers.callback(&one.caller).filter(|allowed| allowed.allows(&one.callback.endpoint));
    let Some(allowed) = allowed else {
        tracing::error!(task = one.task, caller = one.caller, "a callback is not registered any more");
        return forgotten(requests, one).await;
    };
    if !is_wanted {
        return forgotten(requests, one).await;
    }
    let told = Told { state: one.callback.state.as_deref(), notice: &notice };
    let body = serde_json::to_vec(&told).unwrap_or_default();
    let signature = allowed.signature(&body);
    for attempt in 0..TRIES {
        if let Some(failures) = attempt.checked_sub(1) {
            tokio::time::sleep(Duration::from_secs(1 << failures)).await;
        }
        match client.post(&one.callback.endpoint, body.clone(), &signature).await {
            Ok(()) => return forgotten(requests, one).await,
            Err(error) => tracing::warn!(task = one.task, attempt, "a callback was not taken: {error}"),
        }
    }
    tracing::error!(task = one.task, "a callback is given up");
    forgotten(requests, one).await;
}

async fn forgotten(requests: Arc<AccessRequests>, one: Waiting) {
    let _ = tokio::task::spawn_blocking(move || requests.callbacks.done(&one.task)).await;
}
