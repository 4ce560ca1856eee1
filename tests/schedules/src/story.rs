//! What a handful of commands means, one after the other: a few lines of plain Rust, against which what
//! threads saw at the same time is compared.

use stateright::semantics::SequentialSpec;

/// What a thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Accept,
    Reject,
    Withdraw,
    /// Accepts under an id that others use for the same.
    AcceptAgain,
    /// Applies for the same permission, with the application of this number.
    Apply(u8),
    /// Takes the grant back that the acceptance makes.
    EndGrant,
    /// Sweeps, and there is nothing to record.
    Sweep,
    /// Sweeps at the deadline of the application.
    Late,
    /// Whether the installer may look.
    Look,
    /// How the application is shown at the deadline.
    Show,
}

/// What it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ret {
    Done,
    Refused(&'static str, Option<&'static str>),
    Seen(bool),
    Shown(&'static str),
}

/// The application `a-1`, its grant, and what came of the id that several use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Story {
    ended: Option<&'static str>,
    late: bool,
    withdrawn: bool,
    again: Option<Ret>,
    applied: bool,
}

impl Story {
    fn answer(&mut self, to: &'static str) -> Ret {
        if let Some(state) = self.ended {
            return Ret::Refused("wrong_state", Some(state));
        }
        if self.late {
            return Ret::Refused("expired", None);
        }
        self.ended = Some(to);
        Ret::Done
    }

    fn is_granted(&self) -> bool {
        self.ended == Some("accepted") && !self.withdrawn
    }
}

impl SequentialSpec for Story {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match op {
            Op::Accept => self.answer("accepted"),
            Op::Reject => self.answer("rejected"),
            Op::Withdraw => self.answer("withdrawn"),
            Op::AcceptAgain => {
                let ret = self.again.clone().unwrap_or_else(|| self.answer("accepted"));
                self.again = Some(ret.clone());
                ret
            }
            Op::Apply(_) if self.applied => Ret::Refused("live_duplicate", None),
            Op::Apply(_) => {
                self.applied = true;
                Ret::Done
            }
            Op::EndGrant if self.ended != Some("accepted") => Ret::Refused("not_found", None),
            Op::EndGrant if self.withdrawn => Ret::Refused("wrong_state", Some("withdrawn")),
            Op::EndGrant => {
                self.withdrawn = true;
                Ret::Done
            }
            Op::Sweep => Ret::Done,
            Op::Late => {
                self.late = true;
                Ret::Done
            }
            Op::Look => Ret::Seen(self.is_granted()),
            // Whoever looks says what time it is.
            Op::Show => {
                self.late = true;
                Ret::Shown(self.ended.unwrap_or("expired"))
            }
        }
    }
}
