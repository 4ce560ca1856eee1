//! What came of all cases, in a file for readers.

use std::fmt::Write as _;

/// One case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) group: String,
    pub(crate) case: String,
    pub(crate) text: String,
}

const HEAD: &str = "What Envoy 1.40 does, case by case (two_hosts.rs, gateways/cases.rs, guests/probe). Numbers after \
    colons are\nwhat functions of the ABI returned: 0 ok, 1 not found, 2 bad argument, 3 not serializable, 6 no such memory, \
    7 empty,\n8 changed meanwhile. Of what went through, only what changed is written.\n";

const HEAD_OF_OURS: &str = "What our gateway does where that is other than in Envoy (gateways/differences.rs says why), \
    and where Envoy fails\n(`FAULTS` in gateways/cases.rs). To be read as envoy.golden.\n";

pub(crate) fn write(told: &[Told]) -> String {
    file(HEAD, told)
}

pub(crate) fn write_ours(told: &[Told]) -> String {
    file(HEAD_OF_OURS, told)
}

fn file(head: &str, told: &[Told]) -> String {
    let (mut file, mut group) = (head.to_owned(), None);
    for one in told {
        if group.replace(&one.group) != Some(&one.group) {
            let _ = write!(file, "\n==== {} ====\n", one.group);
        }
        let _ = write!(file, "\n-- {}\n{}", one.case, one.text);
    }
    file
}

pub(crate) fn read(file: &str) -> Vec<Told> {
    let (mut told, mut group) = (Vec::<Told>::new(), String::new());
    for line in file.lines().filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix("==== ") {
            group = name.trim_end_matches(" ====").to_owned();
        } else if let Some(case) = line.strip_prefix("-- ") {
            told.push(Told { group: group.clone(), case: case.to_owned(), text: String::new() });
        } else if let Some(last) = told.last_mut() {
            last.text.push_str(line);
            last.text.push('\n');
        }
    }
    told
}
