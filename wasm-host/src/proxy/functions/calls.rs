//! Calls to upstreams. Those of gRPC are linked, and always fail.

use std::time::Duration;

use wasmtime::{Caller, Linker};

use super::super::guest::{Guest, Status, Work, name_in, status};
use super::super::state::State;
use super::ENV;
use super::fields::read_pairs;
use crate::callouts::{Callout, NoCallout, Reply};

type Call<'c> = Caller<'c, State>;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker
        .func_wrap(
            ENV,
            "proxy_http_call",
            |mut c: Call<'_>,
             upstream: u32,
             upstream_size: u32,
             headers: u32,
             headers_size: u32,
             body: u32,
             body_size: u32,
             trailers: u32,
             trailers_size: u32,
             timeout: u32,
             id: u32| {
                let parts = [[headers, headers_size], [body, body_size], [trailers, trailers_size]];
                status(http_call(&mut c, [upstream, upstream_size], parts, timeout, id))
            },
        )?
        .func_wrap(ENV, "proxy_get_status", |mut c: Call<'_>, code: u32, message: u32, size: u32| {
            status(get_status(&mut c, code, [message, size]))
        })?;
    // PARSE_FAILURE would be the answer for an upstream that is not known; SDKs take this one as well.
    let failure = Status::InternalFailure as u32;
    linker
        .func_wrap(
            ENV,
            "proxy_grpc_call",
            move |_: u32,
                  _: u32,
                  _: u32,
                  _: u32,
                  _: u32,
                  _: u32,
                  _: u32,
                  _: u32,
                  _: u32,
                  _: u32,
                  _: u32,
                  _: u32| failure,
        )?
        .func_wrap(
            ENV,
            "proxy_grpc_stream",
            move |_: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32| failure,
        )?
        .func_wrap(ENV, "proxy_grpc_send", |_: u32, _: u32, _: u32, _: u32| Status::NotFound as u32)?
        .func_wrap(ENV, "proxy_grpc_cancel", |_: u32| Status::NotFound as u32)?
        .func_wrap(ENV, "proxy_grpc_close", |_: u32| Status::NotFound as u32)?;
    Ok(())
}

fn http_call(
    caller: &mut Call<'_>,
    upstream: [u32; 2],
    [headers, body, trailers]: [[u32; 2]; 3],
    timeout: u32,
    id_at: u32,
) -> Work {
    let mut guest = Guest::new(caller)?;
    // Before anything is begun: whether there is somewhere to say which call it is.
    guest.put_u32(id_at, 0)?;
    let (memory, state) = guest.look();
    let upstream = name_in(memory.at(upstream[0], upstream[1])?);
    let body = memory.at(body[0], body[1])?;
    let (headers, trailers) = (read_pairs(memory, state, headers)?, read_pairs(memory, state, trailers)?);
    let needed = [&b":authority"[..], b":method", b":path"];
    if !state.around.settings.upstreams.contains(&upstream) {
        let message = format!("it calls the upstream `{upstream}`, which it is not granted");
        state.around.note(&mut state.log, &message);
        return Err(Status::BadArgument.into());
    }
    if needed.into_iter().any(|name| headers.get(name).is_none()) {
        return Err(Status::BadArgument.into());
    }
    let limits = &state.around.settings.limits;
    if state.calls.len() >= limits.calls || body.len() > limits.body_bytes {
        return Err(Status::InternalFailure.into());
    }
    let body = body.to_owned();
    state.last_call = state.last_call.wrapping_add(1);
    let call = state.last_call;
    let reply = Reply { slot: state.slot.clone(), call, sent: false };
    // Nobody waits for longer.
    let timeout = Duration::from_millis(timeout.into()).min(limits.pause_deadline());
    match state.around.callouts.begin(Callout { upstream, headers, body, trailers, timeout }, reply) {
        Ok(()) => {}
        Err(NoCallout::Unknown) => return Err(Status::BadArgument.into()),
        Err(NoCallout::Failed) => return Err(Status::InternalFailure.into()),
    }
    state.calls.insert(call);
    guest.put_u32(id_at, call)
}

/// The status of the call whose answer is being delivered: gateways tell none, so that it is 0 without a message.
fn get_status(caller: &mut Call<'_>, code_at: u32, message: [u32; 2]) -> Work {
    let mut guest = Guest::new(caller)?;
    guest.put_u32(code_at, 0)?;
    guest.state().scratch.clear();
    guest.give_scratch(message[0], message[1])
}
