//! Access that is denied and can be asked for: the AuthZEN Access Request and Approval Profile (ARAP), draft 1.
//!
//! A denial that an owner could turn into an allow says so, and how: with a token that binds it to what was denied. Whoever
//! shows that token opens a permission application; the task that it gets is that application, seen from outside. When
//! the owner has accepted, the question is asked again: an approval is never an allow by itself.

mod approval;
mod binding;
mod callback;
mod signing;
mod submission;
mod task;

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use axum::routing::get;
use consentry::command::{Command, Submission};
use consentry::directory::Directory;
use consentry::domain::{ApplicationId, Permission, PermissionRequest, Principal, SiteId, Timestamp, Uid};
use consentry::policy::{AccessRequest, DenyReason, Evaluation, Reading};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::ServeError;
use super::api::Api;
use super::app::App;
use super::authzen::Whole;
use super::body;
use super::config::{AccessRequestsConfig, ConfigError};
use super::problem::Problem;
use binding::Bound;
pub(crate) use callback::tell;
pub(crate) use signing::Signer;

/// Where requests for access are made, below the server's URL.
pub(crate) const REQUESTS: &str = "/access/v1/requests";
/// Where the keys are that its signatures can be verified with.
pub(crate) const JWKS: &str = "/access/v1/jwks";
/// What the metadata says that it can do.
pub(crate) const CAPABILITY: &str = "urn:openid:authzen:capability:access-request";

/// What it takes to ask for access.
pub(crate) struct AccessRequests {
    config: AccessRequestsConfig,
    signer: Signer,
    used: binding::Used,
    callbacks: callback::Callbacks,
}

/// What is said about a decision, beside the decision.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Said {
    /// Names this evaluation.
    #[serde(skip_serializing_if = "Option::is_none")]
    evaluation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evaluated_at: Option<Timestamp>,
    /// That access can be asked for, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_request: Option<Offer>,
    /// The approval that was shown, where it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<approval::Echo>,
    /// What to do about a denial of an approval that was shown: `request` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_action: Option<&'static str>,
    /// Why a shown approval did not help, by the profile's codes.
    #[serde(skip)]
    pub(crate) because: Option<&'static str>,
    /// Whether what was shown denies, whatever the policies say.
    #[serde(skip)]
    pub(crate) denies: bool,
}

/// That access can be asked for, and how.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccessRequestOffer")]
struct Offer {
    endpoint: String,
    template: &'static str,
    /// Until when it can be asked for with this token.
    expires_at: Timestamp,
    /// Binds the request to what was denied: to be sent back as it is.
    binding_token: String,
    display: Display,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccessRequestDisplay")]
struct Display {
    title: &'static str,
    description: &'static str,
}

/// The one kind of workflow: the owner of the site answers.
const TEMPLATE: &str = "permission_application";

/// What a denied question could be asked for as.
struct Askable {
    site: SiteId,
    permission: Permission,
    device: Option<consentry::domain::DeviceId>,
}

impl AccessRequests {
    pub(crate) fn open(
        config: &AccessRequestsConfig,
        ledger: Option<&std::path::Path>,
    ) -> Result<Self, ServeError> {
        let file = config.key.clone().or_else(|| ledger.map(|ledger| ledger.join("access-requests.key")));
        let signer = Signer::open(file.as_deref()).map_err(|what| {
            let file = file.unwrap_or_default();
            ConfigError(format!("the key for access requests, {}: {what}", file.display()))
        })?;
        let callbacks = callback::Callbacks::open(ledger).map_err(ConfigError)?;
        Ok(Self { config: config.clone(), signer, used: binding::Used::default(), callbacks })
    }

    /// What there is to say about a decision: how to ask for what was denied, and what a shown approval came to.
    pub(crate) fn said(
        &self,
        app: &App,
        reading: &Reading,
        whole: &Whole<'_>,
        question: &AccessRequest,
        evaluation: &Evaluation,
    ) -> Said {
        let bound = Bound::new(whole, question);
        let shown = whole.context.and_then(|context| context.0.get("approval"));
        let shown = shown.map(|shown| self.judged(app, reading, shown, &bound, evaluation.is_allowed()));
        let mut said = shown.unwrap_or_default();
        let can_be_asked_for =
            matches!(evaluation.reason, Some(DenyReason::NoGrant | DenyReason::GrantEnded));
        if !can_be_asked_for || said.next_action == Some("none") {
            return said;
        }
        match self.offer(app, reading, question, bound) {
            Some((evaluation_id, offer)) => {
                said.evaluation_id = Some(evaluation_id);
                said.evaluated_at = Some(reading.now());
                said.access_request = Some(offer);
            }
            None => said.next_action = said.next_action.map(|_| "none"),
        }
        said
    }

    /// How to ask for what was denied, if that would be taken.
    fn offer(
        &self,
        app: &App,
        reading: &Reading,
        question: &AccessRequest,
        bound: Bound,
    ) -> Option<(String, Offer)> {
        let engine = app.decision_point.engine()?;
        let askable = askable(&engine.directory(), &question.action, &question.resource)?;
        let principal = principal(&question.principal)?;
        let entry = askable.entry(self.config.validity);
        let rehearsed =
            apply(principal, self.signer.random("arq_").parse().ok()?, askable.site, vec![entry], None);
        if engine.rehearse(&rehearsed, reading.now()).is_some() {
            return None;
        }
        let evaluation_id = self.signer.random("eval_");
        let now = reading.now();
        let expires_at = now.after(self.config.offer.of_engine());
        let url = &app.public_url;
        let binding_token = self.signer.binding(url, &evaluation_id, now, expires_at, bound)?;
        let display = Display {
            title: "Ask the owner",
            description: "The owner of the site can permit this for some hours, or without end.",
        };
        let endpoint = format!("{url}{REQUESTS}");
        Some((evaluation_id, Offer { endpoint, template: TEMPLATE, expires_at, binding_token, display }))
    }
}

impl Askable {
    fn entry(&self, validity: consentry::domain::Validity) -> PermissionRequest {
        let devices = self.device.clone().map(|device| vec![device]);
        PermissionRequest { permission: self.permission, devices, validity }
    }
}

/// What an action on a resource could be asked for as: a permission, on a device or site that is there.
fn askable(directory: &Directory, action: &str, resource: &Uid) -> Option<Askable> {
    let permission = Permission::named(action)?;
    let (site, device) = match (permission.is_site_wide(), resource.type_name()) {
        (true, "Site") => (resource.id().parse().ok()?, None),
        (false, "Device") => {
            (directory.device(resource.id())?.site().clone(), Some(resource.id().parse().ok()?))
        }
        _ => return None,
    };
    Some(Askable { site, permission, device })
}

/// Who could ask: installers alone.
fn principal(uid: &Uid) -> Option<Principal> {
    (uid.type_name() == "Installer").then(|| uid.id().parse().ok().map(Principal::Installer)).flatten()
}

fn apply(
    principal: Principal,
    application: ApplicationId,
    site: SiteId,
    permissions: Vec<PermissionRequest>,
    remark: Option<String>,
) -> Submission {
    Submission::new(principal, Command::ApplyForPermission { application, site, permissions, remark })
}

/// Adds the routes.
pub(crate) fn add(api: &mut Api) {
    submission::add(api);
    task::add(api);
    api.get(JWKS, "jwks", "ARAP: the keys that signatures of this server can be verified with")
        .answer::<Keys>(200, "A set of keys (RFC 7517)")
        .problems(&[404])
        .by(get(jwks));
}

#[derive(Serialize, JsonSchema)]
struct Keys {
    keys: Vec<serde_json::Value>,
}

async fn jwks(State(app): State<App>) -> Result<Response<Body>, Problem> {
    let requests = enabled(&app)?;
    Ok(body::json(&json!({ "keys": [requests.signer.jwk()] })))
}

/// Where it is turned on.
fn enabled(app: &App) -> Result<&AccessRequests, Problem> {
    let nowhere = || {
        let detail = "`access_requests` is not configured: access cannot be asked for here";
        Problem::new(axum::http::StatusCode::NOT_FOUND, "not_found", detail)
    };
    app.access_requests.as_deref().ok_or_else(nowhere)
}

/// Problems that the profile names.
fn profile_problem(status: u16, code: &'static str, detail: impl Into<String>) -> Problem {
    let status = axum::http::StatusCode::from_u16(status).unwrap_or(axum::http::StatusCode::BAD_REQUEST);
    Problem { namespace: "urn:openid:authzen:access-request:error:", ..Problem::new(status, code, detail) }
}
