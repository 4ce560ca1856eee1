//! The WASI that proxy-wasm plugins need: standard output and error as the log, the time, random numbers, and the
//! knowledge that there are neither arguments nor an environment.

use wasmtime::{Caller, Linker};

use super::super::guest::{Guest, Halt, Status};
use super::super::state::State;
use crate::clock;
use crate::settings::Level;

type Call<'c> = Caller<'c, State>;

/// The functions that are here.
pub(super) const NAMES: [&str; 8] = [
    "fd_write",
    "clock_time_get",
    "random_get",
    "environ_sizes_get",
    "environ_get",
    "args_sizes_get",
    "args_get",
    "proc_exit",
];

/// `wasi_errno_t`
const SUCCESS: u32 = 0;
const BAD_FILE: u32 = 8;
const FAULT: u32 = 21;
const INVALID: u32 = 28;
const NOT_SUPPORTED: u32 = 58;

/// Random bytes that are given at a time.
const RANDOM_LIMIT: u32 = 64 << 10;
/// Pieces of a line that are taken at a time.
const PIECES: u32 = 1_024;

pub(super) fn link(linker: &mut Linker<State>, module: &str) -> wasmtime::Result<()> {
    linker
        .func_wrap(
            module,
            "fd_write",
            |mut c: Call<'_>, file: u32, pieces: u32, count: u32, written: u32| {
                errno(write(&mut c, file, pieces, count, written))
            },
        )?
        .func_wrap(module, "clock_time_get", |mut c: Call<'_>, clock: u32, _precision: u64, at: u32| {
            errno(time(&mut c, clock, at))
        })?
        .func_wrap(module, "random_get", |mut c: Call<'_>, at: u32, size: u32| {
            errno(random(&mut c, at, size))
        })?
        .func_wrap(module, "environ_sizes_get", |mut c: Call<'_>, count: u32, size: u32| {
            errno(none(&mut c, count, size))
        })?
        .func_wrap(module, "args_sizes_get", |mut c: Call<'_>, count: u32, size: u32| {
            errno(none(&mut c, count, size))
        })?
        .func_wrap(module, "environ_get", |_: u32, _: u32| SUCCESS)?
        .func_wrap(module, "args_get", |_: u32, _: u32| SUCCESS)?
        .func_wrap(module, "proc_exit", |code: u32| -> wasmtime::Result<()> {
            Err(wasmtime::Error::msg(format!("it exited with status {code}")))
        })?;
    Ok(())
}

fn errno(result: Result<u32, Halt>) -> wasmtime::Result<u32> {
    match result {
        Ok(errno) => Ok(errno),
        Err(Halt::Status(Status::InvalidMemoryAccess)) => Ok(FAULT),
        Err(Halt::Status(_)) => Ok(INVALID),
        Err(Halt::Trap(error)) => Err(error),
    }
}

fn write(caller: &mut Call<'_>, file: u32, pieces: u32, count: u32, written_at: u32) -> Result<u32, Halt> {
    let level = match file {
        1 => Level::Info,
        2 => Level::Error,
        _ => return Ok(BAD_FILE),
    };
    if count > PIECES {
        return Ok(INVALID);
    }
    let mut guest = Guest::even_allocating(caller)?;
    let (memory, state) = guest.look();
    let limit = state.around.settings.limits.log_bytes;
    let (mut line, mut written) = (Vec::new(), 0_u32);
    for piece in 0..count {
        let at = piece.checked_mul(8).and_then(|offset| pieces.checked_add(offset));
        let at = at.ok_or(Status::InvalidMemoryAccess)?;
        let size_at = at.checked_add(4).ok_or(Status::InvalidMemoryAccess)?;
        let bytes = memory.at(memory.u32(at)?, memory.u32(size_at)?)?;
        written = written.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        // One byte more than may be written is enough to have it said that it was too much.
        let room = (limit + 1).saturating_sub(line.len());
        line.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    if !line.is_empty() {
        state.around.log(&mut state.log, level, line);
    }
    guest.put_u32(written_at, written)?;
    Ok(SUCCESS)
}

fn time(caller: &mut Call<'_>, clock: u32, at: u32) -> Result<u32, Halt> {
    let nanos = match clock {
        0 => clock::nanos(),
        1 => clock::steady_nanos(),
        _ => return Ok(NOT_SUPPORTED),
    };
    Guest::new(caller)?.put_u64(at, nanos)?;
    Ok(SUCCESS)
}

fn random(caller: &mut Call<'_>, at: u32, size: u32) -> Result<u32, Halt> {
    if size > RANDOM_LIMIT {
        return Ok(INVALID);
    }
    let mut guest = Guest::even_allocating(caller)?;
    let place = guest.place(at, size)?;
    getrandom::fill(place).map_err(|error| Halt::Trap(wasmtime::Error::msg(error.to_string())))?;
    Ok(SUCCESS)
}

fn none(caller: &mut Call<'_>, count_at: u32, size_at: u32) -> Result<u32, Halt> {
    let mut guest = Guest::even_allocating(caller)?;
    guest.put_u32(count_at, 0)?;
    guest.put_u32(size_at, 0)?;
    Ok(SUCCESS)
}
