//! Consentry with the policies that come with it.
//!
//! The facts are the events that led to them: companies and their installers; then, site by site, an owner, a site with 4
//! devices, an invite that the owner accepted, and 8 grants. The engine reads them from a ledger that is made up as it is
//! read. What it decides by is more than what the peers are given: the site's owner, the role, what holds before a site is
//! handed over.

#![expect(clippy::expect_used, reason = "a benchmark that cannot build its world has nothing to measure")]

use std::fmt::Debug;
use std::str::FromStr;

use ::consentry::domain::{
    Contact, Duration, InstallerPermission, Permission, Role, Scope, SiteKind, UidRef,
};
use ::consentry::{AccessRequest, ActionKey, Engine, EntityKey, Event, Timestamp, Uid};

use crate::frozen::{Frozen, History};
use crate::workload::{
    DEVICES, Grant, INSTALLERS, Query, Workload, company, company_of, device, installer, installer_of,
};

fn id<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("ids here are made of letters, digits and dashes")
}

fn beginning() -> Timestamp {
    Timestamp::from_millis(Workload::BEGINNING)
}

fn company_with_installers(number: usize) -> Vec<Event> {
    let mut events = vec![Event::CompanyRegistered { company: id(&company(number)) }];
    events.extend((0..INSTALLERS).map(|place| {
        let name = installer(number, place);
        Event::InstallerRegistered {
            contacts: vec![Contact::email(&format!("{name}@example.com"))],
            installer: id(&name),
            company: id(&company(number)),
            role: Role::Admin,
            permissions: Vec::<InstallerPermission>::new(),
        }
    }));
    events
}

/// A site that is handed over, with its devices and grants.
fn site(workload: Workload, number: usize) -> Vec<Event> {
    let (site, invite) = (format!("site-{number:07}"), format!("invite-{number:07}"));
    let owner = format!("owner-{number:07}");
    let contact = Contact::email(&format!("{owner}@example.com"));
    let company = company_of(number);
    let mut events = vec![
        Event::EndUserRegistered { end_user: id(&owner), contacts: vec![contact.clone()] },
        Event::SiteCreated { site: id(&site), company: id(&company), kind: SiteKind::Normal },
        Event::OwnerInvited {
            invite: id(&invite),
            site: id(&site),
            asker: id(&installer_of(number, 0)),
            contact,
            entries: Vec::new(),
            disable_service: false,
            remark: None,
            deadline: beginning().after(Duration::from_hours(24)),
        },
    ];
    events.extend((0..DEVICES).map(|place| Event::DeviceAdded {
        device: id(&device(number, place)),
        site: id(&site),
        supports_password_reset: true,
    }));
    events.push(Event::InviteAccepted { invite: id(&invite), owner: id(&owner), disable_service: false });
    events.extend(workload.grants_on(number).map(|grant: Grant| Event::GrantMade {
        grant: id(&format!("application-{number:07}/{}/{}", grant.permission, grant.device)),
        company: id(&grant.company),
        site: id(&site),
        permission: Permission::named(grant.permission).expect("a permission of the domain"),
        scope: Scope::Device(id(&grant.device)),
        until: Some(Timestamp::from_millis(grant.until)),
    }));
    events
}

/// A record for each company, then one for each site.
impl History for Workload {
    fn records(&self) -> usize {
        self.companies() + self.sites()
    }

    fn happened(&self, number: usize) -> (Timestamp, Vec<Event>) {
        let events = match number.checked_sub(self.companies()) {
            None => company_with_installers(number),
            Some(number) => site(*self, number),
        };
        (beginning(), events)
    }
}

fn uids(query: &Query) -> [Uid; 2] {
    [Uid::new(&query.principal_type, &query.principal), Uid::new(&query.resource_type, &query.resource)]
}

/// The engine that knows this workload.
pub fn engine(workload: Workload) -> Engine {
    Frozen::engine(workload)
}

/// Answers from the strings.
pub fn from_strings(engine: &Engine) -> impl FnMut(usize, &Query) -> bool {
    |_, query| {
        let principal = UidRef::new(&query.principal_type, &query.principal);
        let resource = UidRef::new(&query.resource_type, &query.resource);
        let now = Timestamp::from_millis(query.now);
        engine.check_named(principal, &query.action, resource, now).is_allowed()
    }
}

/// Answers from the strings: a request is made of them, and the whole answer is given, with the policies that decided.
pub fn with_policies(engine: &Engine) -> impl FnMut(usize, &Query) -> bool {
    |_, query| {
        let [principal, resource] = uids(query);
        let request = AccessRequest::new(principal, &query.action, resource);
        let evaluation = engine.evaluate(&request, Timestamp::from_millis(query.now));
        evaluation.expect("it is a question").is_allowed()
    }
}

/// Answers of which the keys were looked up before.
pub fn by_key(engine: &Engine, queries: &[Query]) -> impl FnMut(usize, &Query) -> bool {
    let keys = |query: &Query| -> (EntityKey, ActionKey, EntityKey) {
        let [principal, resource] = uids(query).map(|uid| engine.key(&uid).expect("it is registered"));
        (principal, engine.action(&query.action).expect("the schema has it"), resource)
    };
    let keys: Vec<_> = queries.iter().map(keys).collect();
    move |number, query| {
        keys.get(number).is_some_and(|(principal, action, resource)| {
            engine.check(*principal, action, *resource, Timestamp::from_millis(query.now)).is_allowed()
        })
    }
}
