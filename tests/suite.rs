//! The promises of Consentry, one module each. `cargo nextest run -p consentry-tests`
#![cfg(test)]

#[path = "suite/contract.rs"]
mod contract; // commands, checks and scripts: form, order of refusals, idempotency, time
#[path = "suite/docs.rs"]
mod docs; // documents say what the machines say
#[path = "suite/equal.rs"]
mod equal; // every answer to random scripts, beside those of the reference model
#[path = "suite/histories.rs"]
mod histories; // threads on one ledger on disk are told one story
#[path = "suite/invariants.rs"]
mod invariants; // I1 to I11, on random histories
#[path = "suite/kill.rs"]
mod kill; // kill -9 under load: nothing acknowledged is lost
#[path = "suite/lifecycles.rs"]
mod lifecycles; // every state × event of the four lifecycles, as tables and diagrams
#[path = "suite/meaning.rs"]
mod meaning; // what the shipped policies and lifecycles mean, a sentence a test
#[path = "suite/menu.rs"]
mod menu; // what may be tried in the small world of `model`
#[path = "suite/model.rs"]
mod model; // every history of a small world, by model checking
#[path = "suite/plain.rs"]
mod plain; // the reference model: the whole engine from the contract, in plain maps
#[path = "suite/policies.rs"]
mod policies; // no policies, one policy more, policies that are refused, the policies' own cases
#[path = "suite/races.rs"]
mod races; // many threads on one engine
#[path = "suite/reckoning.rs"]
mod reckoning; // a second, simple reckoning of everything, from the events alone
#[path = "suite/scripts.rs"]
mod scripts; // tests/scripts: every script gets the answers beside it
#[path = "suite/slices.rs"]
mod slices; // what is handed to Cedar is whole
#[path = "suite/tidy.rs"]
mod tidy; // what keeps the repository readable
#[path = "suite/world.rs"]
mod world; // the small cast that the tests share
