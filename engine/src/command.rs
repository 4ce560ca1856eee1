//! What can be asked for: the commands, in the one JSON form that the library, the command line and
//! the scripts share.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::{
    ApplicationId, CommandId, CompanyId, Contact, DeviceId, EndUserId, GrantId, InstallerId,
    InstallerPermission, InviteId, Password, Permission, PermissionRequest, Principal, ResetMode,
    ResetOutcome, Role, Scope, SiteId, SiteKind, TicketId, Timestamp, Validity, chosen_grant_id,
};
use crate::ledger::Hash;

/// A command with who gives it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Serialize)]
pub struct Submission {
    /// Who acts. The edge has authenticated them.
    #[serde(rename = "as")]
    pub principal: Principal,
    /// What they ask for.
    #[serde(rename = "do")]
    pub command: Command,
    /// The caller's id for it, by which repeating it is told from doing it twice. `None`: the engine makes one.
    #[serde(skip)]
    pub id: Option<CommandId>,
}

impl Submission {
    /// `principal` asks for `command`, under an id that the engine makes.
    #[must_use]
    pub fn new(principal: Principal, command: Command) -> Self {
        Self { principal, command, id: None }
    }

    /// The same under the caller's own id.
    #[must_use]
    pub fn with_id(self, id: CommandId) -> Self {
        Self { id: Some(id), ..self }
    }

    /// The body (`as` and `do`) as JSON text, without any password: what the audit trail keeps. Its fields
    /// stand in one order, whichever order they were given in.
    #[must_use]
    pub fn body(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// SHA-256 of the body: equal for two submissions exactly when they ask for the same thing.
    #[must_use]
    pub fn digest(&self) -> Hash {
        digest(&self.body())
    }
}

/// The digest of a body.
pub(crate) fn digest(body: &str) -> Hash {
    Sha256::digest(body).into()
}

/// What can be asked for. Each command is the Cedar action of its name.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named after what they hold; the variants say the rest")]
pub enum Command {
    /// A company of installers joins the platform.
    RegisterCompany { company: CompanyId },
    /// An end user's account, with its verified contacts.
    RegisterEndUser { end_user: EndUserId, contacts: Vec<Contact> },
    /// An employee's account in a company.
    RegisterInstaller {
        installer: InstallerId,
        company: CompanyId,
        role: Role,
        permissions: Vec<InstallerPermission>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        contacts: Vec<Contact>,
    },
    /// The employee leaves; what they asked for is cancelled.
    RemoveInstaller { installer: InstallerId },
    /// A site that a company looks after.
    CreateSite { site: SiteId, company: CompanyId, kind: SiteKind },
    /// An installer is given a site to look after.
    AssignSite { site: SiteId, installer: InstallerId },
    /// And no longer.
    UnassignSite { site: SiteId, installer: InstallerId },
    /// The site goes, with its devices.
    DeleteSite { site: SiteId },
    /// A device is put on a site.
    AddDevice { device: DeviceId, site: SiteId, supports_password_reset: bool },
    /// A device goes; its grants end.
    RemoveDevice { device: DeviceId },
    /// The owner hands the site to another end user.
    TransferSite { site: SiteId, to: EndUserId },
    /// The installer invites somebody to take the site over, and asks for permissions on it.
    InviteOwner {
        invite: InviteId,
        site: SiteId,
        contact: Contact,
        permissions: Vec<PermissionRequest>,
        disable_service: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        remark: Option<String>,
    },
    /// The invited one takes the site over, giving what was asked for or less.
    AcceptInvite {
        invite: InviteId,
        #[serde(skip_serializing_if = "Option::is_none")]
        permissions: Option<Vec<PermissionRequest>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        disable_service: Option<bool>,
    },
    /// The invited one does not.
    RejectInvite { invite: InviteId },
    /// The company takes the invite back.
    WithdrawInvite { invite: InviteId },
    /// The owner takes back that the installer may disable the service.
    WithdrawDisableService { site: SiteId },
    /// The installer asks the owner for permissions.
    ApplyForPermission {
        application: ApplicationId,
        site: SiteId,
        permissions: Vec<PermissionRequest>,
        #[serde(skip_serializing_if = "Option::is_none")]
        remark: Option<String>,
    },
    /// The owner agrees, to what was asked for or less.
    AcceptApplication {
        application: ApplicationId,
        #[serde(skip_serializing_if = "Option::is_none")]
        permissions: Option<Vec<PermissionRequest>>,
    },
    /// The owner does not.
    RejectApplication { application: ApplicationId },
    /// The company takes the application back.
    WithdrawApplication { application: ApplicationId },
    /// The owner gives a permission unasked.
    GrantPermission(GrantPermission),
    /// The owner takes a permission back.
    WithdrawGrant { grant: GrantId },
    /// The company gives a permission back.
    ReleaseGrant { grant: GrantId },
    /// The installer asks the owner to set a new password on a device.
    OpenResetTicket { ticket: TicketId, device: DeviceId, mode: ResetMode },
    /// The owner does not.
    RejectResetTicket { ticket: TicketId },
    /// The company takes the ticket back.
    WithdrawResetTicket { ticket: TicketId },
    /// The owner sets a new password.
    CompleteResetTicket {
        ticket: TicketId,
        #[serde(skip_serializing)]
        password: Password,
        #[serde(skip_serializing_if = "Option::is_none")]
        same_lan: Option<SameLan>,
    },
    /// The platform says what came of it on the device.
    ConfirmReset { ticket: TicketId, outcome: ResetOutcome },
}

/// A permission given by the owner, unasked.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "WrittenGrant")]
pub struct GrantPermission {
    /// The grant's id, chosen by the caller.
    pub grant: GrantId,
    /// Who gets the permission.
    pub company: CompanyId,
    /// The permission.
    pub permission: Permission,
    /// The device that it is for,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// or the site. Exactly one of both is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteId>,
    /// How long the access lasts.
    pub validity: Validity,
}

#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenGrant {
    #[serde(deserialize_with = "chosen_grant_id")]
    grant: GrantId,
    company: CompanyId,
    permission: Permission,
    device: Option<DeviceId>,
    site: Option<SiteId>,
    validity: Validity,
}

impl TryFrom<WrittenGrant> for GrantPermission {
    type Error = &'static str;

    fn try_from(written: WrittenGrant) -> Result<Self, Self::Error> {
        let WrittenGrant { grant, company, permission, device, site, validity } = written;
        match (&device, &site) {
            (None, None) => Err("missing field `device` (or `site`, for `manageSite`)"),
            (Some(_), Some(_)) => Err("`device` and `site` exclude each other"),
            _ => Ok(Self { grant, company, permission, device, site, validity }),
        }
    }
}

/// What the platform says about where the owner's client is.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SameLan {
    /// The device that shares the network.
    pub device: DeviceId,
    /// Who says so; only `platform` counts.
    pub attested_by: String,
    /// When it was seen.
    pub observed_at: Timestamp,
    /// Whose client shares the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<Peer>,
}

/// A client on the device's network.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Peer {
    /// The owner's phone.
    OwnerPhone,
    /// The installer's portal or app.
    InstallerClient,
}

macro_rules! command_names {
    ($($variant:ident $(($tuple:tt))? $({$fields:tt})? => $name:literal),* $(,)?) => {
        impl Command {
            /// The names of all commands.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The command's name: its key in JSON, and its action in policies.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant $(($tuple))? $({$fields})? => $name),*
                }
            }
        }
    };
}

command_names! {
    RegisterCompany {..} => "registerCompany",
    RegisterEndUser {..} => "registerEndUser",
    RegisterInstaller {..} => "registerInstaller",
    RemoveInstaller {..} => "removeInstaller",
    CreateSite {..} => "createSite",
    AssignSite {..} => "assignSite",
    UnassignSite {..} => "unassignSite",
    DeleteSite {..} => "deleteSite",
    AddDevice {..} => "addDevice",
    RemoveDevice {..} => "removeDevice",
    TransferSite {..} => "transferSite",
    InviteOwner {..} => "inviteOwner",
    AcceptInvite {..} => "acceptInvite",
    RejectInvite {..} => "rejectInvite",
    WithdrawInvite {..} => "withdrawInvite",
    WithdrawDisableService {..} => "withdrawDisableService",
    ApplyForPermission {..} => "applyForPermission",
    AcceptApplication {..} => "acceptApplication",
    RejectApplication {..} => "rejectApplication",
    WithdrawApplication {..} => "withdrawApplication",
    GrantPermission (_) => "grantPermission",
    WithdrawGrant {..} => "withdrawGrant",
    ReleaseGrant {..} => "releaseGrant",
    OpenResetTicket {..} => "openResetTicket",
    RejectResetTicket {..} => "rejectResetTicket",
    WithdrawResetTicket {..} => "withdrawResetTicket",
    CompleteResetTicket {..} => "completeResetTicket",
    ConfirmReset {..} => "confirmReset",
}

impl Command {
    /// What is senseless about the command whatever the state of things, as a sentence.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other commands make sense whatever they name")]
    pub(crate) fn nonsense(&self) -> Option<String> {
        let contacts = |contacts: &[Contact]| {
            let bad = contacts.iter().find(|contact| !contact.is_sensible())?;
            Some(format!("nothing could reach `{bad}`"))
        };
        let requests = |requests: &[PermissionRequest], may_be_empty: bool| {
            if requests.is_empty() && !may_be_empty {
                return Some("`permissions` is empty: that asks for nothing".to_owned());
            }
            PermissionRequest::entries(requests).err()
        };
        match self {
            Self::RegisterEndUser { contacts: given, .. }
            | Self::RegisterInstaller { contacts: given, .. } => contacts(given),
            Self::InviteOwner { contact, permissions, .. } => {
                contacts(std::slice::from_ref(contact)).or_else(|| requests(permissions, true))
            }
            Self::AcceptInvite { permissions: Some(permissions), .. } => requests(permissions, true),
            Self::ApplyForPermission { permissions, .. }
            | Self::AcceptApplication { permissions: Some(permissions), .. } => requests(permissions, false),
            Self::GrantPermission(grant) => match (grant.permission.is_site_wide(), &grant.site) {
                (true, None) => Some("`manageSite` is for a site, not for a device".to_owned()),
                (false, Some(_)) => {
                    Some(format!("`{}` is for a device, not for a site", grant.permission.name()))
                }
                _ => None,
            },
            _ => None,
        }
    }
}

impl GrantPermission {
    /// What the permission is for.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match &self.device {
            Some(device) => Scope::Device(device.clone()),
            None => Scope::Site,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::hex;

    fn read(json: &str) -> Result<Command, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn unknown_fields_commands_and_values_are_malformed() {
        for json in [
            r#"{"registerCompany":{"company":"acme","colour":"red"}}"#,
            r#"{"registerCompany":{}}"#,
            r#"{"registerCompany":{"company":7}}"#,
            r#"{"dance":{}}"#,
            r#"{"createSite":{"site":"v","company":"a","kind":"castle"}}"#,
            r#"{"createSite":{"site":"v/w","company":"a","kind":"normal"}}"#,
            r#"{"grantPermission":{"grant":"g","company":"a","permission":"liveView","validity":"1h"}}"#,
            r#"{"grantPermission":{"grant":"a/liveView/b","company":"a","permission":"liveView","device":"b","validity":"1h"}}"#,
            r#"{"applyForPermission":{"application":"a","site":"v","permissions":[{"permission":"liveView","devices":["d"],"validity":"3h"}]}}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }

    #[test]
    fn names_are_the_json_keys() {
        let command = read(r#"{"withdrawDisableService":{"site":"villa"}}"#).unwrap();
        let json = serde_json::to_value(&command).unwrap();
        assert!(json.get(command.name()).is_some());
        assert_eq!(Command::NAMES.len(), 28);
    }

    #[test]
    fn a_password_is_in_no_body_and_in_no_digest() {
        let with = |password: &str| {
            let json = format!(r#"{{"completeResetTicket":{{"ticket":"t","password":"{password}"}}}}"#);
            Submission::new(r#"EndUser::"olga""#.parse().unwrap(), read(&json).unwrap())
        };
        let (one, other) = (with("hunter2222"), with("swordfish1"));
        assert!(!one.body().contains("hunter"));
        assert!(!format!("{one:?}").contains("hunter"));
        assert_eq!(one.digest(), other.digest());
    }

    /// Digests are compared over years: what they are taken of must not change with the code.
    #[test]
    fn bodies_and_digests_stay_as_they_are() {
        let commands = [
            r#"{"registerCompany":{"company":"acme"}}"#,
            r#"{"registerEndUser":{"endUser":"olga","contacts":[{"email":"olga@example.com"}]}}"#,
            r#"{"registerInstaller":{"installer":"ivan","company":"acme","role":"member","permissions":["manageDevices"],"contacts":[{"phone":"+390612345"}]}}"#,
            r#"{"removeInstaller":{"installer":"ivan"}}"#,
            r#"{"createSite":{"site":"villa","company":"acme","kind":"rental"}}"#,
            r#"{"assignSite":{"site":"villa","installer":"ivan"}}"#,
            r#"{"unassignSite":{"site":"villa","installer":"ivan"}}"#,
            r#"{"deleteSite":{"site":"villa"}}"#,
            r#"{"addDevice":{"device":"cam-7","site":"villa","supportsPasswordReset":false}}"#,
            r#"{"removeDevice":{"device":"cam-7"}}"#,
            r#"{"transferSite":{"site":"villa","to":"oscar"}}"#,
            r#"{"inviteOwner":{"invite":"inv","site":"villa","contact":{"email":"olga@example.com"},"permissions":[{"permission":"liveView","devices":["cam-7"],"validity":"8h"},{"permission":"manageSite","validity":"permanent"}],"disableService":true,"remark":"\"é\""}}"#,
            r#"{"acceptInvite":{"invite":"inv"}}"#,
            r#"{"rejectInvite":{"invite":"inv"}}"#,
            r#"{"withdrawInvite":{"invite":"inv"}}"#,
            r#"{"withdrawDisableService":{"site":"villa"}}"#,
            r#"{"applyForPermission":{"application":"app","site":"villa","permissions":[{"permission":"playback","devices":["cam-7","cam-8"],"validity":"4h"}]}}"#,
            r#"{"acceptApplication":{"application":"app","permissions":[{"permission":"playback","devices":["cam-7"],"validity":"4h"}]}}"#,
            r#"{"rejectApplication":{"application":"app"}}"#,
            r#"{"withdrawApplication":{"application":"app"}}"#,
            r#"{"grantPermission":{"grant":"g","company":"acme","permission":"configure","device":"cam-7","validity":"1h"}}"#,
            r#"{"withdrawGrant":{"grant":"g"}}"#,
            r#"{"releaseGrant":{"grant":"g"}}"#,
            r#"{"openResetTicket":{"ticket":"t","device":"cam-7","mode":"offSite"}}"#,
            r#"{"rejectResetTicket":{"ticket":"t"}}"#,
            r#"{"withdrawResetTicket":{"ticket":"t"}}"#,
            r#"{"completeResetTicket":{"ticket":"t","password":"Xk3!vbn4","sameLan":{"device":"cam-7","attestedBy":"platform","observedAt":"2026-03-01T12:00:00Z","peer":"ownerPhone"}}}"#,
            r#"{"confirmReset":{"ticket":"t","outcome":"done"}}"#,
        ];
        let written: Vec<String> = commands
            .iter()
            .map(|command| {
                let submission =
                    Submission::new(r#"EndUser::"olga""#.parse().unwrap(), read(command).unwrap());
                format!("{}\n{}", submission.body(), hex(&submission.digest()))
            })
            .collect();
        assert_eq!(written.len(), Command::NAMES.len());
        insta::assert_snapshot!(written.join("\n"));
    }
}
