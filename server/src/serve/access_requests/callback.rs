//! Callbacks: whoever asked for access is told how it ended.
//!
//! A callback is a notification: what counts is the task. Those that wait are kept in a file beside the ledger, a line for
//! each, so that they are told after a restart, too.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ring::hmac;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
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
    events: Option<Vec<String>>,
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
    file: Option<Mutex<File>>,
}

/// What is sent.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a str>,
    #[serde(flatten)]
    notice: &'a Notice,
}

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
            return Ok(Self { waiting: Mutex::default(), file: None });
        };
        let path = folder.join("callbacks.jsonl");
        let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut waiting = BTreeMap::new();
        if path.exists() {
            for line in BufReader::new(File::open(&path).map_err(wrong)?).lines() {
                // The last line may have been cut off: then it was not acknowledged.
                match serde_json::from_str(&line.map_err(wrong)?) {
                    Ok(Line::Wait(one)) => drop(waiting.insert(one.task.clone(), one)),
                    Ok(Line::Done(task)) => drop(waiting.remove(&task)),
                    Err(_) => {}
                }
            }
        }
        let file = rewritten(&path, &waiting).map_err(wrong)?;
        Ok(Self { waiting: Mutex::new(waiting), file: Some(Mutex::new(file)) })
    }

    /// Keeps one, durably. Blocks.
    pub(super) fn keep(&self, task: &TaskId, caller: &str, callback: Wanted) -> Result<(), String> {
        let one = Waiting { task: task.to_string(), caller: caller.to_owned(), callback };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.contains_key(&one.task) {
            return Ok(());
        }
        if waiting.len() >= MOST {
            return Err(format!("{MOST} callbacks wait already"));
        }
        self.write(&Line::Wait(one.clone())).map_err(|error| error.to_string())?;
        waiting.insert(one.task.clone(), one);
        Ok(())
    }

    fn done(&self, task: &str) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(task);
        if let Err(error) = self.write(&Line::Done(task.to_owned())) {
            tracing::error!("a callback will be told again after a restart: {error}");
        }
    }

    fn write(&self, line: &Line) -> std::io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let text = serde_json::to_string(line)?;
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        // What was cut off before ends where this begins.
        writeln!(file, "\n{text}")?;
        file.sync_data()
    }

    fn all(&self) -> Vec<Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// The file with those that wait alone, open to be added to.
fn rewritten(path: &PathBuf, waiting: &BTreeMap<String, Waiting>) -> std::io::Result<File> {
    let unfinished = path.with_extension("new");
    let mut file = File::create(&unfinished)?;
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
        let looking = requests.callbacks.all().into_iter().filter(|one| !underway.contains_key(&one.task));
        for (one, notice) in ended(&app, &requests, looking.collect()).await {
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
        let notice = |one: &Waiting| requests.notice(&app, engine, &one.task);
        let told = waiting.into_iter().filter_map(|one| notice(&one).map(|notice| (one, notice)));
        told.filter(|(_, notice)| notice.status() != Status::Pending).collect()
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

/// Tells it, with patience.
async fn told(app: App, requests: Arc<AccessRequests>, client: Client, one: Waiting, notice: Notice) {
    let status = serde_json::to_value(notice.status()).unwrap_or(Value::Null);
    let events = one.callback.events.as_ref();
    let is_wanted = events.is_none_or(|events| events.iter().any(|event| status == event.as_str()));
    let allowed = app.callers.callback(&one.caller).filter(|allowed| allowed.allows(&one.callback.endpoint));
    let Some(allowed) = allowed else {
        tracing::error!(task = one.task, caller = one.caller, "a callback is not registered any more");
        return requests.callbacks.done(&one.task);
    };
    if !is_wanted {
        return requests.callbacks.done(&one.task);
    }
    let told = Told { state: one.callback.state.as_deref(), notice: &notice };
    let body = serde_json::to_vec(&told).unwrap_or_default();
    let signature = allowed.signature(&body);
    for attempt in 0..TRIES {
        if let Some(failures) = attempt.checked_sub(1) {
            tokio::time::sleep(Duration::from_secs(1 << failures)).await;
        }
        match client.post(&one.callback.endpoint, body.clone(), &signature).await {
            Ok(()) => return requests.callbacks.done(&one.task),
            Err(error) => tracing::warn!(task = one.task, attempt, "a callback was not taken: {error}"),
        }
    }
    tracing::error!(task = one.task, "a callback is given up");
    requests.callbacks.done(&one.task);
}
