//! How many commands a second become durable.
//!
//! **Workload.** An engine with the shipped policies on a ledger on disk, over a world of 9,000 grants. An
//! owner gives their installers' company a permission on a device, takes it back, gives the next one:
//! `grantPermission` and `withdrawGrant` by turns, each under an id of its own, each answered when it is
//! durable. Once with one caller, and once with 64 at the same time, each on a site of its own.
//!
//! Beside it, the same rows written by SQLite alone (rusqlite; WAL, `synchronous=FULL`, the ledger's own
//! tables and indices, its cache and its way of moving the log into the database): the rows that the engine
//! has just written are read back and written again.
//! One caller commits each command's rows by itself; for 64 callers one thread writes what is queued in
//! one transaction and then answers each. The raw store decides nothing, hashes nothing, looks no id up,
//! and is handed its rows ready-made.
//!
//! The 64 callers run twice, the raw store's too: once wherever the kernel has them run, and once with
//! whoever writes on the first processor and everybody else on the others, so that it is not the kernel's
//! habits which are measured: some keep threads that sleep often on one processor, though another is idle.
//!
//! The disk decides, and an fsync may take 0.2 ms in one minute and 4 ms in the next; so all take
//! short turns within each round, and the ratios are medians over rounds. Without a disk, for information:
//! the same commands on a ledger in memory, which is what deciding and bookkeeping take by themselves.
//!
//! **Not covered.** Commands that are refused; transport; many commands from one caller at once; a large
//! directory, whose size does not matter to a command but for what it misses in the processor's caches.

#![expect(clippy::expect_used, reason = "a benchmark that cannot build its ledger has nothing to measure")]

use std::path::Path;
use std::sync::Barrier;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use consentry::command::GrantPermission;
use consentry::domain::{Permission, Validity};
use consentry::{Command, Engine, Ledger, MemoryLedger, Principal, Submission, Timestamp};
use consentry_benches::disk::fill;
use consentry_benches::is_asked_for;
use consentry_benches::machine::file_system;
use consentry_benches::placement::{Part, Placed, place, placed};
use consentry_benches::rounds::{Spread, timed};
use consentry_benches::world::{World, company_of, device, id, owner};
use consentry_ledger::DiskLedger;
use rusqlite::{Connection, OpenFlags, Row as Found, Statement, params};

const GRANTS: usize = 9_000;

const ROUNDS: usize = 15;

/// Callers at the same time.
const CALLERS: usize = 64;

/// Commands in the turn of one caller alone, and of each of many.
const ALONE: usize = 300;
const EACH: usize = 100;

/// Where callers and the writer run.
const PLACES: [&str; 2] = ["the writer on one processor, the others on the rest", "placed by the kernel"];

/// What a share of the raw store's pace is required.
const REQUIRED: f64 = 0.8;

/// An engine and the commands that it is still to be given.
struct Ours {
    engine: Engine,
    now: Timestamp,
    /// How many commands each caller has given.
    given: Vec<usize>,
}

impl Ours {
    fn on(ledger: impl Ledger + 'static, world: World) -> Self {
        fill(&ledger, world);
        let engine = Engine::open(ledger).expect("the ledger is sound");
        Self { engine, now: world.now(), given: vec![0; CALLERS] }
    }

    /// The next commands of a caller.
    fn next(&mut self, caller: usize, count: usize) -> Vec<Submission> {
        let given = self.given.get_mut(caller).expect("a caller has a number below the count of callers");
        let numbers = *given..*given + count;
        *given += count;
        numbers.map(|number| command(caller, number)).collect()
    }

    fn submit(&self, submissions: &[Submission]) {
        for submission in submissions {
            // Who wrote for others may have been in another place.
            place(Part::Caller);
            let answer = self.engine.submit(submission, self.now).expect("the ledger works");
            assert!(answer.receipt().is_some(), "{answer:?}");
        }
    }

    /// Commands of one caller, one after the other.
    fn alone(&mut self) -> Duration {
        let submissions = self.next(0, ALONE);
        timed(|| self.submit(&submissions)).0
    }

    /// Commands of many callers at the same time.
    fn together(&mut self) -> Duration {
        let work: Vec<_> = (0..CALLERS).map(|caller| self.next(caller, EACH)).collect();
        at_once(work, |submissions| self.submit(&submissions), || {})
    }
}

/// The command with this number of a caller: every other one takes back what the one before it gave.
fn command(caller: usize, number: usize) -> Submission {
    let grant = id(&format!("gift-{caller:02}-{:07}", number / 2));
    let command = if number.is_multiple_of(2) {
        Command::GrantPermission(GrantPermission {
            grant,
            company: id(&company_of(caller)),
            permission: Permission::Playback,
            device: Some(id(&device(caller, 0))),
            site: None,
            validity: Validity::OneHour,
        })
    } else {
        Command::WithdrawGrant { grant }
    };
    let submission = Submission::new(Principal::EndUser(id(&owner(caller))), command);
    submission.with_id(id(&format!("call-{caller:02}-{number:07}")))
}

/// Has each piece of work done by a thread of its own, and says how long it took until all were done.
fn at_once<W: Send>(work: Vec<W>, done: impl Fn(W) + Sync, meanwhile: impl FnOnce()) -> Duration {
    let ready = Barrier::new(work.len() + 1);
    thread::scope(|scope| {
        let caller = |work| {
            scope.spawn(|| {
                ready.wait();
                done(work);
            })
        };
        let callers: Vec<_> = work.into_iter().map(caller).collect();
        ready.wait();
        let finish = || {
            meanwhile();
            callers.into_iter().for_each(|caller| caller.join().expect("no caller fails"));
        };
        timed(finish).0
    })
}

/// What one command wrote.
#[derive(Debug, Clone)]
struct Row {
    at: i64,
    payload: String,
    record_hash: Vec<u8>,
    command_id: String,
    digest: Vec<u8>,
    principal: String,
    body: String,
    outcome: String,
    line_hash: Vec<u8>,
}

impl Row {
    fn load(row: &Found<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            at: row.get(0)?,
            payload: row.get(1)?,
            record_hash: row.get(2)?,
            command_id: row.get(3)?,
            digest: row.get(4)?,
            principal: row.get(5)?,
            body: row.get(6)?,
            outcome: row.get(7)?,
            line_hash: row.get(8)?,
        })
    }
}

/// Reads what the ledger wrote. Here every command makes one record and one audit line.
struct Copyist {
    ledger: Connection,
    copied: i64,
}

impl Copyist {
    fn new(dir: &Path) -> rusqlite::Result<Self> {
        let path = dir.join("ledger.sqlite3");
        Ok(Self { ledger: Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?, copied: 0 })
    }

    fn tables(&self) -> rusqlite::Result<String> {
        let sql = "SELECT group_concat(sql, ';') FROM sqlite_schema WHERE sql IS NOT NULL";
        self.ledger.query_row(sql, [], |row| row.get(0))
    }

    /// The rows since the last time.
    fn rows(&mut self) -> rusqlite::Result<Vec<Row>> {
        let sql = "SELECT r.at, payload, r.hash, command_id, digest, principal, body, outcome, a.hash
                   FROM records r JOIN audit a ON number = revision WHERE revision > ?1 ORDER BY revision";
        let mut statement = self.ledger.prepare(sql)?;
        let rows: Vec<Row> = statement.query_map([self.copied], Row::load)?.collect::<Result<_, _>>()?;
        self.copied += i64::try_from(rows.len()).unwrap_or(0);
        Ok(rows)
    }
}

/// A row on its way to the one thread that writes, and who waits for it.
type Job = (Row, SyncSender<()>);

/// SQLite alone, its statements prepared once and for all.
struct Raw<'c> {
    begin: Statement<'c>,
    record: Statement<'c>,
    line: Statement<'c>,
    commit: Statement<'c>,
    written: i64,
}

/// An empty database with these tables.
fn database(path: &Path, tables: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // As the ledger does.
    connection.pragma_update(None, "wal_autocheckpoint", 8_000)?;
    connection.pragma_update(None, "cache_size", -32 * 1024)?;
    connection.execute_batch(tables)?;
    Ok(connection)
}

impl<'c> Raw<'c> {
    fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            record: connection
                .prepare("INSERT INTO records (revision, at, payload, hash) VALUES (?1, ?2, ?3, ?4)")?,
            line: connection.prepare(
                "INSERT INTO audit (number, at, command_id, binds, digest, principal, body, outcome, hash)
                 VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8)",
            )?,
            commit: connection.prepare("COMMIT")?,
            written: 0,
        })
    }

    /// Writes rows in one transaction; they are durable when this returns.
    fn write<'r>(&mut self, rows: impl IntoIterator<Item = &'r Row>) -> rusqlite::Result<()> {
        self.begin.execute([])?;
        for row in rows {
            self.written += 1;
            let key = self.written;
            self.record.execute(params![key, row.at, row.payload, row.record_hash])?;
            self.line.execute(params![
                key,
                row.at,
                row.command_id,
                row.digest,
                row.principal,
                row.body,
                row.outcome,
                row.line_hash
            ])?;
        }
        self.commit.execute([]).map(drop)
    }

    /// The rows of one caller, one after the other.
    fn alone(&mut self, rows: &[Row]) -> Duration {
        let write = || rows.iter().for_each(|row| self.write([row]).expect("the disk works"));
        timed(write).0
    }

    /// The rows of many callers at the same time.
    fn together(&mut self, rows: &[Row]) -> Duration {
        let (queue, jobs) = sync_channel::<Job>(2 * CALLERS);
        let work: Vec<_> = rows.chunks(EACH).map(|rows| (rows.to_vec(), queue.clone())).collect();
        drop(queue);
        let call = |(rows, queue): (Vec<Row>, SyncSender<Job>)| {
            place(Part::Caller);
            for row in rows {
                let (answer, answered) = sync_channel(1);
                queue.send((row, answer)).expect("the writer writes while there is a caller");
                answered.recv().expect("the writer answers");
            }
        };
        let serve = || {
            place(Part::Writer);
            self.serve(&jobs);
            place(Part::Any);
        };
        at_once(work, call, serve)
    }

    fn serve(&mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let jobs: Vec<Job> = std::iter::once(first).chain(jobs.try_iter()).collect();
            self.write(jobs.iter().map(|(row, _)| row)).expect("the disk works");
            jobs.iter().for_each(|(_, answer)| answer.send(()).expect("the caller waits"));
        }
    }
}

/// Commands a second of one contender, a number for each round.
struct Pace(Vec<f64>);

impl Pace {
    fn note(&mut self, commands: usize, took: Duration) {
        self.0.push(commands as f64 / took.as_secs_f64());
    }
}

fn say(callers: &str, ours: &Pace, raw: &Pace) {
    let ratios = Spread::of_ratios(&ours.0, &raw.0);
    let verdict = if ratios.median() >= REQUIRED { "met" } else { "MISSED" };
    println!("{callers}:");
    println!("  engine     {:>8.0} commands a second", Spread::of(ours.0.clone()));
    println!("  raw store  {:>8.0} commands a second", Spread::of(raw.0.clone()));
    println!("  engine ÷ raw store  {ratios:.2} (required: {REQUIRED}, {verdict})");
}

fn main() -> rusqlite::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    let world = World::with_grants(GRANTS);
    let folder =
        tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder can be written to");
    let dir = folder.path().join("ledger");
    println!("on {}, {ROUNDS} rounds: medians [quartiles]", file_system(folder.path()));
    let mut ours = Ours::on(Placed(DiskLedger::open(&dir).expect("an empty folder")), world);
    let mut memory = Ours::on(MemoryLedger::new(), world);
    let mut copyist = Copyist::new(&dir)?;
    let connection = database(&folder.path().join("raw.sqlite3"), &copyist.tables()?)?;
    let mut raw = Raw::new(&connection)?;
    raw.write(&copyist.rows()?)?;
    let [mut our_one, mut raw_one, mut without] = [const { Pace(Vec::new()) }; 3];
    let (mut our_many, mut raw_many) = ([const { Pace(Vec::new()) }; 2], [const { Pace(Vec::new()) }; 2]);
    for _ in 0..ROUNDS {
        our_one.note(ALONE, ours.alone());
        raw_one.note(ALONE, raw.alone(&copyist.rows()?));
        for ((our_many, raw_many), on) in our_many.iter_mut().zip(&mut raw_many).zip([true, false]) {
            our_many.note(CALLERS * EACH, placed(on, || ours.together()));
            let rows = copyist.rows()?;
            raw_many.note(CALLERS * EACH, placed(on, || raw.together(&rows)));
        }
        without.note(ALONE, memory.alone());
    }
    say("1 caller", &our_one, &raw_one);
    for ((our_many, raw_many), how) in our_many.iter().zip(&raw_many).zip(PLACES) {
        say(&format!("{CALLERS} callers, {how}"), our_many, raw_many);
    }
    println!("1 caller, ledger in memory:");
    println!("  engine     {:>8.0} commands a second", Spread::of(without.0.clone()));
    Ok(())
}
