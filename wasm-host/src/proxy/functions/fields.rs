//! Header fields, bodies, and what becomes of a request.

use wasmtime::{Caller, Linker};

use super::super::guest::{Bytes, Guest, Halt, Status, Work, status};
use super::super::pairs;
use super::super::state::{Configuring, State};
use super::ENV;
use crate::http::{Headers, Response};

type Call<'c> = Caller<'c, State>;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    maps(linker)?;
    buffers(linker)?;
    linker
        .func_wrap(ENV, "proxy_continue_stream", |mut c: Call<'_>, stream: u32| {
            status(end_stream(&mut c, stream, false))
        })?
        .func_wrap(ENV, "proxy_close_stream", |mut c: Call<'_>, stream: u32| {
            status(end_stream(&mut c, stream, true))
        })?
        .func_wrap(
            ENV,
            "proxy_send_local_response",
            |mut c: Call<'_>,
             code: u32,
             details: u32,
             details_size: u32,
             body: u32,
             body_size: u32,
             headers: u32,
             headers_size: u32,
             _grpc: u32| {
                let parts = [[details, details_size], [body, body_size], [headers, headers_size]];
                status(local_response(&mut c, code, parts))
            },
        )?;
    Ok(())
}

fn maps(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker
        .func_wrap(ENV, "proxy_get_header_map_size", |mut c: Call<'_>, map: u32, at: u32| {
            status(map_size(&mut c, map, at))
        })?
        .func_wrap(ENV, "proxy_get_header_map_pairs", |mut c: Call<'_>, map: u32, at: u32, size: u32| {
            status(get_pairs(&mut c, map, [at, size]))
        })?
        .func_wrap(ENV, "proxy_set_header_map_pairs", |mut c: Call<'_>, map: u32, at: u32, size: u32| {
            status(set_pairs(&mut c, map, [at, size]))
        })?
        .func_wrap(
            ENV,
            "proxy_get_header_map_value",
            |mut c: Call<'_>, map: u32, key: u32, key_size: u32, value: u32, value_size: u32| {
                status(get_value(&mut c, map, [key, key_size], [value, value_size]))
            },
        )?
        .func_wrap(
            ENV,
            "proxy_add_header_map_value",
            |mut c: Call<'_>, map: u32, key: u32, key_size: u32, value: u32, value_size: u32| {
                status(change(&mut c, map, [key, key_size], Some([value, value_size]), Headers::append))
            },
        )?
        .func_wrap(
            ENV,
            "proxy_replace_header_map_value",
            |mut c: Call<'_>, map: u32, key: u32, key_size: u32, value: u32, value_size: u32| {
                status(change(&mut c, map, [key, key_size], Some([value, value_size]), Headers::set))
            },
        )?
        .func_wrap(
            ENV,
            "proxy_remove_header_map_value",
            |mut c: Call<'_>, map: u32, key: u32, size: u32| {
                status(change(&mut c, map, [key, size], None, |headers, name, _| headers.remove(name)))
            },
        )?;
    Ok(())
}

fn buffers(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker
        .func_wrap(
            ENV,
            "proxy_get_buffer_bytes",
            |mut c: Call<'_>, buffer: u32, start: u32, max: u32, at: u32, size: u32| {
                status(get_buffer(&mut c, buffer, start, max, [at, size]))
            },
        )?
        .func_wrap(
            ENV,
            "proxy_set_buffer_bytes",
            |mut c: Call<'_>, buffer: u32, start: u32, size: u32, at: u32, length: u32| {
                status(set_buffer(&mut c, buffer, start, size, [at, length]))
            },
        )?
        .func_wrap(
            ENV,
            "proxy_get_buffer_status",
            |mut c: Call<'_>, buffer: u32, size: u32, flags: u32| {
                status(buffer_status(&mut c, buffer, size, flags))
            },
        )?;
    Ok(())
}

fn map_size(caller: &mut Call<'_>, map: u32, at: u32) -> Work {
    let mut guest = Guest::new(caller)?;
    let size = guest.state().map(map)?.map_or(0, |headers| headers.size());
    guest.put_u32(at, u32::try_from(size).unwrap_or(u32::MAX))
}

/// What the field is called in the map: `host` of a request is `:authority`.
fn named(map: u32, key: &[u8]) -> &[u8] {
    if map == 0 && key.eq_ignore_ascii_case(b"host") { b":authority" } else { key }
}

/// A map that is not there is handed over as one without fields: SDKs take nothing else.
fn get_pairs(caller: &mut Call<'_>, map: u32, out: [u32; 2]) -> Work {
    let mut guest = Guest::new(caller)?;
    let state = guest.state();
    let mut scratch = std::mem::take(&mut state.scratch);
    scratch.clear();
    let found = state.map(map).map(|headers| {
        if let Some(headers) = headers.filter(|headers| !headers.is_empty()) {
            scratch.reserve(pairs::size(headers));
            pairs::write(headers, &mut scratch);
        }
    });
    guest.state().scratch = scratch;
    found?;
    guest.give_scratch(out[0], out[1])
}

fn get_value(caller: &mut Call<'_>, map: u32, key: [u32; 2], out: [u32; 2]) -> Work {
    let mut guest = Guest::new(caller)?;
    let (memory, state) = guest.look();
    let key = named(map, memory.at(key[0], key[1])?);
    let mut scratch = std::mem::take(&mut state.scratch);
    scratch.clear();
    let found = state.map(map).map(|headers| {
        let value = headers.and_then(|headers| headers.get(key));
        value.map(|value| scratch.extend_from_slice(value))
    });
    state.scratch = scratch;
    found?.ok_or(Status::NotFound)?;
    guest.give_scratch(out[0], out[1])
}

fn set_pairs(caller: &mut Call<'_>, map: u32, at: [u32; 2]) -> Work {
    let mut guest = Guest::new(caller)?;
    let (memory, state) = guest.look();
    let headers = read_pairs(memory, state, at)?;
    *map_to_change(state, map)? = headers;
    Ok(())
}

/// Fields that a plugin wrote, if there are not too many of them.
pub(super) fn read_pairs(memory: Bytes<'_>, state: &State, at: [u32; 2]) -> Result<Headers, Halt> {
    let limits = &state.around.settings.limits;
    let bytes = memory.at(at[0], at[1])?;
    if bytes.len() > limits.map_bytes {
        return Err(Status::BadArgument.into());
    }
    let headers = pairs::read(bytes, limits.map_pairs).ok_or(Status::BadArgument)?;
    if headers.iter().all(|(name, value)| Headers::is_field(name, value)) {
        return Ok(headers);
    }
    Err(Status::BadArgument.into())
}

/// The map, if plugins may change it. Trailers can be given to what has none, at its end.
fn map_to_change(state: &mut State, map: u32) -> Result<&mut Headers, Halt> {
    match map {
        1 | 3 => {
            let lane = state.lane(map == 1).ok_or(Status::BadArgument)?;
            if lane.trailers.is_none() && !lane.at_end {
                return Err(Status::BadArgument.into());
            }
            Ok(lane.trailers.get_or_insert_default())
        }
        0 | 2 => {
            let lane = state.lane(map == 0).filter(|lane| !lane.head_gone);
            Ok(lane.and_then(|lane| lane.headers.as_mut()).ok_or(Status::BadArgument)?)
        }
        _ => Err(Status::BadArgument.into()),
    }
}

fn change(
    caller: &mut Call<'_>,
    map: u32,
    key: [u32; 2],
    value: Option<[u32; 2]>,
    change: impl FnOnce(&mut Headers, &[u8], &[u8]),
) -> Work {
    let mut guest = Guest::new(caller)?;
    let (memory, state) = guest.look();
    let key = named(map, memory.at(key[0], key[1])?);
    let removes = value.is_none();
    let value = value.map_or(Ok(&[][..]), |[at, size]| memory.at(at, size))?;
    let (pairs, bytes) = {
        let limits = &state.around.settings.limits;
        (limits.map_pairs, limits.map_bytes)
    };
    let headers = map_to_change(state, map)?;
    let grows = headers.len() >= pairs || headers.size() + key.len() + value.len() > bytes;
    if !removes && (grows || !Headers::is_field(key, value)) {
        return Err(Status::BadArgument.into());
    }
    change(headers, key, value);
    Ok(())
}

/// A buffer, and whether it can be written to (`proxy_buffer_type_t`).
fn buffer(state: &mut State, buffer: u32) -> Result<Buffer<'_>, Halt> {
    let found = match buffer {
        0 | 1 => state.lane(buffer == 0).map(|lane| Buffer::Body(&mut lane.body)),
        4 => state.answer.as_ref().map(|answer| Buffer::Fixed(&answer.body)),
        6 if state.configuring == Configuring::Machine => {
            Some(Buffer::Fixed(state.around.settings.vm_configuration.as_bytes()))
        }
        7 if state.configuring == Configuring::Plugin => {
            Some(Buffer::Fixed(state.around.settings.configuration.as_bytes()))
        }
        2..=8 => None,
        _ => return Err(Status::BadArgument.into()),
    };
    found.ok_or(Halt::Status(Status::NotFound))
}

enum Buffer<'s> {
    Body(&'s mut Vec<u8>),
    Fixed(&'s [u8]),
}

impl Buffer<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Body(body) => body,
            Self::Fixed(bytes) => bytes,
        }
    }
}

fn get_buffer(caller: &mut Call<'_>, which: u32, start: u32, max: u32, out: [u32; 2]) -> Work {
    let mut guest = Guest::new(caller)?;
    let state = guest.state();
    let mut scratch = std::mem::take(&mut state.scratch);
    scratch.clear();
    let found = buffer(state, which).map(|buffer| {
        let bytes = buffer.bytes();
        let at = |place: u32| usize::try_from(place).unwrap_or(usize::MAX).min(bytes.len());
        scratch.extend_from_slice(bytes.get(at(start)..at(start.saturating_add(max))).unwrap_or_default());
    });
    guest.state().scratch = scratch;
    found?;
    guest.give_scratch(out[0], out[1])
}

fn set_buffer(caller: &mut Call<'_>, which: u32, start: u32, size: u32, value: [u32; 2]) -> Work {
    let mut guest = Guest::new(caller)?;
    let (memory, state) = guest.look();
    let value = memory.at(value[0], value[1])?;
    let limit = state.around.settings.limits.body_bytes;
    let here = state.lane(which == 0).is_some_and(|lane| lane.body_here);
    let Buffer::Body(body) = buffer(state, which)? else { return Err(Status::BadArgument.into()) };
    if !here {
        return Err(Status::BadArgument.into());
    }
    let at = |place: u32| usize::try_from(place).unwrap_or(usize::MAX).min(body.len());
    let range = at(start)..at(start.saturating_add(size));
    if body.len() - range.len() + value.len() > limit {
        return Err(Status::InternalFailure.into());
    }
    body.splice(range, value.iter().copied());
    Ok(())
}

fn buffer_status(caller: &mut Call<'_>, which: u32, size_at: u32, flags_at: u32) -> Work {
    let mut guest = Guest::new(caller)?;
    let size = buffer(guest.state(), which)?.bytes().len();
    guest.put_u32(size_at, u32::try_from(size).unwrap_or(u32::MAX))?;
    guest.put_u32(flags_at, 0)
}

/// Lets a direction go on, or ends it. Streams of TCP are not here.
fn end_stream(caller: &mut Call<'_>, stream: u32, close: bool) -> Work {
    let mut guest = Guest::new(caller)?;
    let lane = match stream {
        0 | 1 => guest.state().lane(stream == 0),
        2 | 3 => return Err(Status::Unimplemented.into()),
        _ => return Err(Status::BadArgument.into()),
    };
    if let Some(lane) = lane {
        if close {
            lane.closed = true;
        } else {
            lane.released = true;
        }
    }
    Ok(())
}

/// Details and gRPC statuses are for logs of Envoy, and not kept.
fn local_response(caller: &mut Call<'_>, code: u32, [details, body, headers]: [[u32; 2]; 3]) -> Work {
    let mut guest = Guest::new(caller)?;
    let (memory, state) = guest.look();
    memory.at(details[0], details[1])?;
    let body = memory.at(body[0], body[1])?;
    let headers = read_pairs(memory, state, headers)?;
    let status =
        u16::try_from(code).ok().filter(|code| (200..=599).contains(code)).ok_or(Status::BadArgument)?;
    if body.len() > state.around.settings.limits.body_bytes {
        return Err(Status::InternalFailure.into());
    }
    let mut response = Response { status, headers, body: body.to_owned() };
    if !response.body.is_empty() && response.headers.get(b"content-type").is_none() {
        response.headers.append(b"content-type", b"text/plain");
    }
    // The first counts.
    state.part().ok_or(Status::BadArgument)?.answer.get_or_insert(response);
    Ok(())
}
