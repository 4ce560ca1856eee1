//! The plugin's memory, as host functions reach it, and the statuses that they answer.

use wasmtime::{Caller, Extern, Memory};

use super::state::{BadMap, State};

/// What a host function answers (`proxy_status_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Status {
    Ok = 0,
    NotFound = 1,
    BadArgument = 2,
    InvalidMemoryAccess = 6,
    Empty = 7,
    CasMismatch = 8,
    InternalFailure = 10,
    Unimplemented = 12,
}

/// Why a host function did not do its work.
pub(super) enum Halt {
    /// The plugin is told.
    Status(Status),
    /// The plugin is ended.
    Trap(wasmtime::Error),
}

impl From<Status> for Halt {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<BadMap> for Halt {
    fn from(_: BadMap) -> Self {
        Self::Status(Status::BadArgument)
    }
}

pub(super) type Work = Result<(), Halt>;

/// What the plugin gets for it.
pub(super) fn status(work: Work) -> wasmtime::Result<u32> {
    match work {
        Ok(()) => Ok(Status::Ok as u32),
        Err(Halt::Status(status)) => Ok(status as u32),
        Err(Halt::Trap(error)) => Err(error),
    }
}

/// The plugin, while it calls a host function.
pub(super) struct Guest<'a, 'c> {
    caller: &'a mut Caller<'c, State>,
    memory: Memory,
}

impl<'a, 'c> Guest<'a, 'c> {
    /// The plugin; unless it is its allocator that calls, which would be called again by what it calls.
    pub(super) fn new(caller: &'a mut Caller<'c, State>) -> Result<Self, Halt> {
        if caller.data().allocating {
            return Err(Status::InternalFailure.into());
        }
        Self::even_allocating(caller)
    }

    /// The plugin, for functions that hand nothing over.
    pub(super) fn even_allocating(caller: &'a mut Caller<'c, State>) -> Result<Self, Halt> {
        let memory = match caller.data().memory {
            Some(memory) => memory,
            // The module's own start function runs before anybody could look for its memory.
            None => match caller.get_export("memory") {
                Some(Extern::Memory(memory)) => memory,
                _ => return Err(Status::InvalidMemoryAccess.into()),
            },
        };
        Ok(Self { caller, memory })
    }

    pub(super) fn state(&mut self) -> &mut State {
        self.caller.data_mut()
    }

    /// What stands in the plugin's memory, and the state beside it.
    pub(super) fn look(&mut self) -> (Bytes<'_>, &mut State) {
        let (bytes, state) = self.memory.data_and_store_mut(&mut *self.caller);
        (Bytes(bytes), state)
    }

    pub(super) fn put_u32(&mut self, at: u32, value: u32) -> Work {
        self.put(at, &value.to_le_bytes())
    }

    pub(super) fn put_u64(&mut self, at: u32, value: u64) -> Work {
        self.put(at, &value.to_le_bytes())
    }

    pub(super) fn put(&mut self, at: u32, bytes: &[u8]) -> Work {
        let memory = self.memory.data_mut(&mut *self.caller);
        place_mut(memory, at, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// The part of the memory, to be written to.
    pub(super) fn place(&mut self, at: u32, size: u32) -> Result<&mut [u8], Halt> {
        let memory = self.memory.data_mut(&mut *self.caller);
        place_mut(memory, at, usize::try_from(size).unwrap_or(usize::MAX))
    }

    /// Hands the plugin what is in the scratch, in memory that its own allocator gives. What is empty is handed over
    /// as no address: plugins free what they get.
    pub(super) fn give_scratch(&mut self, pointer_at: u32, size_at: u32) -> Work {
        let scratch = std::mem::take(&mut self.state().scratch);
        let given = self.give(&scratch, pointer_at, size_at);
        self.state().scratch = scratch;
        given
    }

    fn give(&mut self, bytes: &[u8], pointer_at: u32, size_at: u32) -> Work {
        let size = u32::try_from(bytes.len()).map_err(|_| Status::InternalFailure)?;
        // Before anything is allocated: whether there is somewhere to say where it is.
        self.put_u32(pointer_at, 0)?;
        self.put_u32(size_at, 0)?;
        if size == 0 {
            return Ok(());
        }
        let allocate = self.state().allocate.clone().ok_or(Status::InvalidMemoryAccess)?;
        self.state().allocating = true;
        let allocated = allocate.call(&mut *self.caller, size);
        self.state().allocating = false;
        let pointer = allocated.map_err(Halt::Trap)?;
        if pointer == 0 {
            return Err(Status::InvalidMemoryAccess.into());
        }
        self.put(pointer, bytes)?;
        self.put_u32(pointer_at, pointer)?;
        self.put_u32(size_at, size)
    }
}

/// The plugin's memory.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'m>(&'m [u8]);

impl<'m> Bytes<'m> {
    pub(super) fn at(self, at: u32, size: u32) -> Result<&'m [u8], Halt> {
        let (at, size) = (usize::try_from(at).ok(), usize::try_from(size).ok());
        let range = at.zip(size).and_then(|(at, size)| Some(at..at.checked_add(size)?));
        range.and_then(|range| self.0.get(range)).ok_or(Halt::Status(Status::InvalidMemoryAccess))
    }

    pub(super) fn u32(self, at: u32) -> Result<u32, Halt> {
        let bytes = self.at(at, 4)?;
        Ok(bytes.try_into().map_or(0, u32::from_le_bytes))
    }
}

/// Bytes of a name that are read: the longest that means anything is far shorter.
const NAME: usize = 1_000;

/// A name that a plugin gives to something.
pub(super) fn name_in(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..bytes.len().min(NAME)).unwrap_or_default()).into_owned()
}

fn place_mut(memory: &mut [u8], at: u32, size: usize) -> Result<&mut [u8], Halt> {
    let at = usize::try_from(at).ok();
    let range = at.and_then(|at| Some(at..at.checked_add(size)?));
    range.and_then(|range| memory.get_mut(range)).ok_or(Halt::Status(Status::InvalidMemoryAccess))
}
