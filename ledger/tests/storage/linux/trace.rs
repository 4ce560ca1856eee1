//! What `shim.c` saw, read again.

use std::collections::BTreeMap;
use std::path::Path;

/// One operation on the files of a ledger, or a mark between two.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Op {
    /// Which one it is among those that may fail, from 1 on; 0: it may not.
    pub(crate) which: usize,
    /// The path below the root; the one under which it was opened, for an operation on an open file.
    pub(crate) path: String,
    /// It failed, and did nothing.
    pub(crate) failed: bool,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    Open { fd: i32, creates: bool, empties: bool },
    Close { fd: i32 },
    Write { fd: i32, at: usize, bytes: Vec<u8> },
    Cut { fd: i32, length: usize },
    Sync { fd: i32 },
    Rename { to: String },
    Unlink,
    Mkdir,
    Map,
    Mark(String),
}

impl Op {
    /// Whether it is a mark of this kind.
    pub(crate) fn says(&self, word: &str) -> bool {
        matches!(&self.what, What::Mark(words) if words.starts_with(word))
    }

    /// Whether it says what was not known before.
    pub(crate) fn says_something(&self) -> bool {
        self.says("") && !self.says("submit")
    }

    /// Whether another disk may be found after it than before it.
    pub(crate) fn does_something(&self) -> bool {
        !matches!(self.what, What::Close { .. } | What::Map | What::Mark(_))
    }

    /// Whether it says that something was refused.
    pub(crate) fn refuses(&self) -> bool {
        self.says("refused") || self.says("unopened")
    }

    /// A line for people.
    pub(crate) fn shown(&self) -> String {
        let what = match &self.what {
            What::Open { creates, empties, .. } => format!("open (creates: {creates}, empties: {empties})"),
            What::Close { .. } => "close".to_owned(),
            What::Write { at, bytes, .. } => format!("write {} bytes at {at}", bytes.len()),
            What::Cut { length, .. } => format!("cut to {length}"),
            What::Sync { .. } => "sync".to_owned(),
            What::Rename { to } => format!("rename to {to}"),
            What::Unlink => "unlink".to_owned(),
            What::Mkdir => "make the folder".to_owned(),
            What::Map => "map".to_owned(),
            What::Mark(text) => format!("say `{text}`"),
        };
        format!("{} {what} `{}`{}", self.which, self.path, if self.failed { ": fails" } else { "" })
    }
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(u32::from_ne_bytes(self.number()?)).ok()
    }
}

fn text(bytes: &[u8]) -> String {
    str::from_utf8(bytes).unwrap().to_owned()
}

/// Reads a trace. A process that was killed may have left its last line undone, never half written.
pub(crate) fn read(path: &Path) -> Vec<Op> {
    let bytes = std::fs::read(path).unwrap();
    let mut rest = Bytes(&bytes);
    let mut open: BTreeMap<i32, String> = BTreeMap::new();
    let (mut ops, mut which) = (Vec::new(), 0);
    while !rest.0.is_empty() {
        let op = next(&mut rest, &mut open).expect("a whole line");
        let may_fail = !matches!(op.what, What::Close { .. } | What::Mark(_));
        which += usize::from(may_fail);
        ops.push(Op { which: if may_fail { which } else { 0 }, ..op });
    }
    ops
}

fn next(rest: &mut Bytes<'_>, open: &mut BTreeMap<i32, String>) -> Option<Op> {
    let [kind] = rest.number()?;
    let failed = i32::from_ne_bytes(rest.number()?) != 0;
    let fd = i32::from_ne_bytes(rest.number()?);
    let number = i64::from_ne_bytes(rest.number()?);
    let (first, second) = (rest.length()?, rest.length()?);
    let (one, two) = (rest.take(first)?, rest.take(second)?);
    // Linux's own numbers for O_CREAT and O_TRUNC.
    let flag = |bit: i64| number & bit != 0;
    let at = usize::try_from(number).ok()?;
    let (path, what) = match kind {
        b'o' => {
            open.insert(fd, text(one));
            (text(one), What::Open { fd, creates: flag(0o100), empties: flag(0o1000) })
        }
        b'r' => (text(one), What::Rename { to: text(two) }),
        b'u' => (text(one), What::Unlink),
        b'm' => (text(one), What::Mkdir),
        b'M' => (String::new(), What::Mark(text(one))),
        b'c' => (open.remove(&fd).unwrap_or_default(), What::Close { fd }),
        b'w' => (open[&fd].clone(), What::Write { fd, at, bytes: one.to_vec() }),
        b't' => (open[&fd].clone(), What::Cut { fd, length: at }),
        b's' => (open[&fd].clone(), What::Sync { fd }),
        b'p' => (open[&fd].clone(), What::Map),
        other => unreachable!("a line of the kind {other}"),
    };
    Some(Op { which: 0, path, failed, what })
}
