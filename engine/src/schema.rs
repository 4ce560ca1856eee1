//! JSON Schema of what is written as text: for documents that are made from the code.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::domain::{
    ApplicationId, CommandId, CompanyId, DeviceId, EndUserId, GrantId, InstallerId, InviteId, OperatorId,
    Password, Principal, SiteId, TicketId, Timestamp, Uid,
};

/// An id that a caller chooses.
macro_rules! chosen {
    () => {
        "[A-Za-z0-9._@:+-]{1,128}"
    };
}

macro_rules! texts {
    ($($name:ident, $pattern:expr, $what:literal;)*) => {$(
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $what })
            }
        }
    )*};
}

texts! {
    CompanyId, concat!("^", chosen!(), "$"), "A company of installers.";
    EndUserId, concat!("^", chosen!(), "$"), "An end user's account on the owners' platform.";
    InstallerId, concat!("^", chosen!(), "$"), "An employee's account on the installers' platform.";
    OperatorId, concat!("^", chosen!(), "$"), "Somebody who runs the platform.";
    SiteId, concat!("^", chosen!(), "$"), "A site: a place with devices.";
    DeviceId, concat!("^", chosen!(), "$"), "A device on a site.";
    InviteId, concat!("^", chosen!(), "$"), "An invite; never used again.";
    ApplicationId, concat!("^", chosen!(), "$"), "A permission application; never used again.";
    TicketId, concat!("^", chosen!(), "$"), "A reset ticket; never used again.";
    GrantId, concat!("^", chosen!(), "(/", chosen!(), "){0,2}$"),
        "A grant: chosen by an owner, or <invite or application>/<permission>/<device>.";
    CommandId, concat!("^(engine/)?", chosen!(), "$"),
        "A command: chosen by the caller, or made by the engine as engine/<number>.";
    Uid, concat!("^([A-Za-z_][A-Za-z0-9_]*(::[A-Za-z_][A-Za-z0-9_]*)*::\"", chosen!(), "\"|Grant::\"", chosen!(), "(/", chosen!(), "){1,2}\")$"),
        "An entity in Cedar's form: Device::\"cam-7\".";
    Principal, concat!("^(Operator|Installer|EndUser)::\"", chosen!(), "\"$"),
        "Who acts: Installer::\"ivan\", EndUser::\"olga\", Operator::\"root\".";
    Password, "^", "A new password: 8 to 16 printable characters of ASCII, of two classes or more. It is kept nowhere.";
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "A moment: RFC 3339 in UTC, to the millisecond.",
            "examples": ["2026-03-01T12:00:00.000Z"],
        })
    }
}
