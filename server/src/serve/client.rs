//! A client for the few requests that the server makes itself.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes requests over HTTP and HTTPS. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct Client(hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Body>);

impl Client {
    /// A client that trusts whom the system trusts.
    pub(crate) fn new() -> std::io::Result<Self> {
        let provider = rustls::crypto::ring::default_provider();
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector)))
    }

    /// Sends JSON, signed: an answer of a status other than 2xx is an error.
    pub(crate) async fn post(&self, url: &str, body: Vec<u8>, signature: &str) -> Result<(), String> {
        let request = Request::post(url)
            .header("content-type", "application/json")
            .header("x-consentry-signature", signature)
            .body(Body::from(body))
            .map_err(|error| error.to_string())?;
        in_time(async { self.ask(request).await.map(drop) }).await
    }

    /// The body of an answer of status 200, of at most `most` bytes.
    pub(crate) async fn get(&self, url: &str, most: usize) -> Result<Bytes, String> {
        let request = Request::get(url).body(Body::empty()).map_err(|error| error.to_string())?;
        in_time(async {
            let response = self.ask(request).await?;
            let body = Limited::new(response.into_body(), most).collect().await;
            body.map(|body| body.to_bytes()).map_err(|error| error.to_string())
        })
        .await
    }

    /// An answer, which is of a status 2xx.
    async fn ask(&self, request: Request<Body>) -> Result<Response<Incoming>, String> {
        let response = self.0.request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        if status.is_success() { Ok(response) } else { Err(format!("the answer was {status}")) }
    }
}

async fn in_time<T>(asking: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = |_| Err("there was no answer in time".to_owned());
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(late)
}
