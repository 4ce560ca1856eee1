//! What the machine says about itself.

use std::path::Path;

/// The resident set of this process, in bytes.
///
/// # Panics
/// Where there is no `/proc`.
#[must_use]
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells what is resident");
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().split(' ').next());
    kilobytes.and_then(|number| number.parse::<u64>().ok()).expect("a number of kilobytes") * 1024
}

/// The type of the file system that `path` lies on, such as `ext4`.
#[must_use]
pub fn file_system(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((Path::new(words.next()?), words.next()?))
    });
    // The last mount counts among those of one place.
    mounts
        .filter(|(place, _)| path.starts_with(place))
        .max_by_key(|(place, _)| place.components().count())
        .map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned())
}
