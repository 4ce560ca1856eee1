# Each recipe is one line that works without just, too.

# Play the demo
demo:
    cargo run -- demo

# Everything that a change must pass
ci:
    bash .ci/run

# Does it compile?
check:
    cargo check --workspace --all-targets

# All tests
test:
    cargo test --workspace

# The cases of the policies
policies:
    cargo run -q -- policy test --policies policies

# Cedar's public integration tests, answered by compiled policies (PATH: a copy of them with corpus-tests.tar.gz unpacked)
corpus PATH:
    cargo run --release -q -p consentry --example corpus -- {{PATH}}

# What must hold of the policies for every request (needs cvc5)
prove:
    cargo run -q -- policy prove --policies policies

# The plugins of wasm-host/guests, as far as there are toolchains for them, into target/guests
guests:
    bash wasm-host/guests/build

# Write anew what Envoy does with plugins (needs envoy and `just guests`); then read the difference
update-envoy:
    UPDATE_GOLDEN=1 cargo test -p consentry-wasm-host --test two_hosts envoy_does

# What plugins take of a processor in Envoy (needs envoy and `just guests`)
envoy-cpu:
    python3 wasm-host/tests/gateways/envoy-cpu

# The server over HTTP, with whatever its OpenAPI document allows, and what it does not (needs schemathesis)
fuzz-http examples="100":
    cargo build && bash tests/gateways/fuzz-http target/debug/consentry {{examples}}

# Write docs/openapi.json again from the server
update-openapi:
    UPDATE_GOLDEN=1 cargo test -p consentry-server --test serve openapi

# Style
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# Layout
fmt:
    cargo fmt --all

# The documentation of the crates
doc:
    cargo doc --workspace --no-deps

# Write the answers of the scripts under tests/scripts again; then read the difference
update-answers:
    UPDATE_ANSWERS=1 cargo test -p consentry-tests

# Write docs/lifecycles.md again from the machines
update-docs:
    UPDATE_DOCS=1 cargo test -p consentry-tests docs

# Kill a writing process a few hundred times
kill:
    CONSENTRY_KILLS=300 cargo test -p consentry-tests --test suite -- kill --nocapture

# The share of docs/verification.md that every change must pass: a quarter of an hour
verify:
    cargo test --workspace && cargo run -q -- policy prove && CONSENTRY_MODEL=changes cargo test --release -p consentry-tests --test suite -- model && cargo test -p consentry-ledger --features shuttle --lib -- races && cargo test --manifest-path tests/schedules/Cargo.toml --target-dir target/schedules

# The rest of docs/verification.md: some hours, with `just mutants` and `just fuzz 3600` beside it
verify-deep:
    CONSENTRY_MODEL=8 cargo test --release -p consentry-tests --test suite -- model::every_history --nocapture && PROPTEST_CASES=2000 HISTORIES=3000 cargo test --release -p consentry-tests --test suite -- invariants equal::every_answer histories --nocapture && SCHEDULES=20000 cargo test -p consentry-ledger --features shuttle --lib -- races && SCHEDULES=20000 cargo test --manifest-path tests/schedules/Cargo.toml --target-dir target/schedules && STORAGE_CASES=8 STORAGE_HISTORIES=200 STORAGE_LONG=30 cargo test -p consentry-ledger --test storage -- --nocapture && CONSENTRY_KILLS=1000 cargo test -p consentry-tests --test suite -- kill --nocapture

# Faults put into the lifecycles and the evaluation, one at a time: does a test notice? (needs cargo-mutants and cargo-nextest)
mutants:
    cargo mutants --in-place

# Whatever is read from outside, a minute each (needs cargo-fuzz); a crash is kept under fuzz/artifacts
fuzz seconds="60":
    for target in "command fuzz/seeds/command" "script tests/scripts" "ledger fuzz/seeds/ledger" "policies policies" "compiled fuzz/seeds/compiled" "plugin_calls fuzz/seeds/plugin_calls" "plugin_modules fuzz/seeds/plugin_modules"; do set -- $target && mkdir -p target/corpus/$1 && RUSTC_BOOTSTRAP=1 cargo fuzz run -s none $1 --target-dir target/fuzz target/corpus/$1 $2 -- -max_total_time={{seconds}} -max_len=4096 || exit 1; done

# Benchmarks; see benches/README.md for single ones
bench:
    cargo bench -p consentry-benches

# The server beside Cerbos, asked alike (needs wrk, npm)
cerbos:
    cargo build --release && python3 benches/compare/cerbos

# Licences and sources of what is built in (needs cargo-deny)
deny:
    cargo deny check licenses sources bans
