//! Which things there are.

use std::collections::BinaryHeap;

use super::Directory;

impl Directory {
    /// The first `most` ids, in their order, of the things of this Cedar type that come after `after`. O(things of
    /// the type): they are kept in no order. Operators are not registered, and not found.
    #[must_use]
    pub fn first_ids(&self, entity_type: &str, after: Option<&str>, most: usize) -> Vec<String> {
        self.first_ids_where(entity_type, after, most, |_| true)
    }

    /// As [`Directory::first_ids`], of those that are `wanted`.
    pub(crate) fn first_ids_where(
        &self,
        entity_type: &str,
        after: Option<&str>,
        most: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let mut first = First { after, most, wanted, ids: BinaryHeap::new() };
        match entity_type {
            "Company" => self.companies.iter().for_each(|(_, id, ..)| first.take(id.as_str())),
            "EndUser" => self.end_users.iter().for_each(|(_, id, ..)| first.take(id.as_str())),
            "Installer" => self.installers.iter().for_each(|(_, id, ..)| first.take(id.as_str())),
            "Site" => self.sites.iter().for_each(|(_, id, ..)| first.take(id.as_str())),
            "Device" => self.devices.iter().for_each(|(_, id, ..)| first.take(id.as_str())),
            "Invite" => self.invites.keys().for_each(|id| first.take(id.as_str())),
            "PermissionApplication" => self.applications.keys().for_each(|id| first.take(id.as_str())),
            "ResetTicket" => self.tickets.keys().for_each(|id| first.take(id.as_str())),
            "Grant" => self.grants().for_each(|grant| first.take(grant.id_text())),
            _ => {}
        }
        first.ids.into_sorted_vec().into_iter().map(str::to_owned).collect()
    }
}

/// The first few ids, of those that come in any order.
struct First<'a, W> {
    after: Option<&'a str>,
    most: usize,
    wanted: W,
    ids: BinaryHeap<&'a str>,
}

impl<'a, W: Fn(&str) -> bool> First<'a, W> {
    fn take(&mut self, id: &'a str) {
        let is_full = self.ids.len() >= self.most;
        let is_out = |last: &&str| is_full && id >= *last;
        if self.after.is_some_and(|after| id <= after)
            || self.ids.peek().is_some_and(is_out)
            || !(self.wanted)(id)
        {
            return;
        }
        self.ids.push(id);
        if is_full {
            self.ids.pop();
        }
    }
}
