//! The facts, the questions about them, and the answers that are right: numbers, and no engine.
//!
//! A site belongs to one company and has 4 devices; on each of them the company has a grant for `liveView` and one for
//! `playback`: 8 grants a site. Every fourth grant is over at [`Workload::NOW`], some of them at that very millisecond.
//! A company has 100 sites and 10 installers, all of them admins. Nobody has a grant for `configure`.

use crate::random::Random;

/// Devices on a site.
pub const DEVICES: usize = 4;

/// The permissions that are given on each device.
pub const PERMISSIONS: [&str; 2] = ["liveView", "playback"];

/// What nobody was given.
pub const NEVER_GIVEN: &str = "configure";

/// Grants on a site.
pub const GRANTS: usize = DEVICES * PERMISSIONS.len();

/// Sites of a company.
const SITES: usize = 100;

/// Installers of a company.
pub const INSTALLERS: usize = 10;

/// Questions in a workload.
pub const QUESTIONS: usize = 20_000;

/// The facts with a certain number of grants.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    grants: usize,
}

/// A grant of a company, live or over.
#[derive(Debug, Clone)]
pub struct Grant {
    pub company: String,
    pub device: String,
    pub permission: &'static str,
    /// Milliseconds since the Unix epoch: from then on it is over.
    pub until: i64,
}

/// May this installer do this to this device now? All in strings, as it came in.
#[derive(Debug, Clone)]
pub struct Query {
    pub principal_type: String,
    pub principal: String,
    pub action: String,
    pub resource_type: String,
    pub resource: String,
    /// Milliseconds since the Unix epoch.
    pub now: i64,
    /// What is right.
    pub is_allowed: bool,
}

/// What a question is about, before it is one.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A live grant of the asker's company.
    Live,
    /// A grant of the asker's company that is over.
    Over,
    /// What nobody was given.
    WrongAction,
    /// A live grant, asked about by an installer of another company.
    Stranger,
}

/// Of 20 questions: how many are of which kind.
const MIX: [(Kind, usize); 4] =
    [(Kind::Live, 10), (Kind::Over, 4), (Kind::WrongAction, 3), (Kind::Stranger, 3)];

/// The id of an installer.
pub fn installer(company: usize, place: usize) -> String {
    format!("installer-{:06}", company * INSTALLERS + place)
}

/// The id of an installer of the company that looks after a site.
pub fn installer_of(site: usize, place: usize) -> String {
    installer(site / SITES, place)
}

/// The id of a company.
pub fn company(company: usize) -> String {
    format!("company-{company:05}")
}

/// The id of the company that looks after a site.
pub fn company_of(site: usize) -> String {
    company(site / SITES)
}

/// The id of a device, by its place on its site.
pub fn device(site: usize, place: usize) -> String {
    format!("cam-{:07}", site * DEVICES + place)
}

impl Workload {
    /// When everything is asked: 2026-03-01T07:30:00Z.
    pub const NOW: i64 = 1_772_350_200_000;

    /// When everything was made, before every grant's end.
    pub const BEGINNING: i64 = Self::NOW - 450 * 60_000;

    /// The workload with this many grants, a multiple of 8.
    pub fn with_grants(grants: usize) -> Self {
        Self { grants }
    }

    /// How many sites there are.
    pub fn sites(self) -> usize {
        self.grants / GRANTS
    }

    /// How many companies there are.
    pub fn companies(self) -> usize {
        self.sites().div_ceil(SITES)
    }

    /// When the grant with this number ends. Every fourth one has ended; which, differs from site to site.
    fn until(number: usize) -> i64 {
        let minutes = |most: usize| i64::try_from(number * 7_919 % most).unwrap_or(0) * 60_000;
        if (number + number / GRANTS).is_multiple_of(4) {
            Self::NOW - minutes(400)
        } else {
            Self::NOW + 60_000 + minutes(480)
        }
    }

    /// The grants on a site.
    pub fn grants_on(self, site: usize) -> impl Iterator<Item = Grant> {
        let grant = move |(number, (place, permission))| Grant {
            company: company_of(site),
            device: device(site, place),
            permission,
            until: Self::until(site * GRANTS + number),
        };
        let places = (0..DEVICES).flat_map(|place| PERMISSIONS.map(|permission| (place, permission)));
        places.enumerate().map(grant)
    }

    /// The oracle: whether an installer of company `asker` may do what the grant with this number is for, or what nobody was
    /// given.
    fn is_allowed(asker: usize, number: usize, is_given: bool) -> bool {
        let company = number / GRANTS / SITES;
        is_given && asker == company && Self::NOW < Self::until(number)
    }

    /// The questions: the same ones in every run, of all kinds in an order that looks random.
    pub fn queries(self) -> Vec<Query> {
        let mut random = Random::new(0x5eed_2026);
        let mix = MIX.iter().flat_map(|(kind, share)| std::iter::repeat_n(*kind, QUESTIONS / 20 * share));
        let mut kinds: Vec<Kind> = mix.collect();
        for last in (1..kinds.len()).rev() {
            kinds.swap(last, random.below(last + 1));
        }
        kinds.into_iter().map(|kind| self.query(kind, &mut random)).collect()
    }

    fn query(self, kind: Kind, random: &mut Random) -> Query {
        let wants_live = !matches!(kind, Kind::Over);
        let number = loop {
            let number = random.below(self.grants);
            if (Self::NOW < Self::until(number)) == wants_live {
                break number;
            }
        };
        let (site, on_site) = (number / GRANTS, number % GRANTS);
        let home = site / SITES;
        let asker = match kind {
            Kind::Live | Kind::Over | Kind::WrongAction => home,
            Kind::Stranger => (home + 1 + random.below(self.companies() - 1)) % self.companies(),
        };
        let permission = PERMISSIONS.get(on_site % PERMISSIONS.len()).copied().unwrap_or(NEVER_GIVEN);
        let action = if matches!(kind, Kind::WrongAction) { NEVER_GIVEN } else { permission };
        Query {
            principal_type: "Installer".to_owned(),
            principal: installer(asker, random.below(INSTALLERS)),
            action: action.to_owned(),
            resource_type: "Device".to_owned(),
            resource: device(site, on_site / PERMISSIONS.len()),
            now: Self::NOW,
            is_allowed: Self::is_allowed(asker, number, action != NEVER_GIVEN),
        }
    }
}
