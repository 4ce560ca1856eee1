use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{DeviceId, Duration, Timestamp};

/// What a grant can give (seed 004; *manageSite* stands for the site's information).
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Permission {
    /// See a device's picture now.
    LiveView,
    /// See what a device recorded.
    Playback,
    /// Change a device's settings.
    Configure,
    /// Manage the site itself.
    ManageSite,
}

impl Permission {
    /// All permissions, in the order of their names here.
    pub const ALL: [Self; 4] = [Self::LiveView, Self::Playback, Self::Configure, Self::ManageSite];

    /// The name, which is also the action's that the permission allows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LiveView => "liveView",
            Self::Playback => "playback",
            Self::Configure => "configure",
            Self::ManageSite => "manageSite",
        }
    }

    /// The permission with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.name() == name)
    }

    /// Whether it is given for a site, not for a device.
    #[must_use]
    pub const fn is_site_wide(self) -> bool {
        matches!(self, Self::ManageSite)
    }
}

/// How long access lasts once given: a closed list (seed 004, H2).
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Validity {
    /// One hour.
    #[serde(rename = "1h")]
    OneHour,
    /// Two hours.
    #[serde(rename = "2h")]
    TwoHours,
    /// Four hours.
    #[serde(rename = "4h")]
    FourHours,
    /// Eight hours.
    #[serde(rename = "8h")]
    EightHours,
    /// Until somebody ends it. Greater than every other: the order is by length.
    #[serde(rename = "permanent")]
    Permanent,
}

impl Validity {
    /// The end of access that starts at `start`; `None` when it has no end.
    #[must_use]
    pub fn until(self, start: Timestamp) -> Option<Timestamp> {
        let hours = match self {
            Self::OneHour => 1,
            Self::TwoHours => 2,
            Self::FourHours => 4,
            Self::EightHours => 8,
            Self::Permanent => return None,
        };
        Some(start.after(Duration::from_hours(hours)))
    }
}

/// What a permission is for.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// The site of the invite, application or grant.
    Site,
    /// One device of it.
    Device(DeviceId),
}

impl Scope {
    /// The device, if it is one.
    #[must_use]
    pub fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Site => None,
            Self::Device(device) => Some(device),
        }
    }
}

/// One permission for one scope, as asked for.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The permission.
    pub permission: Permission,
    /// What it is for.
    pub scope: Scope,
    /// How long the access would last.
    pub validity: Validity,
}

/// One permission for some devices, as written in a command.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "WrittenRequest")]
pub struct PermissionRequest {
    /// The permission.
    pub permission: Permission,
    /// The devices; none for a permission that is given for the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<DeviceId>>,
    /// How long the access would last.
    pub validity: Validity,
}

#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenRequest {
    permission: Permission,
    devices: Option<Vec<DeviceId>>,
    validity: Validity,
}

impl TryFrom<WrittenRequest> for PermissionRequest {
    type Error = &'static str;

    fn try_from(written: WrittenRequest) -> Result<Self, Self::Error> {
        let WrittenRequest { permission, devices, validity } = written;
        if devices.is_none() && !permission.is_site_wide() {
            return Err("missing field `devices`");
        }
        Ok(Self { permission, devices, validity })
    }
}

impl PermissionRequest {
    /// Each permission–scope pair by itself, in order.
    ///
    /// # Errors
    /// A sentence that says what is senseless: no devices, devices with `manageSite`, a pair twice.
    pub fn entries(requests: &[Self]) -> Result<Vec<Entry>, String> {
        let mut seen = BTreeSet::new();
        let mut entries = Vec::new();
        for Self { permission, devices, validity } in requests {
            let (permission, validity) = (*permission, *validity);
            let scopes: Vec<Scope> = match (devices, permission.is_site_wide()) {
                (None, true) => vec![Scope::Site],
                (Some(_), true) => {
                    return Err("`manageSite` is for the site: it takes no devices".into());
                }
                (Some(devices), false) if !devices.is_empty() => {
                    devices.iter().cloned().map(Scope::Device).collect()
                }
                (_, false) => {
                    return Err(format!("`{}` needs at least one device", permission.name()));
                }
            };
            for scope in scopes {
                if !seen.insert((permission, scope.clone())) {
                    let name = permission.name();
                    return Err(match scope.device() {
                        Some(device) => format!("`{name}` on `{device}` is named twice"),
                        None => format!("`{name}` is named twice"),
                    });
                }
                entries.push(Entry { permission, scope, validity });
            }
        }
        Ok(entries)
    }
}

/// An installer's place in the company (H7).
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Has every permission in the company.
    Admin,
    /// Has the permissions that were given.
    Member,
}

/// What an installer may do in the company (H1, H5).
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InstallerPermission {
    /// Act on all sites of the company.
    ManageAllSites,
    /// Act on the sites assigned to the installer.
    ManageAssignedSites,
    /// Configure devices, and ask for permissions on devices.
    ManageDevices,
}

impl InstallerPermission {
    /// All of them, in their order.
    pub const ALL: [Self; 3] = [Self::ManageAllSites, Self::ManageAssignedSites, Self::ManageDevices];
}

/// What kind of site it is.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SiteKind {
    /// The owner's.
    Normal,
    /// Let to the owner: here the installer may disable the service when that was agreed.
    Rental,
}

/// From where a password is reset (seed 000).
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ResetMode {
    /// The installer is on the device's network.
    OnSite,
    /// The installer is elsewhere; the owner's phone is on the device's network.
    OffSite,
}

/// What came of setting the password on the device.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ResetOutcome {
    /// The device has the new password.
    Done,
    /// The device kept the old one.
    Failed,
}

macro_rules! names {
    ($($type:ident { $($variant:ident => $name:literal),* })*) => {$(
        impl $type {
            /// The name at the wire and in policies.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    )*};
}

names! {
    Role { Admin => "admin", Member => "member" }
    InstallerPermission {
        ManageAllSites => "manageAllSites",
        ManageAssignedSites => "manageAssignedSites",
        ManageDevices => "manageDevices"
    }
    SiteKind { Normal => "normal", Rental => "rental" }
    ResetMode { OnSite => "onSite", OffSite => "offSite" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validities_are_ordered_by_length() {
        use Validity::*;
        let mut all = [Permanent, EightHours, OneHour, FourHours, TwoHours];
        all.sort();
        assert_eq!(all, [OneHour, TwoHours, FourHours, EightHours, Permanent]);
        let start = Timestamp::from_millis(0);
        assert_eq!(OneHour.until(start), Some(Timestamp::from_millis(3_600_000)));
        assert_eq!(EightHours.until(start), Some(Timestamp::from_millis(28_800_000)));
        assert_eq!(Permanent.until(start), None);
    }

    #[test]
    fn senseless_requests_are_told_apart_from_malformed_ones() {
        let read = |json: &str| serde_json::from_str::<Vec<PermissionRequest>>(json);
        assert!(read(r#"[{"permission":"liveView","validity":"1h"}]"#).is_err());
        for senseless in [
            r#"[{"permission":"liveView","devices":[],"validity":"1h"}]"#,
            r#"[{"permission":"manageSite","devices":["a"],"validity":"1h"}]"#,
            r#"[{"permission":"liveView","devices":["a","a"],"validity":"1h"}]"#,
            r#"[{"permission":"liveView","devices":["a"],"validity":"1h"},{"permission":"liveView","devices":["a"],"validity":"2h"}]"#,
        ] {
            assert!(PermissionRequest::entries(&read(senseless).unwrap()).is_err(), "{senseless}");
        }
    }
}
