//! What happens, as it happens: server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::get;
use consentry::Revision;
use consentry::engine::Subscription;
use consentry::ledger::Record;
use http_body_util::StreamBody;
use hyper::body::Frame;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use super::engine;
use crate::serve::api::Api;
use crate::serve::app::App;
use crate::serve::config::Role;
use crate::serve::problem::Problem;

/// From where on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    /// The revision of the first record: 1 for all that ever happened. Without it: what happens from now on.
    #[schemars(range(max = 18_446_744_073_709_551_615_u64))]
    from: Option<Revision>,
}

/// Adds the route.
pub(super) fn add(api: &mut Api) {
    api.get(
        "/v1/events",
        "events",
        "Hear what happens, as server-sent events: a record each, under its revision",
    )
    .role(Role::Lifecycle)
    .query::<From>()
    .header::<Revision>("Last-Event-ID", "The revision of the last record that came: go on after it.")
    .answer_as::<String>(
        200,
        "text/event-stream",
        "The data of each event is a `Record`, its id the revision",
    )
    .with::<Record>()
    .problems(&[404, 503])
    .by(get(events));
}

/// A stream without news says so often that it is there: proxies close what is silent.
const BEAT: Duration = Duration::from_secs(15);

/// Records that wait for a slow reader.
const AHEAD: usize = 16;

/// `GET /v1/events`
pub(super) async fn events(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Problem> {
    let engine = engine(&app)?;
    let From { from } = serde_urlencoded::from_str(query.as_deref().unwrap_or_default())
        .map_err(|error| Problem::invalid(format!("the query: {error}")))?;
    // Who comes back says what came last, and wins: a browser repeats the address with what was first asked for.
    let last = match headers.get("last-event-id") {
        None => None,
        Some(last) => Some(
            last.to_str()
                .ok()
                .and_then(|last| last.parse::<Revision>().ok())
                .ok_or_else(|| Problem::invalid("the header Last-Event-ID is no revision"))?,
        ),
    };
    let from = last.map(|last| last.saturating_add(1)).or(from);
    let from = from.unwrap_or_else(|| engine.directory().revision().saturating_add(1)).max(1);
    let place = app.subscribers.clone().try_acquire_owned().map_err(|_| {
        let detail = "there are as many subscribers as there may be";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_subscribers", detail)
    })?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    let (subscription, ending) = (engine.subscribe(from), app.ending.clone());
    let runtime = Handle::current();
    std::thread::Builder::new()
        .name("events".to_owned())
        .spawn(move || tell(subscription, (&sender, &runtime), &ending, place))
        .map_err(|error| Problem::internal(error.to_string()))?;
    let body = Body::new(StreamBody::new(ReceiverStream::new(receiver)));
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

type Told = Result<Frame<Bytes>, Infallible>;

/// Whoever does not read for so long is gone.
const DEAF: Duration = Duration::from_secs(30);

/// Tells a subscriber what happens, until nobody listens, or the server ends.
fn tell(
    mut subscription: Subscription,
    (sender, runtime): (&mpsc::Sender<Told>, &Handle),
    ending: &watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
) {
    let tell = |text: String| {
        let sent = sender.send_timeout(Ok(Frame::data(Bytes::from(text))), DEAF);
        runtime.block_on(sent).is_ok()
    };
    // The beginning at once, so that who waits for it knows that the stream is there.
    let mut listening = tell(": here\n\n".to_owned());
    let mut silent = Duration::ZERO;
    // A second at a time: so soon it is seen that the server ends.
    let patience = Duration::from_secs(1);
    while listening && !*ending.borrow() {
        match subscription.next_within(patience) {
            Ok(Some(record)) => {
                silent = Duration::ZERO;
                listening = tell(written(&record));
            }
            Ok(None) => {
                silent += patience;
                if silent >= BEAT {
                    silent = Duration::ZERO;
                    listening = tell(":\n\n".to_owned());
                }
                listening &= !sender.is_closed();
            }
            Err(error) => {
                tracing::error!(code = error.code, "a subscriber was lost: {error}");
                break;
            }
        }
    }
    drop(place);
}

fn written(record: &Record) -> String {
    let revision = record.revision;
    let data = serde_json::to_string(record).unwrap_or_default();
    format!("id: {revision}\nevent: record\ndata: {data}\n\n")
}
