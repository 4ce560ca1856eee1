//! Load on a server: HTTP by `wrk`, gRPC by a client in this process.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy_types::ext_authz::v3::pb::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use tonic::transport::Channel;

use crate::rounds::spent;

/// What came of a while of load.
#[derive(Debug, Clone, Copy, Default)]
pub struct Turn {
    /// Requests that were answered.
    pub requests: u64,
    /// In how much time.
    pub took: Duration,
    /// What half of the requests took at most.
    pub median: Duration,
    /// What 99 of 100 took at most.
    pub p99: Duration,
}

/// Posts the lines of `bodies`, from the one after `at` on, by `wrk`: so many connections, each with a request under way
/// all the time.
///
/// # Panics
/// Without `wrk`, and when a request fails.
#[must_use]
pub fn posts(url: &str, connections: usize, during: Duration, bodies: &Path, at: usize) -> Turn {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/load/post.lua");
    let output = Command::new("wrk")
        .args(["--threads", "1", "--connections", &connections.to_string()])
        .args(["--duration", &format!("{}s", during.as_secs()), "--script", script, url, "--"])
        .arg(bodies)
        .arg(at.to_string())
        .output()
        .expect("wrk is installed (Debian: apt-get install wrk)");
    let said = String::from_utf8_lossy(&output.stdout);
    let done = said.lines().find_map(|line| line.strip_prefix("done "));
    let numbers: Vec<u64> =
        done.into_iter().flat_map(|done| done.split(' ')).filter_map(|number| number.parse().ok()).collect();
    let numbers: Option<[u64; 5]> = numbers.try_into().ok();
    let [requests, took, median, p99, failed] = numbers.expect("wrk says how it went");
    assert_eq!(failed, 0, "requests failed: {said}");
    let micros = Duration::from_micros;
    Turn { requests, took: micros(took), median: micros(median), p99: micros(p99) }
}

/// How many connections there are, and how many requests are under way on each all the time.
#[derive(Debug, Clone, Copy)]
pub struct Ways {
    /// Connections.
    pub connections: usize,
    /// Requests on each.
    pub at_once: usize,
}

/// Asks over gRPC, as Envoy does. Request number `at` is asked first, and `expected` is told the number of each and whether it was allowed.
///
/// # Panics
/// When a request fails.
#[must_use]
pub fn checks(
    port: u16,
    ways: Ways,
    during: Duration,
    requests: &Arc<[CheckRequest]>,
    at: usize,
    expected: fn(usize, bool) -> bool,
) -> Turn {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("there are threads and files enough");
    let asking = async {
        let mut clients = Vec::new();
        for _ in 0..ways.connections {
            let endpoint = Channel::from_shared(format!("http://127.0.0.1:{port}")).expect("it is a URL");
            let channel = endpoint.connect().await.expect("the server listens");
            clients.extend(vec![AuthorizationClient::new(channel); ways.at_once]);
        }
        let start = now();
        let each = requests.len() / clients.len();
        let all: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(number, client)| {
                let first = at + number * each;
                tokio::spawn(one_by_one(client, requests.clone(), first, start + during, expected))
            })
            .collect();
        let mut took = Vec::new();
        for one in all {
            took.extend(one.await.expect("no request fails"));
        }
        (took, start.elapsed())
    };
    let (mut took, whole) = runtime.block_on(asking);
    took.sort_unstable();
    let quantile = |share: f64| {
        let place = (took.len().saturating_sub(1) as f64 * share).round() as usize;
        took.get(place).copied().unwrap_or_default()
    };
    Turn { requests: took.len() as u64, took: whole, median: quantile(0.5), p99: quantile(0.99) }
}

async fn one_by_one(
    mut client: AuthorizationClient<Channel>,
    requests: Arc<[CheckRequest]>,
    first: usize,
    end: Instant,
    expected: fn(usize, bool) -> bool,
) -> Vec<Duration> {
    let mut took = Vec::new();
    for at in first.. {
        let begun = now();
        if begun >= end {
            break;
        }
        let at = at % requests.len();
        let Some(request) = requests.get(at).cloned() else { break };
        let answer = client.check(request).await.expect("the server answers").into_inner();
        took.push(now() - begun);
        let allowed = answer.status.is_some_and(|status| status.code == 0);
        assert!(expected(at, allowed), "request {at} was answered otherwise: {allowed}");
    }
    took
}

/// What `check` takes of this thread's processor when it is not done in a loop, but once for each message that another
/// thread sends over TCP and waits for the answer to: less what the same messages take without it. Both are done `count`
/// times, by turns.
///
/// # Panics
/// When there is no loopback.
#[must_use]
pub fn woken(count: usize, mut check: impl FnMut()) -> Duration {
    const QUESTION: usize = 200;
    const ANSWER: usize = 300;
    /// Exchanges before the other one has its turn.
    const TURN: usize = 50;
    let mut exchange = || -> std::io::Result<Duration> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut asking = TcpStream::connect(listener.local_addr()?)?;
        let (mut stream, _) = listener.accept()?;
        asking.set_nodelay(true)?;
        stream.set_nodelay(true)?;
        let asker = std::thread::spawn(move || -> std::io::Result<()> {
            let mut answer = [0; ANSWER];
            // Until nobody is there any more.
            while asking.write_all(&[1; QUESTION]).is_ok() && asking.read_exact(&mut answer).is_ok() {}
            Ok(())
        });
        let mut answered = |check: &mut dyn FnMut()| -> std::io::Result<Duration> {
            let (took, done) = spent(|| {
                (0..TURN).try_for_each(|_| {
                    stream.read_exact(&mut [0; QUESTION])?;
                    check();
                    stream.write_all(&[1; ANSWER])
                })
            });
            done.map(|()| took)
        };
        let (mut with, mut without) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..count.div_ceil(TURN) {
            with += answered(&mut check)?;
            without += answered(&mut || {})?;
        }
        drop(stream);
        let _ = asker.join();
        Ok(with.saturating_sub(without))
    };
    exchange().expect("there is a loopback")
}

#[expect(clippy::disallowed_methods, reason = "measuring time is what a benchmark is for")]
fn now() -> Instant {
    Instant::now()
}
