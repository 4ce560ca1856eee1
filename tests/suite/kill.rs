//! `kill -9` at random moments: what was acknowledged is there, and the ledger opens clean.
//!
//! The test starts itself again as a process that writes from several threads and says on standard
//! output what was acknowledged; then it kills that process, opens the ledger and compares.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use consentry::domain::{CommandId, Timestamp};
use consentry::ledger::{Ledger, Outcome};
use consentry::policy::PolicyFile;
use consentry::{Answer, Engine, Policies, PolicySources, Submission};
use consentry_ledger::DiskLedger;

/// Set for the process that is to be killed: the folder of its ledger.
const FOLDER: &str = "CONSENTRY_KILL_FOLDER";
/// How often to kill. A few hundred, unless told otherwise.
const KILLS: &str = "CONSENTRY_KILLS";
const WRITERS: u64 = 8;
/// Kills that one ledger lives through before the next begins.
const KILLS_A_LEDGER: u64 = 25;

/// Everybody may do everything: policies are not what is tested here.
fn anything() -> Policies {
    let text = r#"@id("anything") permit (principal, action, resource);"#.to_owned();
    let policies = vec![PolicyFile { name: "anything.cedar".into(), text }];
    Policies::load(&PolicySources { schema: None, policies }).unwrap()
}

/// Registers a company. Every third one is there already, and is refused.
fn command(run: &str, writer: u64, number: u64) -> Submission {
    let company = if number % 3 == 2 { number - 1 } else { number };
    let command =
        serde_json::json!({ "registerCompany": { "company": format!("{run}-{writer}-{company}") } });
    let submission =
        Submission::new(r#"Operator::"root""#.parse().unwrap(), serde_json::from_value(command).unwrap());
    submission.with_id(id(run, writer, number))
}

fn id(run: &str, writer: u64, number: u64) -> CommandId {
    format!("{run}-{writer}-{number}").parse().unwrap()
}

/// The process that is killed. Does nothing when it is run as a test.
#[test]
fn writing_process() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let (folder, run) = folder.rsplit_once('|').unwrap();
    let engine =
        Engine::builder(DiskLedger::open(Path::new(folder)).unwrap()).policies(anything()).open().unwrap();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (engine, run) = (engine.clone(), run.to_owned());
            thread::spawn(move || {
                for number in 0.. {
                    let answer =
                        engine.submit(&command(&run, writer, number), Timestamp::from_millis(1)).unwrap();
                    let revision = match answer {
                        Answer::Done(receipt) => receipt.revision,
                        Answer::Refused { .. } => 0,
                    };
                    let mut out = std::io::stdout().lock();
                    if writeln!(out, "ack {writer} {number} {revision}").and_then(|()| out.flush()).is_err() {
                        return;
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
}

/// Numbers that look random, the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Lets a process write until it has acknowledged `acks` commands, then kills it. Says what it acknowledged.
fn write_and_kill(folder: &Path, run: &str, acks: u64) -> Vec<(u64, u64, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["kill::writing_process", "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, format!("{}|{run}", folder.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let parse = |line: &str| {
        let mut numbers = line.split(' ').skip(1).map(|number| number.parse::<u64>().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap(), numbers.next().unwrap())
    };
    let mut acked = Vec::new();
    while (acked.len() as u64) < acks {
        let line = lines.next().expect("the process writes until it is killed").unwrap();
        // The test runner's own words come first, on a line of their own or before an acknowledgement.
        if let Some(at) = line.find("ack ") {
            acked.push(parse(&line[at..]));
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said before it died counts too, but for a last line that was cut off.
    let whole = |line: &String| line.starts_with("ack ") && line.split(' ').count() == 4;
    let rest: Vec<String> = lines.map_while(Result::ok).filter(whole).collect();
    let cut = rest.len().saturating_sub(1);
    acked.extend(rest[..cut].iter().map(|line| parse(line)));
    acked
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let kills: u64 = std::env::var(KILLS).ok().and_then(|kills| kills.parse().ok()).unwrap_or(200);
    let seed = u64::from(std::process::id()).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut folder = tempfile::tempdir().unwrap();
    let mut total = 0;
    for kill in 0..kills {
        if kill % KILLS_A_LEDGER == 0 {
            folder = tempfile::tempdir().unwrap();
        }
        let run = format!("run{kill}");
        let acks = 1 + random.below(60);
        let acked = write_and_kill(folder.path(), &run, acks);
        total += acked.len();

        let ledger = DiskLedger::open(folder.path())
            .unwrap_or_else(|error| panic!("seed {seed}, kill {kill}: {error}"));
        let head = ledger.verify().unwrap_or_else(|error| panic!("seed {seed}, kill {kill}: {error}"));
        for (writer, number, revision) in acked {
            let answered = ledger.answered(&id(&run, writer, number)).unwrap();
            let answered =
                answered.unwrap_or_else(|| panic!("seed {seed}, kill {kill}: {writer}-{number} is lost"));
            match answered.outcome {
                Outcome::Done { revision: kept, .. } => assert_eq!(kept, revision),
                Outcome::Refused(_) => assert_eq!(revision, 0),
            }
        }
        let records = ledger.read(0, usize::MAX).unwrap();
        assert_eq!(records.len() as u64, head.records);
        assert!(records.iter().zip(1..).all(|(record, revision)| record.revision == revision), "a gap");
        let engine = Engine::builder(ledger).policies(anything()).open().unwrap();
        assert_eq!(engine.directory().revision(), head.records);
    }
    println!("{kills} kills, {total} acknowledged commands, none lost");
}
