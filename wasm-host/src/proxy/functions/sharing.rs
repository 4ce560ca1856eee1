//! Shared data, queues, and metrics.

use wasmtime::{Caller, Linker};

use super::super::guest::{Guest, Halt, Status, Work, name_in, status};
use super::super::state::State;
use super::ENV;
use super::plain::needs;
use crate::metrics::{MetricValue, NotCounted};
use crate::settings::Capability;
use crate::shared::NotShared;

type Call<'c> = Caller<'c, State>;

impl From<NotShared> for Halt {
    fn from(why: NotShared) -> Self {
        Self::Status(match why {
            NotShared::Mismatch => Status::CasMismatch,
            NotShared::Full => Status::InternalFailure,
            NotShared::Unknown => Status::NotFound,
            NotShared::Empty => Status::Empty,
        })
    }
}

impl From<NotCounted> for Halt {
    fn from(why: NotCounted) -> Self {
        Self::Status(match why {
            NotCounted::Unknown => Status::NotFound,
            NotCounted::Bad => Status::BadArgument,
            NotCounted::Full => Status::InternalFailure,
        })
    }
}

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    data(linker)?;
    queues(linker)?;
    linker
        .func_wrap(ENV, "proxy_define_metric", |mut c: Call<'_>, kind: u32, at: u32, size: u32, id: u32| {
            status(define(&mut c, kind, [at, size], id))
        })?
        .func_wrap(ENV, "proxy_record_metric", |c: Call<'_>, id: u32, value: u64| {
            status(c.data().around.metrics.record(id, value).map_err(Halt::from))
        })?
        .func_wrap(ENV, "proxy_increment_metric", |c: Call<'_>, id: u32, delta: i64| {
            status(c.data().around.metrics.add(id, delta).map_err(Halt::from))
        })?
        .func_wrap(ENV, "proxy_get_metric", |mut c: Call<'_>, id: u32, at: u32| {
            status(get_metric(&mut c, id, at))
        })?;
    Ok(())
}

fn data(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker
        .func_wrap(
            ENV,
            "proxy_get_shared_data",
            |mut c: Call<'_>, key: u32, key_size: u32, value: u32, value_size: u32, cas: u32| {
                status(get_data(&mut c, [key, key_size], [value, value_size], cas))
            },
        )?
        .func_wrap(
            ENV,
            "proxy_set_shared_data",
            |mut c: Call<'_>, key: u32, key_size: u32, value: u32, value_size: u32, cas: u32| {
                status(set_data(&mut c, [key, key_size], [value, value_size], cas))
            },
        )?;
    Ok(())
}

fn queues(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker
        .func_wrap(ENV, "proxy_register_shared_queue", |mut c: Call<'_>, name: u32, size: u32, id: u32| {
            status(register(&mut c, [name, size], id))
        })?
        .func_wrap(
            ENV,
            "proxy_resolve_shared_queue",
            |mut c: Call<'_>, vm: u32, vm_size: u32, name: u32, name_size: u32, id: u32| {
                status(resolve(&mut c, [vm, vm_size], [name, name_size], id))
            },
        )?
        .func_wrap(ENV, "proxy_enqueue_shared_queue", |mut c: Call<'_>, queue: u32, at: u32, size: u32| {
            status(enqueue(&mut c, queue, [at, size]))
        })?
        .func_wrap(ENV, "proxy_dequeue_shared_queue", |mut c: Call<'_>, queue: u32, at: u32, size: u32| {
            status(dequeue(&mut c, queue, [at, size]))
        })?;
    Ok(())
}

fn get_data(caller: &mut Call<'_>, key: [u32; 2], out: [u32; 2], cas_at: u32) -> Work {
    let mut guest = Guest::new(caller)?;
    let (memory, state) = guest.look();
    needs(state, Capability::Shared)?;
    let found = state.around.share.get(memory.at(key[0], key[1])?);
    let (value, cas) = found.ok_or(Status::NotFound)?;
    state.scratch = value;
    guest.put_u32(cas_at, cas)?;
    guest.give_scratch(out[0], out[1])
}

fn set_data(caller: &mut Call<'_>, key: [u32; 2], value: [u32; 2], cas: u32) -> Work {
    let mut guest = Guest::new(caller)?;
    let (memory, state) = guest.look();
    needs(state, Capability::Shared)?;
    let (key, value) = (memory.at(key[0], key[1])?, memory.at(value[0], value[1])?);
    Ok(state.around.share.set(key, value, cas)?)
}

fn register(caller: &mut Call<'_>, name: [u32; 2], id_at: u32) -> Work {
    let mut guest = Guest::new(caller)?;
    let (memory, state) = guest.look();
    needs(state, Capability::Shared)?;
    let queue = state.around.share.register(memory.at(name[0], name[1])?, state.slot.clone())?;
    guest.put_u32(id_at, queue)
}

/// Queues of other plugins are those of plugins with the same `vm_id`; there is no way to any other.
fn resolve(caller: &mut Call<'_>, vm: [u32; 2], name: [u32; 2], id_at: u32) -> Work {
    let mut guest = Guest::new(caller)?;
    let (memory, state) = guest.look();
    needs(state, Capability::Shared)?;
    let (vm, name) = (memory.at(vm[0], vm[1])?, memory.at(name[0], name[1])?);
    let own = state.around.settings.vm_id.as_deref().unwrap_or(&state.around.name);
    if !vm.is_empty() && vm != own.as_bytes() {
        return Err(Status::NotFound.into());
    }
    let queue = state.around.share.resolve(name).ok_or(Status::NotFound)?;
    guest.put_u32(id_at, queue)
}

fn enqueue(caller: &mut Call<'_>, queue: u32, at: [u32; 2]) -> Work {
    let mut guest = Guest::new(caller)?;
    let (memory, state) = guest.look();
    needs(state, Capability::Shared)?;
    let reader = state.around.share.enqueue(queue, memory.at(at[0], at[1])?)?;
    state.around.errands.queue_ready(reader, queue);
    Ok(())
}

fn dequeue(caller: &mut Call<'_>, queue: u32, out: [u32; 2]) -> Work {
    let mut guest = Guest::new(caller)?;
    let state = guest.state();
    needs(state, Capability::Shared)?;
    state.scratch = state.around.share.dequeue(queue)?;
    guest.give_scratch(out[0], out[1])
}

fn define(caller: &mut Call<'_>, kind: u32, name: [u32; 2], id_at: u32) -> Work {
    let mut guest = Guest::new(caller)?;
    let (memory, state) = guest.look();
    let name = name_in(memory.at(name[0], name[1])?);
    let value = match kind {
        0 => MetricValue::Counter(0),
        1 => MetricValue::Gauge(0),
        2 => MetricValue::Histogram { buckets: std::collections::BTreeMap::new(), sum: 0 },
        _ => return Err(Status::BadArgument.into()),
    };
    let id = state.around.metrics.define(&name, value)?;
    guest.put_u32(id_at, id)
}

fn get_metric(caller: &mut Call<'_>, id: u32, at: u32) -> Work {
    let mut guest = Guest::new(caller)?;
    let value = guest.state().around.metrics.get(id)?;
    guest.put_u64(at, value)
}
