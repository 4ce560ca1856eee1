//! What a decision costs end to end: over HTTP, in batches, and asked as Envoy asks.
//!
//! **Workload.** `consentry serve`, as it is released, on loopback without TLS; a ledger on disk with 1 k and one with 1 M
//! live grants; no callers, plugins, decision log or access requests. Half of the questions come from an installer who
//! looks after the device's site (allow), half from one of another company (deny: there is no grant), by turns, 32,768 of
//! them at random (fixed seed). `evaluation`: AuthZEN, one question in a request. `batch of 50`: AuthZEN, fifty in a
//! request, each with all of its parts. `ext_authz`: gRPC, with the headers that Envoy sends for a browser's request, who
//! asks in one of them, the path mapped by a file with five routes. Connections are kept alive; each has one request under
//! way all the time: 1 or 64 of them. And `ext_authz` as Envoy sends it: a connection for each of two workers, with 32 requests
//! under way on it.
//!
//! Beside it, the same program with `--constant`, which reads each request and denies it without looking into it: what no
//! answer over this transport can go below. And `Engine::evaluate` in this process, asked the same questions, its requests
//! made beforehand, in two ways: in a loop, one after the other; and `woken`, once for each message that comes over TCP, as
//! a program that has it built in asks it: between two of them the processor does other things, and what a check needs is
//! not all at hand.
//!
//! **Figures.** Processor time of the server, for a request (user and system, from the kernel); requests a second and how
//! long they took, as the client saw them. All contenders take turns of two seconds in rounds; ratios are taken in each
//! round, medians are reported with the quartiles. Every answer over gRPC is compared with what it should be, and
//! some of those over HTTP before anything is timed.
//!
//! **Not covered.** TLS, tokens, plugins, networks; load that does not wait for answers; writes meanwhile. Client and server
//! share the machine's processors: requests a second are not what a server alone would reach.
//!
//! It needs `wrk`.

#![expect(clippy::expect_used, reason = "a benchmark that cannot build its world has nothing to measure")]

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use consentry::{AccessRequest, Engine, Timestamp, Uid};
use consentry_benches::frozen::Frozen;
use consentry_benches::is_asked_for;
use consentry_benches::load::{Turn, Ways, checks, posts, woken};
use consentry_benches::random::Random;
use consentry_benches::rounds::{Spread, spent};
use consentry_benches::served::{Served, built};
use consentry_benches::world::{Question, World};
use consentry_benches::{disk, rounds::timed};
use consentry_ledger::DiskLedger;
use envoy_types::ext_authz::v3::pb::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use serde_json::{Value, json};

/// Questions that are asked by turns.
const QUESTIONS: usize = 1 << 15;
/// Of one batch.
const BATCH: usize = 50;

const ROUNDS: usize = 7;
const TURN: Duration = Duration::from_secs(2);
/// Checks in a turn of the engine in this process.
const CHECKS: usize = 4_000;

/// Deciding may take this many times what `Engine::evaluate` takes.
const DECIDING: f64 = 1.5;
/// Microseconds of the server's processor that a request may take.
const EVALUATION: f64 = 40.0;
const EXT_AUTHZ: f64 = 60.0;
/// A request in the large world may take this many times what it takes in the small one.
const GROWTH: f64 = 1.25;

const MAPPING: &str = include_str!("../tests/gateways/mapping.toml");

/// One that is asked, in a world of a certain size.
struct Place {
    served: Served,
    single: PathBuf,
    batches: PathBuf,
    envoy: Arc<[CheckRequest]>,
    is_constant: bool,
}

/// The engine in this process, and what it is asked.
struct Here {
    engine: Engine,
    now: Timestamp,
    requests: VecDeque<AccessRequest>,
}

#[derive(Clone, Copy)]
enum Kind {
    Evaluation,
    Batch,
    ExtAuthz,
}

fn questions(world: World) -> Vec<Question> {
    let mut random = Random::new(0x5eed_2026);
    (0..QUESTIONS).map(|number| world.question(&mut random, is_allowed(number))).collect()
}

fn is_allowed(number: usize) -> bool {
    number.is_multiple_of(2)
}

fn evaluation(question: &Question) -> Value {
    json!({
        "subject": { "type": "Installer", "id": question.installer },
        "action": { "name": "liveView" },
        "resource": { "type": "Device", "id": question.device },
    })
}

/// What Envoy sends of a browser's request.
fn check(question: &Question) -> CheckRequest {
    let path = format!("/sites/{}/devices/{}/live", question.site, question.device);
    let headers = [
        (":authority", "cameras.example.com"),
        (":method", "GET"),
        (":path", &path),
        (":scheme", "https"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-encoding", "gzip, deflate, br"),
        ("accept-language", "en-GB,en;q=0.5"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "6ecb0a5c-1c4b-4c57-8d2f-5e2f9fcb1d0e"),
        ("x-sub", &question.installer),
    ];
    let http = HttpRequest {
        id: "1234567890123456789".to_owned(),
        method: "GET".to_owned(),
        host: "cameras.example.com".to_owned(),
        scheme: "https".to_owned(),
        protocol: "HTTP/1.1".to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        path,
        ..HttpRequest::default()
    };
    let request = Request { http: Some(http), ..Request::default() };
    CheckRequest {
        attributes: Some(AttributeContext { request: Some(request), ..AttributeContext::default() }),
    }
}

/// A ledger, a mapping and a configuration in a folder.
fn configured(folder: &Path, world: World) -> PathBuf {
    fs::create_dir_all(folder).expect("there is space");
    let (took, ()) = timed(|| {
        let ledger = DiskLedger::open(&folder.join("ledger")).expect("the folder is empty");
        disk::fill(&ledger, world);
    });
    println!("a ledger with {} grants: {:.0} s", world.grants(), took.as_secs_f64());
    fs::write(folder.join("mapping.toml"), MAPPING).expect("there is space");
    let config = "[listen]\nhttp = \"127.0.0.1:0\"\ngrpc = \"127.0.0.1:0\"\n[ledger]\nfolder = \"ledger\"\nsweep = \"0s\"\n\
                  [gateway]\nmapping = \"mapping.toml\"\n[identity.headers]\nsub = \"x-sub\"\n";
    let path = folder.join("consentry.toml");
    fs::write(&path, config).expect("there is space");
    path
}

fn written(path: PathBuf, lines: impl Iterator<Item = Value>) -> PathBuf {
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    fs::write(&path, text).expect("there is space");
    path
}

impl Place {
    fn new(program: &Path, folder: &Path, world: World, is_constant: bool) -> Self {
        let config = configured(folder, world);
        let questions = questions(world);
        let envoy: Vec<CheckRequest> = questions.iter().map(check).collect();
        let batch = |batch: &[Question]| {
            let evaluations: Vec<Value> = batch.iter().map(evaluation).collect();
            json!({ "evaluations": evaluations })
        };
        let place = Self {
            served: Served::start(program, &config, if is_constant { &["--constant"] } else { &[] }),
            single: written(folder.join("single"), questions.iter().map(evaluation)),
            batches: written(folder.join("batches"), questions.chunks_exact(BATCH).map(batch)),
            envoy: envoy.into(),
            is_constant,
        };
        place.agrees(&questions);
        place
    }

    /// Sees that answers are what they should be.
    fn agrees(&self, questions: &[Question]) {
        for (number, question) in questions.iter().take(500).enumerate() {
            let answer = self.served.post("/access/v1/evaluation", &evaluation(question).to_string());
            let answer: Value = serde_json::from_str(&answer).expect("it is JSON");
            let expected = is_allowed(number) && !self.is_constant;
            assert_eq!(answer.get("decision"), Some(&json!(expected)), "{question:?}: {answer}");
        }
    }

    fn load(&self, kind: Kind, ways: Ways, at: usize) -> (Turn, f64) {
        let before = self.served.spent();
        let url = |path: &str| format!("http://127.0.0.1:{}{path}", self.served.http);
        let connections = ways.connections;
        let turn = match kind {
            Kind::Evaluation => posts(&url("/access/v1/evaluation"), connections, TURN, &self.single, at),
            Kind::Batch => {
                posts(&url("/access/v1/evaluations"), connections, TURN, &self.batches, at / BATCH)
            }
            Kind::ExtAuthz => {
                let expected: fn(usize, bool) -> bool = match self.is_constant {
                    true => |_, allowed| !allowed,
                    false => |number, allowed| allowed == is_allowed(number),
                };
                checks(self.served.grpc, ways, TURN, &self.envoy, at, expected)
            }
        };
        let spent = self.served.spent().saturating_sub(before);
        (turn, spent.as_secs_f64() * 1e6 / turn.requests as f64)
    }
}

impl Here {
    fn new(world: World) -> Self {
        let request = |question: Question| {
            let (installer, device) = (&question.installer, &question.device);
            AccessRequest::new(Uid::new("Installer", installer), "liveView", Uid::new("Device", device))
        };
        let requests = questions(world).into_iter().map(request).collect();
        Self { engine: Frozen::engine(world), now: world.now(), requests }
    }

    /// Whether the next question is answered by an allow.
    fn next(&mut self) -> bool {
        self.requests.rotate_left(1);
        let request = self.requests.front().expect("there are questions");
        self.engine.evaluate(request, self.now).expect("it is a question").is_allowed()
    }

    /// Microseconds of a check: in a loop, and woken for each.
    fn turn(&mut self) -> [f64; 2] {
        let (looped, allowed) = spent(|| (0..CHECKS).filter(|_| self.next()).count());
        assert_eq!(allowed, CHECKS / 2);
        let mut allowed = 0;
        let woken = woken(CHECKS, || allowed += usize::from(self.next()));
        assert_eq!(allowed, CHECKS / 2);
        [looped, woken].map(|took| took.as_secs_f64() * 1e6 / CHECKS as f64)
    }
}

/// What was measured of one contender, by rounds.
#[derive(Default)]
struct Measured {
    turns: Vec<Turn>,
    micros: Vec<f64>,
}

fn verdict(spread: &Spread, most: f64) -> String {
    let verdict = if spread.median() <= most { "met" } else { "MISSED" };
    format!("{spread} (required: at most {most}, {verdict})")
}

fn measure(kind: Kind, name: &str, ways: Ways, places: &[Place; 3], here: &mut [Here; 2]) {
    let mut measured: [Measured; 3] = Default::default();
    let mut checks: [[Vec<f64>; 2]; 2] = Default::default();
    for round in 0..ROUNDS {
        for (place, measured) in places.iter().zip(&mut measured) {
            let (turn, micros) = place.load(kind, ways, round * QUESTIONS / ROUNDS);
            measured.turns.push(turn);
            measured.micros.push(micros);
        }
        for (here, checks) in here.iter_mut().zip(&mut checks) {
            checks.iter_mut().zip(here.turn()).for_each(|(checks, took)| checks.push(took));
        }
    }
    println!("\n{name}, {} connections with {} at once", ways.connections, ways.at_once);
    for (name, measured) in ["constant", "1 k grants", "1 M grants"].iter().zip(&measured) {
        let of = |number: fn(&Turn) -> f64| Spread::of(measured.turns.iter().map(number)).median();
        println!(
            "  {name:<12} {:.1} µs of processor, {:.0} a second, p50 {:.0} µs, p99 {:.0} µs",
            Spread::of(measured.micros.iter().copied()),
            of(|turn| turn.requests as f64 / turn.took.as_secs_f64()),
            of(|turn| turn.median.as_secs_f64() * 1e6),
            of(|turn| turn.p99.as_secs_f64() * 1e6),
        );
    }
    let questions = if matches!(kind, Kind::Batch) { BATCH as f64 } else { 1.0 };
    let [constant, small, large] = &measured;
    for (name, checks, above) in [("1 k", &checks[0], small), ("1 M", &checks[1], large)] {
        let deciding = above.micros.iter().zip(&constant.micros).map(|(above, below)| above - below);
        let deciding: Vec<f64> = deciding.map(|micros| micros / questions).collect();
        println!("  {name}: deciding {:.1} µs a question", Spread::of(deciding.iter().copied()));
        for (how, checks) in ["in a loop", "woken"].iter().zip(checks) {
            println!(
                "    evaluate in this process, {how}, {:.1} µs: ratio {}",
                Spread::of(checks.iter().copied()),
                verdict(&Spread::of_ratios(&deciding, checks), DECIDING),
            );
        }
    }
    let most = match kind {
        Kind::Evaluation => Some(EVALUATION),
        Kind::ExtAuthz => Some(EXT_AUTHZ),
        Kind::Batch => None,
    };
    if let Some(most) = most {
        println!("  1 M: µs a request {}", verdict(&Spread::of(large.micros.iter().copied()), most));
    }
    let growth = Spread::of_ratios(&large.micros, &small.micros);
    println!("  1 M ÷ 1 k grants, a request: {}", verdict(&growth, GROWTH));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server's clock is the machine's, and grants are to be live by it"
)]
fn now() -> Timestamp {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(0))
}

fn main() {
    if !is_asked_for() {
        return;
    }
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = built(temporary.parent().expect("it is in the target directory"));
    let folder = tempfile::tempdir_in(temporary).expect("there is space");
    let world = |grants: usize| World::with_grants(grants).live_at(now());
    let place = |name: &str, grants: usize, is_constant: bool| {
        Place::new(&program, &folder.path().join(name), world(grants), is_constant)
    };
    let mut here = [1_000, 1_000_000].map(|grants| Here::new(World::with_grants(grants)));
    let places =
        [place("constant", 1_000, true), place("small", 1_000, false), place("large", 1_000_000, false)];
    let all = [(Kind::Evaluation, "evaluation"), (Kind::Batch, "batch of 50"), (Kind::ExtAuthz, "ext_authz")];
    for (kind, name) in all {
        for connections in [1, 64] {
            measure(kind, name, Ways { connections, at_once: 1 }, &places, &mut here);
        }
    }
    let envoy = Ways { connections: 2, at_once: 32 };
    measure(Kind::ExtAuthz, "ext_authz, as Envoy sends it", envoy, &places, &mut here);
}
