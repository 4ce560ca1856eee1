//! What policies call things by, looked up when they are loaded rather than at every question.

use std::ops::Deref;

/// A name of an attribute, a field or a type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    text: Box<str>,
    word: Option<Word>,
}

impl Name {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.into(), word: Word::named(text) }
    }

    /// Which of the directory's own words it is; `None`: none, so that nothing in the directory is called by it.
    pub(crate) fn word(&self) -> Option<Word> {
        self.word
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

macro_rules! words {
    ($($word:ident = $text:literal),*) => {
        /// What the directory and the engine call attributes and fields by.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Word { $($word),* }

        impl Word {
            fn named(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$word),)*
                    _ => None,
                }
            }
        }
    };
}

words!(
    Asker = "asker",
    AskerContacts = "askerContacts",
    Company = "company",
    Contact = "contact",
    Contacts = "contacts",
    Device = "device",
    DisableServiceAccepted = "disableServiceAccepted",
    Grant = "grant",
    Kind = "kind",
    Mode = "mode",
    Now = "now",
    Owner = "owner",
    Permission = "permission",
    Permissions = "permissions",
    Role = "role",
    Site = "site",
    SupportsPasswordReset = "supportsPasswordReset",
    Until = "until"
);
