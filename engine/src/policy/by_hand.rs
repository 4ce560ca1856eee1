//! What compiled policies are measured beside: the shipped rules for one kind of question, written by hand.

use crate::directory::{Coverage, Directory, Entity, EntityKey};
use crate::domain::{InstallerPermission, Permission, Role, Timestamp};

/// What the shipped policies say of an installer who wants to use a device, over the rows that they look at too. Where
/// one of the two is somebody or something else: no.
#[must_use]
pub fn may_use_device(
    directory: &Directory,
    (principal, permission, resource): (EntityKey, Permission, EntityKey),
    now: Timestamp,
) -> bool {
    let (Some(Entity::Installer(who)), Some(Entity::Device(what))) =
        (directory.whose(principal), directory.whose(resource))
    else {
        return false;
    };
    let (Some(installer), Some(device)) = (directory.installer_row(who), directory.device_row(what)) else {
        return false;
    };
    let Some(site) = directory.site_row(device.site) else { return false };
    let has = |wanted| installer.permissions.iter().any(|permission| permission == wanted);
    let is_admin = installer.role == Role::Admin;
    let looks_after = installer.company == site.company
        && (is_admin
            || has(InstallerPermission::ManageAllSites)
            || (has(InstallerPermission::ManageAssignedSites)
                && site.is_assigned(who, installer.registered)));
    let may_configure =
        permission != Permission::Configure || is_admin || has(InstallerPermission::ManageDevices);
    let is_given =
        || matches!(device.covers.coverage(installer.company, permission, now), Coverage::Live { .. });
    looks_after && may_configure && (site.owner.is_none() || is_given())
}
