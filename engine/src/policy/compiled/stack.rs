//! What programs put their values on.

use super::value::{Facts, Failed, Step, Value};

/// The values that a program is working on.
pub(super) struct Stack<'s, 'a, F: Facts<'a>> {
    values: &'s mut [Value<'a, F>],
    height: usize,
}

impl<'s, 'a, F: Facts<'a>> Stack<'s, 'a, F> {
    /// With room for so many values.
    pub(super) fn new(values: &'s mut [Value<'a, F>]) -> Self {
        Self { values, height: 0 }
    }

    #[inline]
    pub(super) fn push(&mut self, value: Value<'a, F>) -> Step<()> {
        *self.values.get_mut(self.height).ok_or(Failed)? = value;
        self.height += 1;
        Ok(())
    }

    /// Where to put a value more.
    #[inline]
    pub(super) fn next(&mut self) -> Step<&mut Value<'a, F>> {
        let place = self.values.get_mut(self.height).ok_or(Failed)?;
        self.height += 1;
        Ok(place)
    }

    /// The last value. Where it lies: a value that is copied while it has just been written in parts is waited for.
    pub(super) fn pop(&mut self) -> Step<&Value<'a, F>> {
        self.height = self.height.checked_sub(1).ok_or(Failed)?;
        self.values.get(self.height).ok_or(Failed)
    }

    /// The last two values, the last one second.
    pub(super) fn pop_two(&mut self) -> Step<[&Value<'a, F>; 2]> {
        match self.take(2)? {
            [first, second] => Ok([first, second]),
            _ => Err(Failed),
        }
    }

    /// The last `count` values, the last one last.
    pub(super) fn take(&mut self, count: usize) -> Step<&[Value<'a, F>]> {
        let from = self.height.checked_sub(count).ok_or(Failed)?;
        let taken = self.values.get(from..self.height).ok_or(Failed)?;
        self.height = from;
        Ok(taken)
    }
}
