//! Envoy's `ext_authz` over gRPC, asked by others than Envoy.

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use envoy_types::ext_authz::v3::pb::{CheckRequest, CheckResponse};
use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use crate::callers::{caller, token};
use crate::server::Server;

const MAPPING: &str = "[[route]]\npath = \"/open\"\nopen = true\n";

/// A server, and its port for gRPC.
fn server(folder: &Path, more: &str) -> (Server, u16) {
    fs::write(folder.join("mapping.toml"), MAPPING).unwrap();
    let config = folder.join("consentry.toml");
    let text = format!(
        "[listen]\nhttp = \"127.0.0.1:0\"\ngrpc = \"127.0.0.1:0\"\n[ledger]\nmemory = true\n\
         [gateway]\nmapping = \"mapping.toml\"\n{more}"
    );
    fs::write(&config, text).unwrap();
    Server::with_grpc(&["--config", config.to_str().unwrap()])
}

fn check(path: &str, body: &str) -> CheckRequest {
    let http = HttpRequest {
        method: "GET".to_owned(),
        path: path.to_owned(),
        body: body.to_owned(),
        ..HttpRequest::default()
    };
    let request = Request { http: Some(http), ..Request::default() };
    CheckRequest {
        attributes: Some(AttributeContext { request: Some(request), ..AttributeContext::default() }),
    }
}

fn asked(port: u16, token: Option<&str>, check: CheckRequest) -> Result<CheckResponse, Status> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
        let mut client = AuthorizationClient::new(endpoint.connect().await.unwrap());
        let mut request = tonic::Request::new(check);
        if let Some(token) = token {
            request.metadata_mut().insert("x-consentry-token", token.parse().unwrap());
        }
        client.check(request).await.map(tonic::Response::into_inner)
    })
}

fn code(answer: Result<CheckResponse, Status>) -> Code {
    answer.map_or_else(|status| status.code(), |answer| Code::from_i32(answer.status.unwrap().code))
}

#[test]
fn whoever_is_not_known_is_told_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (token, digest) = token();
    let (_server, port) =
        server(folder.path(), &caller("envoy", "evaluate", &format!("token_sha256 = \"{digest}\"")));
    let open = || check("/open", "");
    assert_eq!(code(asked(port, Some(&token), open())), Code::Ok);
    for other in [None, Some("ct_other"), Some("")] {
        let status = asked(port, other, open()).unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{other:?}");
    }
}

#[test]
fn what_is_too_much_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, port) = server(folder.path(), "[limits]\nbody_bytes = 2000\n");
    assert_eq!(code(asked(port, None, check("/open", &"x".repeat(1900)))), Code::Ok);
    assert_eq!(asked(port, None, check("/open", &"x".repeat(2100))).unwrap_err().code(), Code::OutOfRange);
    // What is no question is an answer: no.
    assert_eq!(code(asked(port, None, CheckRequest::default())), Code::PermissionDenied);
    assert_eq!(code(asked(port, None, check("", ""))), Code::PermissionDenied);
    assert_eq!(code(asked(port, None, check("/closed", ""))), Code::PermissionDenied);
}

#[test]
fn a_connection_on_which_nothing_is_asked_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, port) = server(folder.path(), "[limits]\nhead = \"300ms\"\n");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
}
