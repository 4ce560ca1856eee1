//! What gateways ask at every request: may this pass?

mod answer;
mod grpc;
mod http;
mod identity;
mod mapping;
mod request;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::http::StatusCode;
use consentry::policy::{AccessRequest, Evaluation, Policies, Reading};

use super::ServeError;
use super::app::App;
use super::config::{Config, ConfigError};
use super::seeing::{Asker, Decided};
pub(crate) use grpc::service;
pub(crate) use http::add;
pub(crate) use identity::keep_up;
use identity::{Identities, Unauthenticated};
use mapping::{Mapping, StandsFor, Unmapped};
use request::GatewayRequest;

/// What it takes to answer gateways.
pub(crate) struct Gateway {
    file: Option<PathBuf>,
    mapping: ArcSwap<Mapping>,
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
}

impl Gateway {
    pub(crate) fn new(config: &Config) -> Result<Self, ServeError> {
        let file = config.gateway.as_ref().map(|gateway| gateway.mapping.clone());
        let mapping = file.as_deref().map(read).transpose()?.unwrap_or_default();
        let identities = Identities::new(config.identity.as_ref())?;
        Ok(Self { file, mapping: ArcSwap::from_pointee(mapping), identities })
    }

    /// Reads mapping and keys anew. When anything is wrong with them, those before go on being used.
    pub(crate) fn reload(&self, policies: &Policies) -> Result<(), ServeError> {
        if let Some(file) = &self.file {
            let mapping = read(file)?;
            self.fits(&mapping, policies)?;
            self.mapping.store(Arc::new(mapping));
        }
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
        let verdict = self.verdict(&app.decision_point.reading(), request);
        let decided = Decided {
            question: verdict.question.as_deref(),
            allowed: verdict.allowed,
            reason: verdict.reason,
            detail: verdict.detail.as_deref(),
            evaluation: verdict.evaluation.as_ref(),
        };
        app.seeing.decided(asker, &decided);
        verdict
    }

    fn verdict(&self, reading: &Reading, request: &GatewayRequest<'_>) -> Verdict {
        let identity = match self.identities.of(request.headers, reading.now()) {
            Ok(identity) => identity,
            Err(Unauthenticated(why)) => return Verdict::unauthenticated(Some(why.into_owned())),
        };
        let mapped = self.mapping.load().stands_for(request, identity.as_deref(), reading.policies());
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

impl Verdict {
    fn denied(reason: &'static str, detail: Option<String>) -> Self {
        Self {
            allowed: false,
            status: StatusCode::FORBIDDEN,
            reason: Some(reason),
            detail,
            question: None,
            evaluation: None,
        }
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
