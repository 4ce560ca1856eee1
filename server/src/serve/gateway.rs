//! What gateways ask at every request: may this pass?

mod answer;
mod grpc;
mod http;
mod identity;
mod mapping;
mod request;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use axum::http::StatusCode;
use consentry::domain::Uid;
use consentry::policy::{AccessRequest, Evaluation, Policies, Reading};
use consentry_wasm_host::{
    Asked, Cause, Headers as Fields, HttpHead, Response as Answer, Verdict as PluginVerdict,
};

use super::ServeError;
use super::app::App;
use super::config::{Config, ConfigError};
use super::plugins::{self, Plugins};
use super::problem::Problem;
use super::seeing::{Asker, Decided};
pub(crate) use grpc::service;
pub(crate) use http::add;
pub(crate) use identity::keep_up;
use identity::{Identities, Unauthenticated};
use mapping::{Mapping, StandsFor, Unmapped};
use request::{GatewayRequest, Headers as _};

/// What it takes to answer gateways.
pub(crate) struct Gateway {
    file: Option<PathBuf>,
    mapping: ArcSwap<Mapping>,
    /// Held while policies and mapping are replaced, and while they are taken for a request: those go together.
    replacing: RwLock<()>,
    pub(crate) identities: Identities,
}

/// What a gateway is told about a request.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) allowed: bool,
    /// With which the gateway answers in place of what it protects.
    pub(crate) status: StatusCode,
    /// A stable code; none with an allow.
    pub(crate) reason: Option<&'static str>,
    /// What is wrong, for people, where the code does not say it all.
    pub(crate) detail: Option<String>,
    /// What the request stands for.
    pub(crate) question: Option<Box<AccessRequest>>,
    pub(crate) evaluation: Option<Evaluation>,
    /// What a plugin answered in place of what is protected.
    pub(crate) answer: Option<Answer>,
    /// Headers that plugins set, for what is behind the gateway; or of their answer, for who asked.
    pub(crate) set: Vec<(String, String)>,
    /// Headers that plugins took away.
    pub(crate) removed: Vec<String>,
}

impl Gateway {
    pub(crate) fn new(config: &Config) -> Result<Self, ServeError> {
        let file = config.gateway.as_ref().map(|gateway| gateway.mapping.clone());
        let mapping = file.as_deref().map(read).transpose()?.unwrap_or_default();
        let identities = Identities::new(config.identity.as_ref())?;
        Ok(Self { file, mapping: ArcSwap::from_pointee(mapping), replacing: RwLock::default(), identities })
    }

    /// Reads the mapping anew, which is to be used with these policies. It is not used yet. `None`: there is none.
    pub(crate) fn load_anew(&self, policies: &Policies) -> Result<Option<Mapping>, ServeError> {
        let mapping = self.file.as_deref().map(read).transpose()?;
        if let Some(mapping) = &mapping {
            self.fits(mapping, policies)?;
        }
        Ok(mapping)
    }

    /// Uses a mapping together with the policies that `use_policies` begins to use.
    pub(crate) fn replace<T>(&self, mapping: Option<Mapping>, use_policies: impl FnOnce() -> T) -> T {
        let _replacing = self.replacing.write().unwrap_or_else(PoisonError::into_inner);
        mapping.into_iter().for_each(|mapping| self.mapping.store(Arc::new(mapping)));
        use_policies()
    }

    /// Policies and facts at this moment, and the mapping that goes with them.
    fn together(&self, app: &App) -> (Reading, Arc<Mapping>) {
        let _still = self.replacing.read().unwrap_or_else(PoisonError::into_inner);
        (app.decision_point.reading(), self.mapping.load_full())
    }

    /// Reads the keys anew, where they are in a file. When anything is wrong with them, those before go on being used.
    pub(crate) fn reload_keys(&self) -> Result<(), ServeError> {
        if let Some(verifier) = self.identities.verifier()
            && let Some(keys) = verifier.source.read_file()?
        {
            verifier.use_keys(&keys);
        }
        Ok(())
    }

    /// Whether the schema knows what the mapping asks.
    pub(crate) fn check(&self, policies: &Policies) -> Result<(), ServeError> {
        self.fits(&self.mapping.load(), policies)
    }

    fn fits(&self, mapping: &Mapping, policies: &Policies) -> Result<(), ServeError> {
        let file = self.file.as_deref().unwrap_or(Path::new("mapping"));
        mapping.fits(policies).map_err(|what| ConfigError(format!("{}: {what}", file.display())).into())
    }

    /// Answers a request, and writes down what it answered.
    fn answer(&self, app: &App, asker: &Asker, request: &GatewayRequest<'_>) -> Verdict {
        let verdict = match &app.plugins {
            None => self.verdict(&self.together(app), request),
            Some(plugins) => self.through(plugins, app, request),
        };
        let decided = Decided {
            question: verdict.question.as_deref(),
            allowed: verdict.allowed,
            reason: verdict.reason,
            // Why something is no question can repeat what it says: secrets, too.
            detail: verdict.detail.as_deref().filter(|_| verdict.reason != Some("invalid")),
            evaluation: verdict.evaluation.as_ref(),
        };
        app.seeing.decided(asker, &decided);
        verdict
    }

    /// Answers a request that plugins see first. What they take it for replaces what the mapping would; where they take
    /// it for nothing, the mapping says it, by the headers as they left them.
    fn through(&self, plugins: &Plugins, app: &App, request: &GatewayRequest<'_>) -> Verdict {
        let mut head = HttpHead::new(request.method, request.target);
        request.headers.each(&mut |name, value| plugins::show(&mut head, name, value));
        let before = head.headers.clone();
        match plugins.verdict(&head) {
            PluginVerdict::Continue { head, asked } => {
                let changed = GatewayRequest { headers: &head.headers, ..*request };
                let together = self.together(app);
                let mut verdict = match asked.into_iter().next_back() {
                    Some(asked) => match self.doubted(&together, &changed, &asked.request.principal) {
                        Some(why) => why,
                        None => Verdict::of(asked, true),
                    },
                    None => self.verdict(&together, &changed),
                };
                if verdict.allowed {
                    (verdict.set, verdict.removed) = changes(&before, &head.headers);
                }
                verdict
            }
            PluginVerdict::Respond { response, cause, asked } => match cause {
                Cause::Plugin(plugin) => {
                    let status = plugins::status(&response);
                    let set =
                        plugins::said(&response).map(|(name, value)| (name.to_owned(), value.to_owned()));
                    let set = set.collect();
                    let detail = Some(format!("the plugin `{plugin}` answered"));
                    Verdict { status, set, answer: Some(response), ..Verdict::denied("plugin", detail) }
                }
                Cause::Denied(_) => match asked.into_iter().next_back() {
                    Some(asked) => Verdict::of(asked, false),
                    None => Verdict::denied("invalid", None),
                },
                Cause::Failed(_) => {
                    let Problem { status, code, detail, .. } = plugins::failed();
                    Verdict { status, ..Verdict::denied(code, Some(detail)) }
                }
            },
        }
    }

    /// Why a plugin is not believed who asks: where tokens are verified, nobody asks but whom the token names.
    fn doubted(
        &self,
        (reading, mapping): &(Reading, Arc<Mapping>),
        request: &GatewayRequest<'_>,
        principal: &Uid,
    ) -> Option<Verdict> {
        self.identities.verifier()?;
        match self.identities.of(request.headers, reading.now()) {
            Err(Unauthenticated(why)) => Some(Verdict::unauthenticated(Some(why.into_owned()))),
            Ok(None) => Some(Verdict::unmapped(Unmapped::NoIdentity)),
            Ok(Some(identity)) if mapping.principal(&identity).as_ref() == Some(principal) => None,
            Ok(Some(_)) => {
                let why = "a plugin says that another one asks than the token does";
                Some(Verdict::denied("no_principal", Some(why.to_owned())))
            }
        }
    }

    fn verdict(&self, (reading, mapping): &(Reading, Arc<Mapping>), request: &GatewayRequest<'_>) -> Verdict {
        let identity = match self.identities.of(request.headers, reading.now()) {
            Ok(identity) => identity,
            Err(Unauthenticated(why)) => return Verdict::unauthenticated(Some(why.into_owned())),
        };
        let mapped = mapping.stands_for(request, identity.as_deref(), reading.policies());
        let question = match mapped {
            Ok(StandsFor::Question(question)) => question,
            Ok(StandsFor::Open) => return Verdict::open(),
            Err(unmapped) => return Verdict::unmapped(unmapped),
        };
        let answer = reading.evaluate(&question);
        let question = Some(question);
        match answer {
            Ok(evaluation) => {
                let allowed = evaluation.is_allowed();
                Verdict {
                    allowed,
                    status: if allowed { StatusCode::OK } else { StatusCode::FORBIDDEN },
                    reason: evaluation.reason.map(consentry::DenyReason::name),
                    detail: None,
                    question,
                    evaluation: Some(evaluation),
                    ..Verdict::open()
                }
            }
            Err(error) => Verdict { question, ..Verdict::denied("invalid", Some(error.to_string())) },
        }
    }
}

fn read(path: &Path) -> Result<Mapping, ServeError> {
    let wrong = |what: &dyn std::fmt::Display| ConfigError(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    Ok(Mapping::parse(&text).map_err(|what| wrong(&what))?)
}

/// What plugins changed: headers that have other values now, several of a name as one (RFC 9110 §5.3), and those that are gone.
fn changes(before: &Fields, after: &Fields) -> (Vec<(String, String)>, Vec<String>) {
    let (before, after) = (values(before), values(after));
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let removed = gone.cloned().collect();
    let others = after.iter().filter(|(name, values)| before.get(*name) != Some(values));
    let set = others.map(|(name, values)| {
        let between: &[u8] = if name == "cookie" { b"; " } else { b", " };
        (name.clone(), String::from_utf8_lossy(&values.join(between)).into_owned())
    });
    (set.collect(), removed)
}

/// The values of each header that is a plugin's to say, in their order.
fn values(fields: &Fields) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut values: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    fields.each(&mut |name, value| {
        if !plugins::is_of_the_way(name) {
            values.entry(name.to_ascii_lowercase()).or_default().push(value.to_vec());
        }
    });
    values
}

impl Verdict {
    /// What a plugin took a request for, and what came of that.
    fn of(asked: Asked, allowed: bool) -> Self {
        let Asked { request, evaluation, .. } = asked;
        let (evaluation, detail) = match evaluation {
            Ok(evaluation) => (Some(evaluation), None),
            Err(why) => (None, Some(why)),
        };
        let reason = match &evaluation {
            Some(evaluation) => evaluation.reason.map(consentry::DenyReason::name),
            None => Some("invalid"),
        };
        let question = Some(Box::new(request));
        if allowed {
            Self { question, evaluation, ..Self::open() }
        } else {
            Self { reason, question, evaluation, ..Self::denied("not_permitted", detail) }
        }
    }

    fn denied(reason: &'static str, detail: Option<String>) -> Self {
        Self { allowed: false, status: StatusCode::FORBIDDEN, reason: Some(reason), detail, ..Self::open() }
    }

    fn unauthenticated(detail: Option<String>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, ..Self::denied("unauthenticated", detail) }
    }

    fn open() -> Self {
        Self {
            allowed: true,
            status: StatusCode::OK,
            reason: None,
            detail: None,
            question: None,
            evaluation: None,
            answer: None,
            set: Vec::new(),
            removed: Vec::new(),
        }
    }

    fn unmapped(unmapped: Unmapped) -> Self {
        match unmapped {
            Unmapped::NoRoute => Self::denied("unmapped", Some("no route is for this request".to_owned())),
            Unmapped::Ambiguous(why) => Self::denied("ambiguous_path", Some(format!("the path: {why}"))),
            Unmapped::NoIdentity => Self::unauthenticated(Some("nobody says who asks".to_owned())),
            Unmapped::NoPrincipal => {
                Self::denied("no_principal", Some("whoever asks is no principal here".to_owned()))
            }
            Unmapped::NoQuestion(why) => Self::denied("invalid", Some(why)),
        }
    }
}

#[cfg(test)]
mod tests;
