//! What a plugin costs beside the check that it asks for.
//!
//! **Workload.** One request after another on one thread: ten headers, an installer's `liveView` of a device with a
//! live grant, in a world of 1 k grants; devices cycle over 4,096 of them (fixed seed). `native` is the check alone,
//! `Engine::evaluate`, its request built from the same path and header. The plugins are those in
//! `wasm-host/guests`: they take path and header apart, ask for the same check and let the request go on. `started`
//! is an instance that has served requests before, `fresh` one for each request. All answer as the engine does;
//! that is seen to before anything is timed.
//!
//! **Figures.** Processor time of the thread, in rounds by turns; what a plugin costs over the native check is taken in
//! each round, and the median is reported with the quartiles. Criterion's own figures first.
//!
//! **Not covered.** HTTP, bodies and answers; several threads; what Envoy takes for the same plugins, which
//! `wasm-host/tests/gateways/envoy-cpu` measures.

#![expect(clippy::expect_used, reason = "a benchmark that cannot build its world has nothing to measure")]

use std::collections::VecDeque;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use consentry::{AccessRequest, Engine, Timestamp, Uid};
use consentry_benches::frozen::Frozen;
use consentry_benches::is_asked_for;
use consentry_benches::machine::resident;
use consentry_benches::random::Random;
use consentry_benches::rounds::{Spread, by_turns, spent};
use consentry_benches::world::{Question, World};
use consentry_wasm_host::{
    Authority, Capability, Connection, Frame, Host, HttpHead, Instances, Settings, Verdict,
};
use criterion::Criterion;

const QUESTIONS: usize = 1 << 12;
const ROUNDS: usize = 61;
const TURN: usize = 300;

/// The engine at the moment of its world.
#[derive(Clone)]
struct At(Engine, Timestamp);

impl Authority for At {
    fn evaluate(
        &self,
        request: &AccessRequest,
    ) -> Result<consentry::Evaluation, consentry::policy::RequestError> {
        self.0.evaluate(request, self.1)
    }

    fn list(&self, principal: &Uid, resource: &Uid) -> Vec<(String, Option<Timestamp>)> {
        self.0.permitted(principal, resource, self.1)
    }
}

fn head(question: &Question) -> HttpHead {
    HttpHead::new("GET", &format!("/sites/{}/devices/{}/live", question.site, question.device))
        .header("x-installer", &question.installer)
        .header("accept", "*/*")
        .header("user-agent", "cameras/1.0")
        .header("x-request-id", "0d2e5c5e-93f6-4f2b-9d6b-1f1b6f1d2a11")
        .header("x-forwarded-for", "203.0.113.7")
        .header("x-forwarded-proto", "https")
}

/// Something that lets one request after the other go on, and the first again after the last.
struct Contender {
    name: String,
    /// What it may cost over the native check, in microseconds.
    bar: Option<f64>,
    ask: Box<dyn FnMut() -> bool>,
}

fn cycle<Q: 'static>(
    questions: impl Iterator<Item = Q>,
    ask: impl Fn(&Q) -> bool + 'static,
) -> Box<dyn FnMut() -> bool> {
    let mut questions: VecDeque<Q> = questions.collect();
    Box::new(move || {
        questions.rotate_left(1);
        ask(questions.front().expect("there are questions"))
    })
}

fn host(engine: &At, plugin: &[u8], instances: Instances) -> Host {
    let host = Host::builder(engine.clone()).build().expect("a sandbox");
    let granted = Capability::ALL.into_iter().collect();
    let settings = Settings { granted, instances, ..Settings::default() };
    host.load("plugin", plugin, settings).expect("a plugin");
    host
}

fn contender(
    name: &str,
    engine: &At,
    heads: &[HttpHead],
    plugin: &[u8],
    instances: Instances,
    bar: Option<f64>,
) -> Contender {
    let host = host(engine, plugin, instances);
    let goes_on = move |head: &HttpHead| matches!(host.on_request(head), Verdict::Continue { .. });
    let word = if instances == Instances::Shared { "started" } else { "fresh" };
    Contender { name: format!("{name}, {word}"), bar, ask: cycle(heads.iter().cloned(), goes_on) }
}

/// A module of proxy-wasm that does nothing.
const NOTHING: &[u8] = br#"(module (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0)))"#;

/// A guest that was built, by the name of its folder.
fn guest(name: &str) -> Option<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guests");
    let read = std::fs::read(folder.join(name).with_extension("wasm")).ok();
    if read.is_none() {
        println!("skipped: {name} is not built (wasm-host/guests/build)");
    }
    read
}

fn contenders(engine: &At, heads: &[HttpHead]) -> Vec<Contender> {
    let native = engine.clone();
    let ask = move |head: &HttpHead| {
        let path = head.headers.text(":path").unwrap_or_default();
        let device = path.split('/').nth(4).unwrap_or_default();
        let installer = head.headers.text("x-installer").unwrap_or_default();
        let (principal, resource) = (Uid::new("Installer", installer), Uid::new("Device", device));
        let request = AccessRequest::new(principal, "liveView", resource);
        native.evaluate(&request).is_ok_and(|evaluation| evaluation.is_allowed())
    };
    let mut all =
        vec![Contender { name: "native".to_owned(), bar: None, ask: cycle(heads.iter().cloned(), ask) }];
    for (name, instances, bar) in [
        ("rust-component", Instances::Shared, Some(5.0)),
        ("rust-proxy-wasm", Instances::Shared, Some(8.0)),
        ("rust-mapping", Instances::Shared, None),
        ("js-mapping", Instances::Shared, None),
        ("rust-component", Instances::Fresh, Some(60.0)),
        ("rust-proxy-wasm", Instances::Fresh, None),
    ] {
        let guest = guest(name);
        all.extend(guest.map(|plugin| contender(name, engine, heads, &plugin, instances, bar)));
    }
    all
}

/// Measures all by turns: seconds for each contender, by rounds.
fn measured(contenders: &mut [Contender]) -> Vec<Vec<f64>> {
    let call = |contender: &mut Contender| {
        black_box((contender.ask)());
    };
    let mut all: Vec<_> = contenders.iter_mut().map(|contender| move || call(contender)).collect();
    by_turns(&mut all, ROUNDS, TURN, |turn| spent(turn).0)
}

fn report(title: &str, contenders: &[Contender], seconds: &[Vec<f64>]) {
    println!(
        "\n{title}: processor time, medians [quartiles] of {ROUNDS} rounds of {TURN} requests, by turns"
    );
    let (Some((first, rest)), Some((native, others))) = (seconds.split_first(), contenders.split_first())
    else {
        return;
    };
    let micros = |seconds: f64| seconds * 1e6 / TURN as f64;
    let of = |numbers: &[f64]| Spread::of(numbers.iter().copied().map(micros));
    println!("  {:<26} {:.1} µs", native.name, of(first));
    for (Contender { name, bar, .. }, seconds) in others.iter().zip(rest) {
        let over = Spread::of(seconds.iter().zip(first).map(|(own, native)| micros(own - native)));
        let verdict = bar.map_or_else(String::new, |bar| {
            let verdict = if over.median() <= bar { "met" } else { "MISSED" };
            format!(" (required: at most {bar}, {verdict})")
        });
        println!("  {name:<26} {:.1} µs, over {} {over:.1} µs{verdict}", of(seconds), native.name);
    }
}

/// What a thousand started instances take, and what they take with a request each.
fn memory(engine: &At) {
    let Some(plugin) = guest("c-proxy-wasm") else { return };
    let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let before = resident();
    let host = Host::builder(engine.clone()).build().expect("a sandbox");
    host.load("plugin", &plugin, Settings::default()).expect("a plugin");
    let one = resident();
    host.load("plugin", &plugin, Settings { started: 1_000, ..Settings::default() }).expect("a plugin");
    let started = resident().saturating_sub(one);
    let begin = |_| {
        let mut exchange = host.exchange(Connection::default());
        exchange.request(Frame::Head(HttpHead::new("GET", "/").header("x-installer", "ivan").headers, true));
        while exchange.output().is_some() {}
        exchange
    };
    let exchanges: Vec<_> = (0..1_000).map(begin).collect();
    let serving = resident().saturating_sub(one);
    assert!(host.standing().iter().all(|standing| standing.instances == 1_000));
    drop(exchanges);
    let verdict = if megabytes(started) < 10.0 { "met" } else { "MISSED" };
    println!(
        "1,000 started instances of c-proxy-wasm: {:.1} MiB (required: under 10, {verdict})",
        megabytes(started)
    );
    println!("  with a request each: {:.1} MiB", megabytes(serving));
    println!("  the host itself, with one instance: {:.1} MiB", megabytes(one.saturating_sub(before)));
}

fn main() {
    if !is_asked_for() {
        return;
    }
    let world = World::with_grants(1_000);
    let engine = At(Frozen::engine(world), world.now());
    memory(&engine);
    let mut random = Random::new(0x5eed_2026);
    let heads: Vec<HttpHead> = (0..QUESTIONS).map(|_| head(&world.question(&mut random, true))).collect();
    let mut contenders = contenders(&engine, &heads);
    for Contender { name, ask, .. } in &mut contenders {
        assert!((0..100).all(|_| ask()), "{name} answers otherwise");
    }
    let mut criterion = Criterion::default().configure_from_args().measurement_time(Duration::from_secs(4));
    let mut group = criterion.benchmark_group("request");
    for Contender { name, ask, .. } in &mut contenders {
        group.bench_function(name.as_str(), |bencher| bencher.iter(&mut *ask));
    }
    group.finish();
    let seconds = measured(&mut contenders);
    report("a request with one check", &contenders, &seconds);

    let idle = || cycle(heads.iter().cloned(), |head| black_box(head).headers.is_empty());
    let mut bare = vec![Contender { name: "no plugin".to_owned(), bar: None, ask: idle() }];
    bare.push(contender("nothing", &engine, &heads, NOTHING, Instances::Shared, None));
    bare.push(contender("nothing", &engine, &heads, NOTHING, Instances::Fresh, Some(10.0)));
    for instances in [Instances::Shared, Instances::Fresh] {
        let guest = guest("c-proxy-wasm");
        bare.extend(guest.map(|plugin| contender("c-proxy-wasm", &engine, &heads, &plugin, instances, None)));
    }
    let seconds = measured(&mut bare);
    report("a request without a check", &bare, &seconds);
}
