//! Refusals of commands.

use serde::{Deserialize, Serialize};

/// Why a command was refused: a stable code for programs.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// Well-formed, and senseless.
    Invalid,
    /// The command's id was used for another body.
    Conflict,
    /// Something that the command names is not there.
    NotFound,
    /// Something that the command makes is there, or its id was used before.
    AlreadyExists,
    /// The policies say no.
    NotPermitted,
    /// It is in a state in which this cannot happen.
    WrongState,
    /// It was pending when its deadline passed.
    Expired,
    /// The same is asked for already, and waits for its answer.
    LiveDuplicate,
    /// More is given than was asked for.
    WiderThanAsked,
    /// No device would take the password.
    WeakPassword,
    /// The platform does not attest that the right client is on the device's network.
    LanNotAttested,
    /// The device's password cannot be reset through the platform.
    UnsupportedDevice,
}

impl RefusalCode {
    /// The code as text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::NotPermitted => "not_permitted",
            Self::WrongState => "wrong_state",
            Self::Expired => "expired",
            Self::LiveDuplicate => "live_duplicate",
            Self::WiderThanAsked => "wider_than_asked",
            Self::WeakPassword => "weak_password",
            Self::LanNotAttested => "lan_not_attested",
            Self::UnsupportedDevice => "unsupported_device",
        }
    }
}

/// A command's refusal. It is an answer, not a failure.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The stable code.
    pub code: RefusalCode,
    /// A sentence for people; it may change.
    pub message: String,
    /// The policies that decided, sorted: those that permitted the try, or that forbade it.
    pub determining_policies: Vec<String>,
    /// The state that it is in, with `wrong_state`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

impl Refusal {
    /// Well-formed, and senseless.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(RefusalCode::Invalid, message)
    }

    /// Something that is named is not there.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(RefusalCode::NotFound, message)
    }

    pub(crate) fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), determining_policies: Vec::new(), state: None }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}
