//! Regorus: Rego as bytecode, run by its virtual machine.
//!
//! The facts are one document: `installers` has each installer's company, and `grants` leads from the device over the
//! company and the action to the millisecond from which the grant is over. The policy looks an input up there. It is
//! compiled once, to a program for `RegoVM`; the engine that compiled it is dropped, so no interpreter is at hand.
//!
//! The input is made of the question's strings as a `Value`, without any JSON text. Keys are made once, and one object is
//! used for all questions, of which the six values are replaced. That is cheaper than an object for each question, by about
//! 5 % beside a copy of a template and 20 % beside one made from a map. No text is kept from one question to the next.

#![expect(clippy::expect_used, reason = "a benchmark that cannot build its world has nothing to measure")]

use std::collections::BTreeMap;

use ::regorus::languages::rego::compiler::Compiler;
use ::regorus::rvm::vm::RegoVM;
use ::regorus::{Engine, Rc, Value};

use crate::workload::{Grant, INSTALLERS, Query, Workload, company, installer};

/// Allow: the asker's company has a grant for this that is not over. What is not there is undefined, and not less.
const POLICY: &str = r#"
package access

default allow := false

allow if {
    input.principalType == "Installer"
    input.resourceType == "Device"
    input.now < data.grants[input.resource][data.installers[input.principal]][input.action]
}
"#;

const ENTRY: &str = "data.access.allow";

type Map = BTreeMap<Value, Value>;

/// All that a machine needs but the input.
pub struct Facts {
    data: Value,
}

impl Facts {
    /// What is known in this workload.
    pub fn of(workload: Workload) -> Self {
        let devices = (0..workload.sites()).flat_map(|site| {
            let mut devices: BTreeMap<String, BTreeMap<String, Map>> = BTreeMap::new();
            for Grant { company, device, permission, until } in workload.grants_on(site) {
                let of_company = devices.entry(device).or_default().entry(company).or_default();
                of_company.insert(permission.into(), until.into());
            }
            devices
        });
        let by_company = |companies: BTreeMap<String, Map>| -> Value {
            Value::from(
                companies.into_iter().map(|(company, map)| (company.into(), map.into())).collect::<Map>(),
            )
        };
        let grants: Map = devices.map(|(device, companies)| (device.into(), by_company(companies))).collect();
        let installers = (0..workload.companies()).flat_map(|number| {
            (0..INSTALLERS).map(move |place| (installer(number, place).into(), company(number).into()))
        });
        let installers: Map = installers.collect();
        let data = Map::from([("grants".into(), grants.into()), ("installers".into(), installers.into())]);
        Self { data: data.into() }
    }

    /// A machine with the policy's program and these facts.
    fn machine(&self) -> RegoVM {
        let mut engine = Engine::new();
        engine.add_policy("access.rego".to_owned(), POLICY.to_owned()).expect("it is Rego");
        let policy = engine.compile_with_entrypoint(&Rc::from(ENTRY)).expect("it has the rule");
        let program = Compiler::compile_from_policy(&policy, &[ENTRY]).expect("the machine has all it takes");
        let mut machine = RegoVM::new();
        machine.load_program(program);
        machine.set_data(self.data.clone()).expect("no rule has the name of a fact");
        machine
    }

    /// How many instructions of the machine the policy is.
    pub fn instructions(&self) -> usize {
        self.machine().get_program().instructions.len()
    }

    /// Answers from the strings.
    pub fn answers(&self) -> impl FnMut(usize, &Query) -> bool {
        let mut machine = self.machine();
        let keys =
            ["principalType", "principal", "action", "resourceType", "resource", "now"].map(Value::from);
        let mut input = Value::from(keys.iter().map(|key| (key.clone(), Value::Null)).collect::<Map>());
        move |_, query| {
            // While the machine has it too, it would be copied to be changed.
            machine.set_input(Value::Null);
            let fields = input.as_object_mut().expect("it is one");
            let texts = [
                &query.principal_type,
                &query.principal,
                &query.action,
                &query.resource_type,
                &query.resource,
            ];
            let values = texts.into_iter().map(|text| Value::from(text.as_str())).chain([query.now.into()]);
            for (key, value) in keys.iter().zip(values) {
                *fields.get_mut(key).expect("it has all keys") = value;
            }
            machine.set_input(input.clone());
            matches!(machine.execute(), Ok(Value::Bool(true)))
        }
    }
}
