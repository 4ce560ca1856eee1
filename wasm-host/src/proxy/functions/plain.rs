//! Contexts, the log, the time, properties, and the engine.

use std::time::Duration;

use consentry::Uid;
use consentry::policy::{AccessRequest, Evaluation};
use serde::Deserialize;
use wasmtime::{Caller, Linker};

use super::super::guest::{Guest, Halt, Status, Work, status};
use super::super::properties;
use super::super::state::{ROOT, State};
use super::ENV;
use crate::clock;
use crate::settings::{Capability, Level};
use crate::surroundings::Surroundings;

type Call<'c> = Caller<'c, State>;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker
        .func_wrap(ENV, "proxy_log", |mut c: Call<'_>, level: u32, at: u32, size: u32| {
            status(log(&mut c, level, at, size))
        })?
        .func_wrap(ENV, "proxy_get_log_level", |mut c: Call<'_>, at: u32| status(log_level(&mut c, at)))?
        .func_wrap(ENV, "proxy_get_current_time_nanoseconds", |mut c: Call<'_>, at: u32| {
            status(time(&mut c, at))
        })?
        .func_wrap(ENV, "proxy_set_tick_period_milliseconds", |mut c: Call<'_>, period: u32| {
            status(tick_period(&mut c, period))
        })?
        .func_wrap(ENV, "proxy_done", |mut c: Call<'_>| status(done(&mut c)))?
        .func_wrap(ENV, "proxy_set_effective_context", |mut c: Call<'_>, context: u32| {
            status(set_effective_context(&mut c, context))
        })?
        .func_wrap(
            ENV,
            "proxy_get_property",
            |mut c: Call<'_>, path: u32, path_size: u32, value: u32, value_size: u32| {
                status(get_property(&mut c, [path, path_size], [value, value_size]))
            },
        )?
        .func_wrap(
            ENV,
            "proxy_set_property",
            |mut c: Call<'_>, path: u32, path_size: u32, value: u32, value_size: u32| {
                status(set_property(&mut c, [path, path_size], [value, value_size]))
            },
        )?
        .func_wrap(
            ENV,
            "proxy_call_foreign_function",
            |mut c: Call<'_>,
             name: u32,
             name_size: u32,
             arguments: u32,
             arguments_size: u32,
             results: u32,
             results_size: u32| {
                status(foreign(
                    &mut c,
                    [name, name_size],
                    [arguments, arguments_size],
                    [results, results_size],
                ))
            },
        )?;
    Ok(())
}

fn log(caller: &mut Call<'_>, level: u32, at: u32, size: u32) -> Work {
    let level = match level {
        0 => Level::Trace,
        1 => Level::Debug,
        2 => Level::Info,
        3 => Level::Warn,
        4 => Level::Error,
        5 => Level::Critical,
        _ => return Err(Status::BadArgument.into()),
    };
    let mut guest = Guest::even_allocating(caller)?;
    let (memory, state) = guest.look();
    let message = memory.at(at, size)?;
    state.around.log(&mut state.log, level, message);
    Ok(())
}

fn log_level(caller: &mut Call<'_>, at: u32) -> Work {
    let mut guest = Guest::new(caller)?;
    let level = guest.state().around.settings.log_level;
    guest.put_u32(at, level as u32)
}

fn time(caller: &mut Call<'_>, at: u32) -> Work {
    Guest::new(caller)?.put_u64(at, clock::nanos())
}

/// What a plugin does without being allowed to, it does not survive: there is no status for it.
pub(super) fn needs(state: &State, capability: Capability) -> Work {
    if state.around.settings.grants(capability) {
        return Ok(());
    }
    Err(Halt::Trap(wasmtime::Error::msg(format!(
        "it needs `{}`, which it is not granted",
        capability.name()
    ))))
}

fn tick_period(caller: &mut Call<'_>, period: u32) -> Work {
    let mut guest = Guest::new(caller)?;
    let state = guest.state();
    if period > 0 {
        needs(state, Capability::Ticks)?;
    }
    state.around.errands.every(Duration::from_millis(period.into()), &state.slot);
    Ok(())
}

fn done(caller: &mut Call<'_>) -> Work {
    let mut guest = Guest::new(caller)?;
    let state = guest.state();
    let context = state.effective;
    if context == ROOT || state.current == Some(context) || state.context(context).is_none() {
        return Err(Status::NotFound.into());
    }
    if !state.done.contains(&context) {
        state.done.push(context);
    }
    Ok(())
}

fn set_effective_context(caller: &mut Call<'_>, context: u32) -> Work {
    let mut guest = Guest::new(caller)?;
    let state = guest.state();
    if context != ROOT && state.context(context).is_none() {
        return Err(Status::BadArgument.into());
    }
    state.effective = context;
    Ok(())
}

fn get_property(caller: &mut Call<'_>, path: [u32; 2], value: [u32; 2]) -> Work {
    let mut guest = Guest::new(caller)?;
    let (memory, state) = guest.look();
    let path = memory.at(path[0], path[1])?;
    let mut scratch = std::mem::take(&mut state.scratch);
    scratch.clear();
    let found = properties::get(state, path, &mut scratch);
    state.scratch = scratch;
    if !found {
        return Err(Status::NotFound.into());
    }
    guest.give_scratch(value[0], value[1])
}

fn set_property(caller: &mut Call<'_>, path: [u32; 2], value: [u32; 2]) -> Work {
    let mut guest = Guest::new(caller)?;
    let (memory, state) = guest.look();
    let (path, value) = (memory.at(path[0], path[1])?, memory.at(value[0], value[1])?);
    if properties::set(state, path, value) { Ok(()) } else { Err(Status::InternalFailure.into()) }
}

/// The question what a principal may do.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListRequest {
    principal: Uid,
    resource: Uid,
}

fn foreign(caller: &mut Call<'_>, name: [u32; 2], arguments: [u32; 2], results: [u32; 2]) -> Work {
    let mut guest = Guest::new(caller)?;
    let (memory, state) = guest.look();
    let (name, arguments) = (memory.at(name[0], name[1])?, memory.at(arguments[0], arguments[1])?);
    let capability = match name {
        b"consentry.evaluate" => Capability::Evaluate,
        b"consentry.list" => Capability::List,
        _ => return Err(Status::NotFound.into()),
    };
    let around = state.around.clone();
    if !around.settings.grants(capability) {
        let message = format!("it asks for `{}`, which it is not granted", capability.name());
        around.note(&mut state.log, &message);
        return Err(Status::NotFound.into());
    }
    if arguments.len() > around.settings.limits.result_bytes {
        around.note(&mut state.log, "its question is too large");
        return Err(Status::BadArgument.into());
    }
    state.scratch.clear();
    let written = match answer(&around, capability, arguments) {
        Ok(Answer::List(list)) => serde_json::to_writer(&mut state.scratch, &list),
        Ok(Answer::Evaluation(evaluation)) => serde_json::to_writer(&mut state.scratch, &evaluation),
        Err(why) => {
            around.note(&mut state.log, &format!("what it asks is no question: {why}"));
            return Err(Status::BadArgument.into());
        }
    };
    if written.is_err() || state.scratch.len() > around.settings.limits.result_bytes {
        return Err(Status::InternalFailure.into());
    }
    if results[0] == 0 && results[1] == 0 {
        return Ok(());
    }
    guest.give_scratch(results[0], results[1])
}

enum Answer {
    List(Vec<serde_json::Value>),
    Evaluation(Box<Evaluation>),
}

/// Asks the engine; or says why that is no question.
fn answer(around: &Surroundings, capability: Capability, arguments: &[u8]) -> Result<Answer, String> {
    if capability == Capability::List {
        let request: ListRequest = serde_json::from_slice(arguments).map_err(|error| error.to_string())?;
        let permitted = around.authority.list(&request.principal, &request.resource);
        let line = |(action, until)| serde_json::json!({ "action": action, "valid_until": until });
        return Ok(Answer::List(permitted.into_iter().map(line).collect()));
    }
    let request: AccessRequest = serde_json::from_slice(arguments).map_err(|error| error.to_string())?;
    let evaluation = around.authority.evaluate(&request).map_err(|error| error.to_string())?;
    Ok(Answer::Evaluation(Box::new(evaluation)))
}
