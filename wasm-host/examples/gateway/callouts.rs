//! Calls of plugins to upstreams.

use std::collections::HashMap;
use std::error::Error;
use std::future::poll_fn;
use std::sync::Arc;

use consentry_wasm_host::{Callout, CalloutAnswer, Callouts, NoCallout, Reply};
use http_body_util::{BodyExt as _, Limited};
use hyper::Request;
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tokio::time::timeout;

use crate::bodies::{Inlet, Outlet, pipe};
use crate::heads;
use crate::upstream::Upstream;

/// Bytes that the body of an answer may have.
const ANSWER: usize = 1 << 20;

/// The upstreams that plugins may call, by their names.
pub(crate) struct Upstreams {
    by_name: HashMap<String, Arc<Upstream>>,
    /// Plugins call from threads of the host as well: when their time has come, without a request.
    runtime: Handle,
}

impl Upstreams {
    pub(crate) fn new(named: &[(String, String)], runtime: &Handle) -> Self {
        let upstream = |(name, address): &(String, String)| (name.clone(), Arc::new(Upstream::new(address)));
        Self { by_name: named.iter().map(upstream).collect(), runtime: runtime.clone() }
    }
}

impl Callouts for Upstreams {
    fn begin(&self, call: Callout, reply: Reply) -> Result<(), NoCallout> {
        let upstream = self.by_name.get(&call.upstream).ok_or(NoCallout::Unknown)?.clone();
        let (request, body) = request(&call).ok_or(NoCallout::Failed)?;
        self.runtime.spawn(async move {
            let answer = timeout(call.timeout, fetch(upstream, request, body)).await;
            let answer = answer.unwrap_or_else(|elapsed| Err(elapsed.into()));
            // The plugin hears that it failed, and not why.
            let answer =
                answer.inspect_err(|error| eprintln!("error gateway: call {}: {error}", call.upstream));
            // The plugin runs here.
            block_in_place(|| reply.deliver(answer.ok()));
        });
        Ok(())
    }
}

/// What is to be sent, and the way to put the body in.
fn request(call: &Callout) -> Option<(Request<Outlet>, Option<Inlet>)> {
    let whole = call.body.is_empty() && call.trailers.is_empty();
    let mut headers = call.headers.clone();
    // The body is here: its length is what it is.
    headers.remove(b"content-length");
    if !whole && call.trailers.is_empty() {
        headers.append(b"content-length", call.body.len().to_string().as_bytes());
    }
    let (request, length) = heads::to_request(&headers, whole).ok()?;
    if whole {
        return Some((request.map(|()| Outlet::nothing()), None));
    }
    let (mut inlet, outlet) = pipe(length);
    inlet.data(call.body.clone(), call.trailers.is_empty()).ok()?;
    if !call.trailers.is_empty() {
        inlet.trailers(heads::fields_of(&call.trailers).ok()?).ok()?;
    }
    Some((request.map(|()| outlet), Some(inlet)))
}

/// Fails when there is no answer, or not one that can be kept.
async fn fetch(
    upstream: Arc<Upstream>,
    request: Request<Outlet>,
    body: Option<Inlet>,
) -> Result<CalloutAnswer, Box<dyn Error + Send + Sync>> {
    // Puts the body in until the answer is there: who answers before may not want the rest.
    let sending = async {
        if let Some(mut body) = body {
            poll_fn(|context| body.poll_flush(context)).await;
        }
    };
    let answering = upstream.send(request);
    let (mut sending, mut answering) = (Box::pin(sending), Box::pin(answering));
    let mut sent = false;
    let response = poll_fn(|context| {
        sent = sent || sending.as_mut().poll(context).is_ready();
        answering.as_mut().poll(context)
    });
    let (parts, body) = response.await?.into_parts();
    let body = Limited::new(body, ANSWER).collect().await?;
    let mut answer = CalloutAnswer { headers: heads::of_response(&parts), ..CalloutAnswer::default() };
    for (name, value) in body.trailers().into_iter().flatten() {
        answer.trailers.append(name.as_str().as_bytes(), value.as_bytes());
    }
    answer.body = body.to_bytes().into();
    Ok(answer)
}
