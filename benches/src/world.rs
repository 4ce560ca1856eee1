//! The world that the benchmarks ask about, as the events that lead to it.
//!
//! A company looks after 100 sites and has 10 installers, each a member who manages 10 of the sites. A
//! site has an owner who took it over by an invite, and 3 devices. On every device the owner gave
//! `liveView`, `playback` and `configure` by one accepted application: 9 grants a site, every other one
//! without end and the rest for 8 hours, made one site after the other within 7 hours. All of them are
//! live at [`World::now`].

use std::fmt::Debug;
use std::str::FromStr;

use consentry::Timestamp;
use consentry::domain::{
    Contact, Duration, Entry, GrantId, InstallerPermission, Permission, Role, Scope, SiteKind, Validity,
};
use consentry::event::Event;

use crate::frozen::History;
use crate::random::Random;

/// Devices on a site.
pub const DEVICES: usize = 3;

/// The permissions that are given on each device.
const PERMISSIONS: [Permission; 3] = [Permission::LiveView, Permission::Playback, Permission::Configure];

/// Grants on a site.
const GRANTS: usize = DEVICES * PERMISSIONS.len();

/// Sites of a company.
const SITES: usize = 100;

/// Installers of a company.
const INSTALLERS: usize = 10;

/// Records that a site takes: one for each command by which it came to be as it is.
const STEPS: usize = 10;

/// Events in these records.
const EVENTS: usize = STEPS + GRANTS;

/// 2026-03-01T00:00:00Z.
const BEGINNING: i64 = 1_772_323_200_000;

/// A world of a certain size.
#[derive(Debug, Clone, Copy)]
pub struct World {
    grants: usize,
    beginning: Timestamp,
}

/// Something that happened at a moment: one record of a ledger.
#[derive(Debug, Clone)]
pub struct Happened {
    /// When.
    pub at: Timestamp,
    /// What.
    pub events: Vec<Event>,
}

/// May this installer see this device's picture?
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are the facts of the same names")]
pub struct Question {
    pub installer: String,
    pub company: String,
    /// Whether the installer looks after the device's site, so that the answer is yes.
    pub is_assigned: bool,
    pub device: String,
    pub site: String,
    pub site_company: String,
    pub owner: String,
    /// The end of the grant, if it has one.
    pub until: Option<Timestamp>,
}

/// The id with this text.
///
/// # Panics
/// When the text is no id.
#[must_use]
pub fn id<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("ids here are made of letters, digits and dashes")
}

/// The id of a device, by its place on its site.
#[must_use]
pub fn device(site: usize, place: usize) -> String {
    format!("cam-{:07}", site * DEVICES + place)
}

/// The id of a site.
#[must_use]
pub fn site(site: usize) -> String {
    format!("site-{site:07}")
}

/// The id of the company that looks after a site.
#[must_use]
pub fn company_of(site: usize) -> String {
    company(site / SITES)
}

/// The id of the owner of a site.
#[must_use]
pub fn owner(site: usize) -> String {
    format!("owner-{site:07}")
}

fn company(company: usize) -> String {
    format!("company-{company:05}")
}

fn installer(company: usize, place: usize) -> String {
    format!("installer-{:06}", company * INSTALLERS + place)
}

fn installer_of(site: usize) -> String {
    installer(site / SITES, site % INSTALLERS)
}

fn application(site: usize) -> String {
    format!("application-{site:07}")
}

fn invite(site: usize) -> String {
    format!("invite-{site:07}")
}

/// What is asked for, and given, on the devices of a site.
fn entries(site: usize) -> Vec<Entry> {
    let places = (0..DEVICES).flat_map(|place| PERMISSIONS.map(|permission| (place, permission)));
    let entry = |(index, (place, permission)): (usize, (usize, Permission))| Entry {
        permission,
        scope: Scope::Device(id(&device(site, place))),
        validity: if (site + index).is_multiple_of(2) { Validity::Permanent } else { Validity::EightHours },
    };
    places.enumerate().map(entry).collect()
}

impl World {
    /// The world with this many live grants.
    #[must_use]
    pub fn with_grants(grants: usize) -> Self {
        Self { grants, beginning: Timestamp::from_millis(BEGINNING) }
    }

    /// The same world at another time: all grants are live at `now`, and for half an hour from then.
    #[must_use]
    pub fn live_at(self, now: Timestamp) -> Self {
        Self { beginning: Timestamp::from_millis(now.millis() - 450 * 60_000), ..self }
    }

    /// The world to which about this many events lead.
    #[must_use]
    pub fn with_events(events: usize) -> Self {
        Self::with_grants(events / EVENTS * GRANTS)
    }

    /// How many grants there are.
    #[must_use]
    pub fn grants(self) -> usize {
        self.grants
    }

    /// How many sites there are.
    #[must_use]
    pub fn sites(self) -> usize {
        self.grants.div_ceil(GRANTS)
    }

    /// How many companies there are.
    #[must_use]
    pub fn companies(self) -> usize {
        self.sites().div_ceil(SITES)
    }

    /// A moment at which all grants are live.
    #[must_use]
    pub fn now(self) -> Timestamp {
        self.beginning.after(Duration::from_minutes(450))
    }

    /// When a site came to be as it is.
    fn at(self, site: usize) -> Timestamp {
        let hours = 7 * 3_600_000 * site / self.sites();
        Timestamp::from_millis(self.beginning.millis() + i64::try_from(hours).unwrap_or(0))
    }

    /// How many records lead to this world.
    #[must_use]
    pub fn len(self) -> usize {
        self.companies() + self.sites() * STEPS
    }

    /// Whether nothing leads to this world.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.grants == 0
    }

    /// The record with this number, from 0 on: first the companies, then the sites.
    #[must_use]
    pub fn record(self, number: usize) -> Happened {
        match number.checked_sub(self.companies()) {
            None => self.company(number),
            Some(number) => {
                let (site, step) = (number / STEPS, number % STEPS);
                Happened { at: self.at(site), events: self.step(site, step) }
            }
        }
    }

    /// A company with its installers.
    #[must_use]
    pub fn company(self, number: usize) -> Happened {
        let mut events = vec![Event::CompanyRegistered { company: id(&company(number)) }];
        events.extend((0..INSTALLERS).map(|place| {
            let name = installer(number, place);
            Event::InstallerRegistered {
                contacts: vec![Contact::email(&format!("{name}@example.com"))],
                installer: id(&name),
                company: id(&company(number)),
                role: Role::Member,
                permissions: vec![
                    InstallerPermission::ManageAssignedSites,
                    InstallerPermission::ManageDevices,
                ],
            }
        }));
        Happened { at: self.beginning, events }
    }

    /// The owner of a site: an account.
    #[must_use]
    pub fn account(self, site: usize) -> Happened {
        Happened { at: self.at(site), events: self.step(site, 0) }
    }

    /// A site with its devices, handed over to its owner.
    #[must_use]
    pub fn place(self, site: usize) -> Happened {
        Happened { at: self.at(site), events: (1..8).flat_map(|step| self.step(site, step)).collect() }
    }

    /// The application for all grants on a site, and its acceptance, without the grants.
    #[must_use]
    pub fn asked(self, site: usize) -> Happened {
        let accepted = Event::ApplicationAccepted { application: id(&application(site)) };
        let events = self.step(site, 8).into_iter().chain([accepted]).collect();
        Happened { at: self.at(site), events }
    }

    /// The grants on a site.
    #[must_use]
    pub fn given(self, site: usize) -> Happened {
        let grant = |entry: Entry| Event::GrantMade {
            grant: derived(site, &entry),
            company: id(&company_of(site)),
            site: id(&self::site(site)),
            permission: entry.permission,
            scope: entry.scope,
            until: entry.validity.until(self.at(site)),
        };
        let count = self.grants.saturating_sub(site * GRANTS);
        Happened { at: self.at(site), events: entries(site).into_iter().take(count).map(grant).collect() }
    }

    /// What one of the commands led to by which a site came to be as it is.
    fn step(self, number: usize, step: usize) -> Vec<Event> {
        let contact = Contact::email(&format!("{}@example.com", owner(number)));
        let deadline = self.at(number).after(Duration::from_hours(24));
        let (site, asker) = (id(&site(number)), id(&installer_of(number)));
        vec![match step {
            0 => Event::EndUserRegistered { end_user: id(&owner(number)), contacts: vec![contact] },
            1 => {
                let company = id(&company_of(number));
                Event::SiteCreated { site, company, kind: SiteKind::Normal }
            }
            2 => Event::SiteAssigned { site, installer: asker },
            3..=5 => {
                let device = id(&device(number, step - 3));
                Event::DeviceAdded { device, site, supports_password_reset: true }
            }
            6 => Event::OwnerInvited {
                invite: id(&invite(number)),
                site,
                asker,
                contact,
                entries: Vec::new(),
                disable_service: false,
                remark: None,
                deadline,
            },
            7 => Event::InviteAccepted {
                invite: id(&invite(number)),
                owner: id(&owner(number)),
                disable_service: false,
            },
            8 => Event::PermissionApplied {
                application: id(&application(number)),
                site,
                asker,
                entries: entries(number),
                remark: None,
                deadline,
            },
            _ => {
                let accepted = Event::ApplicationAccepted { application: id(&application(number)) };
                return [accepted].into_iter().chain(self.given(number).events).collect();
            }
        }]
    }

    /// A question about a random device, by the installer who looks after its site or, for a denial, by
    /// one who looks after other sites of another company. Sites of which a grant may be missing are
    /// left out.
    #[must_use]
    pub fn question(self, random: &mut Random, allowed: bool) -> Question {
        let number = random.below(self.grants / GRANTS);
        let place = random.below(DEVICES);
        let stranger = (number + SITES) % (self.companies() * SITES);
        let asker = if allowed { number } else { stranger };
        let entry = entries(number).into_iter().nth(place * PERMISSIONS.len());
        Question {
            installer: installer_of(asker),
            company: company_of(asker),
            is_assigned: allowed,
            device: device(number, place),
            site: site(number),
            site_company: company_of(number),
            owner: owner(number),
            until: entry.and_then(|entry| entry.validity.until(self.at(number))),
        }
    }
}

impl History for World {
    fn records(&self) -> usize {
        self.len()
    }

    fn happened(&self, number: usize) -> (Timestamp, Vec<Event>) {
        let Happened { at, events } = self.record(number);
        (at, events)
    }
}

/// The id that the engine derives for a grant.
fn derived(site: usize, entry: &Entry) -> GrantId {
    let device = entry.scope.device().map_or_else(String::new, ToString::to_string);
    id(&format!("{}/{}/{device}", application(site), entry.permission.name()))
}
