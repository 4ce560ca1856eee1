//! Which things there are.

use std::collections::BinaryHeap;

use super::Directory;

impl Directory {
    /// The first `most` ids, in their order, of the things of this Cedar type that come after `after`. O(things of
    /// the type): they are kept in no order. Operators are not registered, and not found.
    #[must_use]
    pub fn first_ids(&self, entity_type: &str, after: Option<&str>, most: usize) -> Vec<String> {
        let mut first = First { after, most, ids: BinaryHeap::new() };
        match entity_type {
            "Company" => self.companies.iter().for_each(|id| first.take(id.as_str())),
            "EndUser" => self.end_users.keys().for_each(|id| first.take(id.as_str())),
            "Installer" => self.installers.keys().for_each(|id| first.take(id.as_str())),
            "Site" => self.sites.keys().for_each(|id| first.take(id.as_str())),
            "Device" => self.devices.keys().for_each(|id| first.take(id.as_str())),
            "Invite" => self.invites.keys().for_each(|id| first.take(id.as_str())),
            "PermissionApplication" => self.applications.keys().for_each(|id| first.take(id.as_str())),
            "ResetTicket" => self.tickets.keys().for_each(|id| first.take(id.as_str())),
            "Grant" => self.grants.keys().for_each(|id| first.take(id.as_str())),
            _ => {}
        }
        first.ids.into_sorted_vec().into_iter().map(str::to_owned).collect()
    }
}

/// The first few ids, of those that come in any order.
struct First<'a> {
    after: Option<&'a str>,
    most: usize,
    ids: BinaryHeap<&'a str>,
}

impl<'a> First<'a> {
    fn take(&mut self, id: &'a str) {
        if self.after.is_some_and(|after| id <= after) {
            return;
        }
        if self.ids.len() < self.most {
            self.ids.push(id);
        } else if self.ids.peek().is_some_and(|last| id < *last) {
            self.ids.pop();
            self.ids.push(id);
        }
    }
}
