//! Who may give which command.

use cedar_policy::{Context, Decision, PolicySet, RestrictedExpression};

use super::ask::{Evaluator, Verdict};
use super::compiled::Failed;
use super::context::datetime;
use super::facts::DirectoryFacts;
use super::slice::{Built, Slice, SliceError, Slicer, uid};
use super::{Environment, Policies};
use crate::decide::{Authorization, Authorizer, Fact, Question, Resource};
use crate::directory::Directory;
use crate::domain::{Timestamp, Type};

impl Authorizer for Policies {
    fn authorize(&self, directory: &Directory, question: &Question<'_>, now: Timestamp) -> Authorization {
        let verdict = match self.question(directory, question, now) {
            Ok(Some(verdict)) => verdict,
            // Nobody of that name, or nothing that the schema lets meet: no policy is about it.
            Ok(None) => Verdict::default(),
            Err(SliceError(message)) => Verdict::failed(message),
        };
        Authorization {
            allowed: verdict.decision == Decision::Allow,
            determining_policies: verdict.determining_policies,
            errors: verdict.errors,
        }
    }
}

impl Policies {
    fn question(
        &self,
        directory: &Directory,
        question: &Question<'_>,
        now: Timestamp,
    ) -> Built<Option<Verdict>> {
        let types = (question.principal.parts().0, resource_type(&question.resource).name());
        let Some(environment) = self.environment(types.0, question.action, types.1) else {
            return Ok(None);
        };
        if self.evaluator == Evaluator::Cedar {
            return self.ask_cedar(environment, &environment.policies, directory, question, now);
        }
        let facts = match DirectoryFacts::command(directory, question, now) {
            Ok(Some(facts)) => facts,
            Ok(None) => return Ok(None),
            Err(Failed) => {
                return self.ask_cedar(environment, &environment.policies, directory, question, now);
            }
        };
        let answer = environment.compiled.answer(&facts);
        let verdict = self.verdict(environment, &answer, |policies| {
            // What was registered a moment ago still is.
            self.ask_cedar(environment, policies, directory, question, now).map(Option::unwrap_or_default)
        })?;
        debug_assert_eq!(
            Some(&verdict),
            self.ask_cedar(environment, &environment.policies, directory, question, now)
                .unwrap_or_default()
                .as_ref(),
            "compiled policies and Cedar disagree about {question:?}"
        );
        Ok(Some(verdict))
    }

    pub(super) fn ask_cedar(
        &self,
        environment: &Environment,
        policies: &PolicySet,
        directory: &Directory,
        question: &Question<'_>,
        now: Timestamp,
    ) -> Built<Option<Verdict>> {
        let mut slicer = Slicer::new(directory, &environment.hints, Some(&question.resource));
        let Some(principal) = slicer.principal(question.principal)? else {
            return Ok(None);
        };
        let resource = slicer.resource(&question.resource)?;
        let mut context = Vec::new();
        if environment.hints.wants("now") {
            context.push(("now".to_owned(), datetime(now)));
        }
        for (name, fact) in question.context.iter().filter(|(name, _)| environment.hints.wants(name)) {
            context.push(((*name).to_owned(), expression(&mut slicer, directory, fact)?));
        }
        let context = Context::from_pairs(context).map_err(|error| SliceError(error.to_string()))?;
        let slice = Slice { principal, resource, entities: slicer.entities, coverage: None };
        Ok(Some(self.ask(environment, policies, slice, context)))
    }
}

pub(super) fn resource_type(resource: &Resource) -> Type {
    match resource {
        Resource::Company(_) => Type::Company,
        Resource::EndUser(..) => Type::EndUser,
        Resource::Installer(_) => Type::Installer,
        Resource::Site(_) => Type::Site,
        Resource::Device(_) => Type::Device,
        Resource::Invite(_) => Type::Invite,
        Resource::Application(_) => Type::PermissionApplication,
        Resource::Ticket(_) => Type::ResetTicket,
        Resource::Grant(_) => Type::Grant,
    }
}

/// A fact as Cedar sees it; the entities that it names go into the slice.
fn expression(slicer: &mut Slicer<'_>, directory: &Directory, fact: &Fact) -> Built<RestrictedExpression> {
    let texts = |texts: &[String]| {
        RestrictedExpression::new_set(texts.iter().cloned().map(RestrictedExpression::new_string))
    };
    Ok(match fact {
        Fact::Text(text) => RestrictedExpression::new_string(text.clone()),
        Fact::Flag(flag) => RestrictedExpression::new_bool(*flag),
        Fact::Texts(values) => texts(values),
        Fact::Company(id) => {
            RestrictedExpression::new_entity_uid(slicer.resource(&Resource::Company(id.clone()))?)
        }
        Fact::EndUser(id) => {
            let contacts = directory.end_user(id.as_str()).map(|end_user| end_user.contacts.to_vec());
            RestrictedExpression::new_entity_uid(slicer.end_user(id.as_str(), &contacts.unwrap_or_default())?)
        }
        Fact::Installer(id) => match directory.installer(id.as_str()) {
            Some(record) => RestrictedExpression::new_entity_uid(slicer.installer(id, record)?),
            None => RestrictedExpression::new_entity_uid(uid(Type::Installer, id.as_str())?),
        },
        Fact::Devices(devices) => {
            let devices: Vec<_> = devices
                .iter()
                .map(|device| slicer.device(device).map(RestrictedExpression::new_entity_uid))
                .collect::<Built<_>>()?;
            RestrictedExpression::new_set(devices)
        }
    })
}
