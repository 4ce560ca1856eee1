//! Domain values: ids, contacts, permissions, time. Each is valid by construction and has one JSON form.

mod contact;
mod entity_type;
mod id;
mod password;
mod permission;
mod principal;
mod text;
mod time;

pub use contact::Contact;
pub(crate) use entity_type::Type;
pub use id::{
    ApplicationId, CommandId, CompanyId, DeviceId, EndUserId, GrantId, IdError, InstallerId, InviteId,
    OperatorId, SiteId, TicketId, chosen_grant_id,
};
pub use password::Password;
pub use permission::{
    Entry, InstallerPermission, Permission, PermissionRequest, ResetMode, ResetOutcome, Role, Scope,
    SiteKind, Validity,
};
pub use principal::{Principal, Uid, UidError, UidRef};
pub use time::{Duration, TimeError, Timestamp};
