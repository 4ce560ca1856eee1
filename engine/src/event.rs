//! What happened. The state of everything is a fold of these, in the order of the ledger.

use serde::{Deserialize, Serialize};

use crate::domain::{
    ApplicationId, CompanyId, Contact, DeviceId, EndUserId, Entry, GrantId, InstallerId, InstallerPermission,
    InviteId, Permission, ResetMode, Role, Scope, SiteId, SiteKind, TicketId, Timestamp,
};

macro_rules! events {
    ($($(#[doc = $doc:literal])* $name:literal $variant:ident { $($(#[$meta:meta])* $field:ident : $type:ty),* $(,)? })*) => {
        /// Something that happened, with every fact that later answers need: deadlines and ends are
        /// written here, so that no change of configuration moves an old one.
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all_fields = "camelCase")]
        #[expect(missing_docs, reason = "the fields are named after what they hold; the variants say the rest")]
        pub enum Event {
            $($(#[doc = $doc])* #[serde(rename = $name)] $variant { $($(#[$meta])* $field: $type),* },)*
        }

        impl Event {
            /// The names of all events.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The event's name: its key in JSON.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $name),* }
            }
        }
    };
}

events! {
    /// A company joined.
    "companyRegistered" CompanyRegistered { company: CompanyId }
    /// An end user joined.
    "endUserRegistered" EndUserRegistered { end_user: EndUserId, contacts: Vec<Contact> }
    /// An employee joined a company.
    "installerRegistered" InstallerRegistered {
        installer: InstallerId, company: CompanyId, role: Role,
        permissions: Vec<InstallerPermission>, contacts: Vec<Contact>,
    }
    /// An employee left.
    "installerRemoved" InstallerRemoved { installer: InstallerId }
    /// A site began.
    "siteCreated" SiteCreated { site: SiteId, company: CompanyId, kind: SiteKind }
    /// A site ended, and its devices with it.
    "siteDeleted" SiteDeleted { site: SiteId }
    /// An installer looks after the site.
    "siteAssigned" SiteAssigned { site: SiteId, installer: InstallerId }
    /// And no longer.
    "siteUnassigned" SiteUnassigned { site: SiteId, installer: InstallerId }
    /// The site has another owner; the owner epoch rose.
    "siteTransferred" SiteTransferred { site: SiteId, to: EndUserId }
    /// A device was put on a site.
    "deviceAdded" DeviceAdded { device: DeviceId, site: SiteId, supports_password_reset: bool }
    /// A device is gone; what was asked for on it falls out of what is pending.
    "deviceRemoved" DeviceRemoved { device: DeviceId }
    /// Somebody was invited to take the site over.
    "ownerInvited" OwnerInvited {
        invite: InviteId, site: SiteId, asker: InstallerId, contact: Contact,
        entries: Vec<Entry>, disable_service: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")] remark: Option<String>,
        deadline: Timestamp,
    }
    /// The invited one took it over: the owner is set, the owner epoch rose, what installers had
    /// without a grant ended.
    "inviteAccepted" InviteAccepted { invite: InviteId, owner: EndUserId, disable_service: bool }
    /// The invited one did not.
    "inviteRejected" InviteRejected { invite: InviteId }
    /// The company took the invite back.
    "inviteWithdrawn" InviteWithdrawn { invite: InviteId }
    /// Another invite took its place.
    "inviteSuperseded" InviteSuperseded { invite: InviteId }
    /// Nobody answered in time.
    "inviteExpired" InviteExpired { invite: InviteId }
    /// What it rested on is gone.
    "inviteCancelled" InviteCancelled { invite: InviteId }
    /// The owner took back that the service may be disabled.
    "disableServiceWithdrawn" DisableServiceWithdrawn { site: SiteId }
    /// A company asked for permissions.
    "permissionApplied" PermissionApplied {
        application: ApplicationId, site: SiteId, asker: InstallerId, entries: Vec<Entry>,
        #[serde(default, skip_serializing_if = "Option::is_none")] remark: Option<String>,
        deadline: Timestamp,
    }
    /// The owner agreed.
    "applicationAccepted" ApplicationAccepted { application: ApplicationId }
    /// The owner did not.
    "applicationRejected" ApplicationRejected { application: ApplicationId }
    /// The company took the application back.
    "applicationWithdrawn" ApplicationWithdrawn { application: ApplicationId }
    /// Nobody answered in time.
    "applicationExpired" ApplicationExpired { application: ApplicationId }
    /// What it rested on is gone.
    "applicationCancelled" ApplicationCancelled { application: ApplicationId }
    /// A company has a permission, until `until` (none: without end).
    "grantMade" GrantMade {
        grant: GrantId, company: CompanyId, site: SiteId, permission: Permission, scope: Scope,
        until: Option<Timestamp>,
    }
    /// Its time was over.
    "grantEnded" GrantEnded { grant: GrantId }
    /// The company gave it back.
    "grantReleased" GrantReleased { grant: GrantId }
    /// The owner took it back.
    "grantWithdrawn" GrantWithdrawn { grant: GrantId }
    /// What it rested on is gone.
    "grantRevoked" GrantRevoked { grant: GrantId }
    /// The owner was asked to set a new password.
    "resetTicketOpened" ResetTicketOpened {
        ticket: TicketId, device: DeviceId, asker: InstallerId, mode: ResetMode, deadline: Timestamp,
    }
    /// The owner did not.
    "resetTicketRejected" ResetTicketRejected { ticket: TicketId }
    /// The company took the ticket back.
    "resetTicketWithdrawn" ResetTicketWithdrawn { ticket: TicketId }
    /// Nobody answered in time.
    "resetTicketExpired" ResetTicketExpired { ticket: TicketId }
    /// What it rested on is gone.
    "resetTicketCancelled" ResetTicketCancelled { ticket: TicketId }
    /// The owner gave a new password; it is on its way to the device.
    "resetSubmitted" ResetSubmitted { ticket: TicketId }
    /// The device has it.
    "resetCompleted" ResetCompleted { ticket: TicketId }
    /// The device does not; the ticket is open again, with the deadline it had.
    "resetFailed" ResetFailed { ticket: TicketId }
}
