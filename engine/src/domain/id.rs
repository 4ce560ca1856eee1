use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::parsed;

/// The longest id that a caller may choose, in characters.
const MAX_CHOSEN: usize = 128;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing between the quotes.
    #[error("an id needs at least one character")]
    Empty,
    /// More characters than an id may have.
    #[error("an id has at most {MAX_CHOSEN} characters, this one has {0}")]
    TooLong(usize),
    /// A character outside the allowed ones.
    #[error("`{0}` is not allowed in an id; allowed are A-Z a-z 0-9 . _ - @ : +")]
    Character(char),
}

pub(super) fn check_chosen(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if let Some(bad) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || "._-@:+".contains(*c))) {
        return Err(IdError::Character(bad));
    }
    if text.len() > MAX_CHOSEN {
        return Err(IdError::TooLong(text.len()));
    }
    Ok(())
}

/// A derived id is `<chosen>/<permission>` or `<chosen>/<permission>/<chosen>`.
fn check_grant(text: &str) -> Result<(), IdError> {
    if text.split('/').count() > 3 {
        return Err(IdError::Character('/'));
    }
    text.split('/').try_for_each(check_chosen)
}

/// Ids that the engine makes for commands hold one `/`, which a chosen id cannot.
fn check_command(text: &str) -> Result<(), IdError> {
    check_chosen(text.strip_prefix("engine/").unwrap_or(text))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident, $check:path;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                $check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &*self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parsed(deserializer)
            }
        }
    )*};
}

ids! {
    /// A company of installers.
    CompanyId, check_chosen;
    /// An end user's account on the owners' platform.
    EndUserId, check_chosen;
    /// An employee's account on the installers' platform.
    InstallerId, check_chosen;
    /// Somebody who runs the platform; authenticated at the edge, never registered.
    OperatorId, check_chosen;
    /// A site: a place with devices.
    SiteId, check_chosen;
    /// A device on a site.
    DeviceId, check_chosen;
    /// An invite; never used again, and never shared with an application (both derive grant ids).
    InviteId, check_chosen;
    /// A permission application; never used again.
    ApplicationId, check_chosen;
    /// A reset ticket; never used again.
    TicketId, check_chosen;
    /// A grant: chosen by an owner, or derived as `<invite or application>/<permission>/<device>`.
    GrantId, check_grant;
    /// A command: chosen by the caller, or made by the engine as `engine/<number>`.
    CommandId, check_command;
}

impl GrantId {
    /// The id that was one before it became a text.
    pub(crate) fn known(text: &str) -> Self {
        Self(text.into())
    }

    /// The id of the grant that an accepted invite or application makes for `permission` on
    /// `device` (`None`: on the site).
    pub(crate) fn derived(source: &str, permission: &str, device: Option<&DeviceId>) -> Self {
        Self(match device {
            Some(device) => format!("{source}/{permission}/{device}").into(),
            None => format!("{source}/{permission}").into(),
        })
    }
}

impl CommandId {
    /// The id of a command whose caller chose none; `number` is unique in its ledger for ever.
    #[must_use]
    pub fn engine_made(number: u64) -> Self {
        Self(format!("engine/{number}").into())
    }

    /// Whether a caller may use this id.
    #[must_use]
    pub fn is_chosen(&self) -> bool {
        check_chosen(&self.0).is_ok()
    }
}

/// Reads a grant's id that a caller chooses: without `/`, which is kept for derived ids.
///
/// # Errors
/// When the text is not an id of the chosen form.
pub fn chosen_grant_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GrantId, D::Error> {
    let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    check_chosen(&text).map_err(serde::de::Error::custom)?;
    Ok(GrantId(text.as_ref().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_ids_hold_no_slash_and_at_most_128_characters() {
        assert!("a".repeat(128).parse::<SiteId>().is_ok());
        assert_eq!("a".repeat(129).parse::<SiteId>(), Err(IdError::TooLong(129)));
        assert_eq!("".parse::<SiteId>(), Err(IdError::Empty));
        assert_eq!("a/b".parse::<SiteId>(), Err(IdError::Character('/')));
        assert_eq!("é".parse::<SiteId>(), Err(IdError::Character('é')));
        assert!("A-z.0_9@:+".parse::<SiteId>().is_ok());
    }

    #[test]
    fn grant_ids_may_be_derived_ones() {
        let device = "cam-7".parse().unwrap();
        let derived = GrantId::derived("app-1", "liveView", Some(&device));
        assert_eq!(derived.as_str(), "app-1/liveView/cam-7");
        assert_eq!(derived.as_str().parse::<GrantId>(), Ok(derived));
        assert!("a/b/c/d".parse::<GrantId>().is_err());
        assert!("a//c".parse::<GrantId>().is_err());
    }
}
