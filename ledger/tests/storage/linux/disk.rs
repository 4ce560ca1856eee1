//! A disk as an operating system leaves it when the power fails.
//!
//! Of a file, what was written before its last sync is there. Of what was written after it, each sector of
//! 512 bytes is there as it was after any of the writes since, or not at all, whatever became of the others; and the
//! file is as long as it was after any of them. Only what a file was cut off by is gone once it is that short.
//! A sector whose sync failed is never made durable by a later sync, unless it was written again in between: the
//! system forgets that it was not. A name is there once its folder was synced, whatever was
//! synced of the file; before that each making, renaming and removing has happened or has not.

use std::collections::{BTreeMap, BTreeSet};

use super::trace::{Op, What};

pub(crate) const SECTOR: usize = 512;

type Sector = [u8; SECTOR];

/// The files of a folder, by their paths below the root.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Node {
    Folder,
    File(usize),
    /// SQLite's index of the log: nothing in it outlives a process.
    Index,
}

#[derive(Debug, Clone)]
enum Naming {
    Made(String, Node),
    Removed(String),
    Renamed(String, String, Node),
}

impl Naming {
    fn folder(&self) -> &str {
        let (Self::Made(path, _) | Self::Removed(path) | Self::Renamed(path, ..)) = self;
        path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    fn apply(&self, names: &mut BTreeMap<String, Node>) {
        match self {
            Self::Made(path, node) => drop(names.insert(path.clone(), *node)),
            Self::Removed(path) => drop(names.remove(path)),
            Self::Renamed(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}

/// What a sector was, and how many of the lengths were there by then.
#[derive(Debug, Clone, PartialEq)]
struct Version {
    after: usize,
    sector: Sector,
}

#[derive(Debug, Clone, Default)]
struct Content {
    /// What is read now.
    now: Vec<u8>,
    durable: Vec<u8>,
    /// The lengths since the last sync.
    lengths: Vec<usize>,
    /// What each sector was after each write since the last sync.
    dirty: BTreeMap<usize, Vec<Version>>,
    /// The same of those whose sync failed.
    lost: BTreeMap<usize, Vec<Version>>,
}

/// A sector of a file; zeros from its end on.
fn sector(bytes: &[u8], number: usize) -> Sector {
    let mut sector = [0; SECTOR];
    let start = (number * SECTOR).min(bytes.len());
    let end = (start + SECTOR).min(bytes.len());
    sector[..end - start].copy_from_slice(&bytes[start..end]);
    sector
}

fn put(bytes: &mut [u8], number: usize, sector: &Sector) {
    let start = (number * SECTOR).min(bytes.len());
    let end = (start + SECTOR).min(bytes.len());
    bytes[start..end].copy_from_slice(&sector[..end - start]);
}

impl Content {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if end > self.now.len() {
            self.now.resize(end, 0);
            self.lengths.push(end);
        }
        self.now[at..end].copy_from_slice(bytes);
        if bytes.is_empty() {
            return;
        }
        for number in at / SECTOR..=(end - 1) / SECTOR {
            let version = Version { after: self.lengths.len(), sector: sector(&self.now, number) };
            let before = self.lost.remove(&number);
            self.dirty.entry(number).or_insert_with(|| before.unwrap_or_default()).push(version);
        }
    }

    /// INVARIANT: a file is cut at the end of a sector, as SQLite and everybody else here does.
    fn cut(&mut self, length: usize) {
        assert_eq!(length % SECTOR, 0);
        if self.now.len() != length {
            self.now.resize(length, 0);
            self.lengths.push(length);
        }
    }

    /// The shortest that the file was from one of its lengths to another.
    fn shortest(&self, after: usize, until: usize) -> usize {
        self.lengths[after.min(until)..until].iter().copied().min().unwrap_or(usize::MAX)
    }

    fn sync(&mut self) {
        let shortest = self.shortest(0, self.lengths.len());
        self.durable.truncate(shortest);
        self.durable.resize(self.now.len(), 0);
        for number in std::mem::take(&mut self.dirty).into_keys() {
            put(&mut self.durable, number, &sector(&self.now, number));
        }
        let lost = std::mem::take(&mut self.lost);
        self.lost = lost.into_iter().filter(|(number, _)| number * SECTOR < shortest).collect();
        self.lost.values_mut().flatten().for_each(|version| version.after = 0);
        self.lengths.clear();
    }

    fn fail_to_sync(&mut self) {
        self.lost.append(&mut self.dirty);
    }

    /// What is found of it: of the lengths and of each sector the version that is told.
    fn found(&self, mut version: impl FnMut(usize) -> usize, fill: u8) -> Vec<u8> {
        let length = version(self.lengths.len() + 1);
        let mut bytes = self.durable.clone();
        bytes.truncate(self.shortest(0, length));
        bytes.resize(length.checked_sub(1).map_or(self.durable.len(), |length| self.lengths[length]), fill);
        for (number, versions) in self.dirty.iter().chain(&self.lost) {
            if let Some(chosen) = version(versions.len() + 1).checked_sub(1) {
                let Version { after, sector } = &versions[chosen];
                // Cut off since, it is not found again.
                if number * SECTOR < self.shortest(*after, length) {
                    put(&mut bytes, *number, sector);
                }
            }
        }
        bytes
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    names: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    namings: Vec<Naming>,
    files: Vec<Content>,
    open: BTreeMap<i32, Node>,
}

impl Disk {
    pub(crate) fn new() -> Self {
        let root = BTreeMap::from([(String::new(), Node::Folder)]);
        Self { names: root.clone(), durable: root, ..Self::default() }
    }

    fn rename(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.namings.push(naming);
    }

    fn content(&mut self, fd: i32) -> Option<&mut Content> {
        match self.open[&fd] {
            Node::File(id) => Some(&mut self.files[id]),
            Node::Folder | Node::Index => None,
        }
    }

    pub(crate) fn apply(&mut self, op: &Op) {
        match &op.what {
            What::Sync { fd } if op.failed => {
                if let Some(content) = self.content(*fd) {
                    content.fail_to_sync();
                }
            }
            _ if op.failed => {}
            What::Open { fd, creates, empties } => self.open(*fd, &op.path, *creates, *empties),
            What::Close { fd } => drop(self.open.remove(fd)),
            What::Write { fd, at, bytes } => {
                if let Some(content) = self.content(*fd) {
                    content.write(*at, bytes);
                }
            }
            What::Cut { fd, length } => {
                if let Some(content) = self.content(*fd) {
                    content.cut(*length);
                }
            }
            What::Sync { fd } => self.sync(*fd, &op.path),
            What::Rename { to } => {
                let node = self.names[&op.path];
                self.rename(Naming::Renamed(op.path.clone(), to.clone(), node));
            }
            What::Unlink => self.rename(Naming::Removed(op.path.clone())),
            What::Mkdir => self.rename(Naming::Made(op.path.clone(), Node::Folder)),
            What::Map | What::Mark(_) => {}
        }
    }

    fn open(&mut self, fd: i32, path: &str, creates: bool, empties: bool) {
        let node = match self.names.get(path) {
            Some(node) => *node,
            None => {
                assert!(creates, "`{path}` was opened, and nobody made it");
                let node = if path.ends_with("-shm") { Node::Index } else { Node::File(self.files.len()) };
                if node != Node::Index {
                    self.files.push(Content::default());
                }
                self.rename(Naming::Made(path.to_owned(), node));
                node
            }
        };
        self.open.insert(fd, node);
        if let (Node::File(id), true) = (node, empties) {
            self.files[id].cut(0);
        }
    }

    fn sync(&mut self, fd: i32, path: &str) {
        if let Some(content) = self.content(fd) {
            return content.sync();
        }
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.namings).into_iter().partition(|naming| naming.folder() == path);
        now.iter().for_each(|naming| naming.apply(&mut self.durable));
        self.namings = later;
    }

    /// What is read from a file now.
    pub(crate) fn read(&self, path: &str) -> &[u8] {
        match self.names.get(path) {
            Some(Node::File(id)) => &self.files[*id].now,
            Some(Node::Folder | Node::Index) | None => &[],
        }
    }

    /// What a process that was killed leaves: all that was written.
    pub(crate) fn now(&self) -> Image {
        let files = self.files.iter().map(|content| content.now.clone()).enumerate().collect();
        image(&self.names, &files)
    }

    /// The same before `op`, and a part of it: a write of which only the first `sectors` sectors were done.
    pub(crate) fn torn(&self, op: &Op, sectors: usize) -> Option<Image> {
        let What::Write { fd, at, bytes } = &op.what else { return None };
        let until = (at / SECTOR + sectors) * SECTOR;
        let part = bytes.get(..until.checked_sub(*at)?)?;
        let mut torn = self.clone();
        torn.content(*fd)?.write(*at, part);
        Some(torn.now())
    }

    /// The files that may be found, in order.
    fn findable(&self) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let namings = self.namings.iter().filter_map(|naming| match naming {
            Naming::Made(path, node) | Naming::Renamed(_, path, node) => Some((path, node)),
            Naming::Removed(_) => None,
        });
        for (_, node) in self.durable.iter().chain(namings) {
            if let Node::File(id) = node {
                found.insert(*id);
            }
        }
        found
    }

    /// What may be found in more than one version, in the order in which `lose_power` is told: how many versions
    /// there are of each. Version 0 is the durable one.
    pub(crate) fn units(&self) -> Vec<usize> {
        let mut units = Vec::new();
        self.lose_power(
            |versions| {
                units.push(versions);
                0
            },
            0,
        );
        units
    }

    /// What is found when the power is back: of each unit the version that is told, and `fill` where a file is
    /// longer than what was written of it.
    pub(crate) fn lose_power(&self, mut version: impl FnMut(usize) -> usize, fill: u8) -> Image {
        let mut version = |versions: usize| if versions > 1 { version(versions) } else { 0 };
        let mut names = self.durable.clone();
        for naming in &self.namings {
            if version(2) == 1 {
                naming.apply(&mut names);
            }
        }
        let files = self.findable().into_iter();
        let found = files.map(|id| (id, self.files[id].found(&mut version, fill))).collect();
        image(&names, &found)
    }
}

/// The files under their names.
fn image(names: &BTreeMap<String, Node>, files: &BTreeMap<usize, Vec<u8>>) -> Image {
    let mut image = Image::new();
    for (path, node) in names {
        let mut folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        let there = folders.all(|folder| names.get(folder) == Some(&Node::Folder));
        if let (Node::File(id), true) = (node, there) {
            image.insert(path.clone(), files[id].clone());
        }
    }
    image
}
