//! The cases of the policies that come with Consentry.

use crate::folder::Cases;

macro_rules! cases {
    ($($name:literal),*) => {
        [$((concat!("policies/cases/", $name), include_str!(concat!("../../policies/cases/", $name)))),*]
    };
}

/// The shipped cases, as [`crate::folder::read_cases`] would read them from `policies/`.
///
/// # Errors
/// None that a test has not ruled out.
pub fn cases() -> Result<Cases, serde_json::Error> {
    let files = cases!(
        "cast.json",
        "access.json",
        "directory.json",
        "grant.json",
        "invite.json",
        "permission_application.json",
        "reset_ticket.json"
    );
    let mut cases = Cases::default();
    for (name, text) in files {
        cases.add(name, text, name.ends_with("/cast.json"))?;
    }
    Ok(cases)
}
