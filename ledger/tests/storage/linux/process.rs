//! Runs the story in a process of its own, under the shim.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use super::disk::{Disk, Image};
use super::story::Story;
use super::trace::{self, Op};

const STEPS: &str = "STORAGE_STEPS";
const ROOT: &str = "STORAGE_ROOT";
const FAULT: &str = "STORAGE_FAULT";

/// A fault: which operation, the errno, and how, as `shim.c` says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub(crate) which: usize,
    pub(crate) errno: i32,
    pub(crate) how: char,
    /// Readers may fail to open the database by it.
    pub(crate) unreadable: bool,
}

/// The process. Does nothing when it is run as a test.
#[test]
fn storytelling_process() {
    let (Ok(steps), Ok(root)) = (std::env::var(STEPS), std::env::var(ROOT)) else { return };
    let (first, steps) = steps.split_once(' ').unwrap();
    let (unreadable, steps) = steps.split_once(' ').unwrap();
    let errno =
        std::env::var(FAULT).ok().map_or(0, |fault| fault.split(' ').nth(1).unwrap().parse().unwrap());
    Story::tell(Path::new(&root), steps, first.parse().unwrap(), errno, unreadable == "true");
}

/// A folder in memory where there is one: nothing here depends on a real disk, and its fsync takes time.
pub(crate) fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::tempdir_in(folder.canonicalize().unwrap()).unwrap()
}

/// The shim, compiled once.
fn shim() -> &'static Path {
    static SHIM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = SHIM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shim.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/storage/shim.c");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let arguments = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread", "-o"];
        let compiled = Command::new(compiler).args(arguments).arg(&path).arg(source).status().unwrap();
        assert!(compiled.success());
        (folder, path)
    });
    path
}

/// What a process did on its disk.
pub(crate) struct Run {
    pub(crate) ops: Vec<Op>,
    pub(crate) killed: bool,
}

/// The life of a ledger: one process after another, on one disk.
pub(crate) struct Life {
    folder: tempfile::TempDir,
}

impl Life {
    pub(crate) fn new(scratch: &Path) -> Self {
        let folder = tempfile::tempdir_in(scratch).unwrap();
        std::fs::create_dir(folder.path().join("root")).unwrap();
        Self { folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Lets a process live; says what happened on the disk up to its end, by it and by those before it.
    pub(crate) fn live(&self, steps: &str, first: u64, fault: Option<&Fault>) -> Result<Run, String> {
        let trace = self.folder.path().join("trace");
        let unreadable = fault.is_some_and(|fault| fault.unreadable);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["linux::process::storytelling_process", "--exact", "--nocapture", "--test-threads=1"])
            .env(ROOT, self.root())
            .env(STEPS, format!("{first} {unreadable} {steps}"))
            .env("STORAGE_TRACE", &trace)
            .env("LD_PRELOAD", shim())
            .env_remove(FAULT);
        if let Some(Fault { which, errno, how, .. }) = fault {
            command.env(FAULT, format!("{which} {errno} {how}"));
        }
        let Output { status, stdout, stderr } = command.output().unwrap();
        let killed = status.signal() == Some(9) && fault.is_some_and(|fault| "kt".contains(fault.how));
        let run = Run { ops: trace::read(&trace), killed };
        if !status.success() && !killed {
            let last = run.ops.iter().skip(run.ops.len().saturating_sub(60)).map(Op::shown);
            let text = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
            return Err(format!("{status}: {text}\n{}", last.collect::<Vec<_>>().join("\n")));
        }
        assert!(killed || !run.ops.is_empty(), "the shim saw nothing");
        Ok(run)
    }

    /// That the shim saw everything: the files are what it saw being written.
    pub(crate) fn compare(&self, run: &Run) {
        let mut disk = Disk::new();
        run.ops.iter().for_each(|op| disk.apply(op));
        let mut files = Image::new();
        let mut folders = vec![self.root()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = format!("/{}", path.strip_prefix(self.root()).unwrap().display());
                if path.is_dir() {
                    folders.push(path);
                } else if name != "/marks" && !name.ends_with("-shm") {
                    files.insert(name, std::fs::read(path).unwrap());
                }
            }
        }
        let lengths = |image: &Image| -> Vec<_> {
            image.iter().map(|(path, bytes)| format!("{path}: {} bytes", bytes.len())).collect()
        };
        assert!(files == disk.now(), "the shim saw {:?} of {:?}", lengths(&disk.now()), lengths(&files));
    }
}
