//! OpenTelemetry: what a collector is told about requests.

#![cfg(test)]

#[path = "../../wasm-host/tests/support/http.rs"]
#[expect(dead_code, reason = "other tests need more of HTTP")]
mod http;
#[path = "serve/server.rs"]
#[expect(dead_code, reason = "other tests need more of the server")]
mod server;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use tonic::{Request, Response, Status};

use http::Message;
use server::{Server, fixture, posted};

/// Takes whatever comes.
struct Collector(Sender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let _ = self.0.send(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A collector: its port, and what it was told.
fn collector() -> (u16, Receiver<ExportTraceServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let incoming = tonic::transport::server::TcpIncoming::from(listener);
            let server =
                tonic::transport::Server::builder().add_service(TraceServiceServer::new(Collector(tell)));
            server.serve_with_incoming(incoming).await.unwrap();
        });
    });
    (port, told)
}

fn values(all: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &KeyValue| {
        let value = value.value.as_ref()?.value.as_ref()?;
        if let Any::IntValue(number) = value {
            return Some(number.to_string());
        }
        if let Any::StringValue(text) = value { Some(text.clone()) } else { None }
    };
    all.iter().filter_map(|value| Some((value.key.clone(), text(value)?))).collect()
}

fn question(name: &str) -> String {
    json!({
        "subject": { "type": "user", "id": "alice" },
        "action": { "name": name },
        "resource": { "type": "record", "id": "record-1" },
    })
    .to_string()
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The spans of these requests, after the server has ended.
fn traced(set: &[&str], requests: &[Message]) -> (Vec<Span>, String) {
    let (port, told) = collector();
    let config = fixture();
    let endpoint = format!("opentelemetry.endpoint=http://127.0.0.1:{port}");
    let mut arguments = vec!["--config", config.to_str().unwrap(), "--set", &endpoint];
    arguments.extend(set.iter().flat_map(|set| ["--set", set]));
    let server = Server::start(&arguments);
    for request in requests {
        assert_eq!(server.ask(request).second_word(), "200");
    }
    server.signal("-TERM");
    let (status, said) = server.ended();
    assert_eq!(status, Some(0), "{said}");
    let mut spans = Vec::new();
    let mut service = String::new();
    for resource in told.try_iter().flat_map(|told| told.resource_spans) {
        let named = values(&resource.resource.map(|resource| resource.attributes).unwrap_or_default());
        service.clone_from(&named["service.name"]);
        spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
    (spans, service)
}

#[test]
fn each_request_is_a_span_and_each_decision_an_event_in_it() {
    let batch = format!(r#"{{"evaluations":[{},{}]}}"#, question("read"), question("delete"));
    let requests = [
        posted("/access/v1/evaluation", &question("read")).header("traceparent", PARENT),
        posted("/access/v1/evaluations", &batch),
    ];
    let (spans, service) = traced(&[], &requests);
    assert_eq!((spans.len(), service.as_str()), (2, "consentry"));
    let one = &spans[0];
    assert_eq!(one.name, "POST /access/v1/evaluation");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        (hex(&one.trace_id), hex(&one.parent_span_id)),
        ("0af7651916cd43dd8448eb211c80319c".into(), "b7ad6b7169203331".into())
    );
    let said = values(&one.attributes);
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/access/v1/evaluation"),
        ("http.response.status_code", "200"),
        ("consentry.caller", "anybody"),
    ] {
        assert_eq!(said.get(name).map(String::as_str), Some(value), "{said:?}");
    }
    let decisions: Vec<[String; 3]> = spans
        .iter()
        .flat_map(|span| &span.events)
        .map(|event| {
            let said = values(&event.attributes);
            let of = |name: &str| said.get(&format!("consentry.{name}")).cloned().unwrap_or_default();
            [of("action"), of("decision"), of("reason")]
        })
        .collect();
    let expected = [["read", "allow", ""], ["read", "allow", ""], ["delete", "deny", "not_permitted"]];
    assert_eq!(decisions, expected.map(|said| said.map(str::to_owned)));
    assert!(!format!("{spans:?}").contains("record-1"), "what is asked about is not told");
}

#[test]
fn what_is_not_in_the_share_is_not_traced_unless_the_trace_it_came_with_is() {
    let with =
        |parent: &str| posted("/access/v1/evaluation", &question("read")).header("traceparent", parent);
    let requests = [posted("/access/v1/evaluation", &question("read")), with(PARENT), with("no trace")];
    let (spans, service) = traced(&["opentelemetry.sample=0", "opentelemetry.service=door"], &requests);
    assert_eq!((spans.len(), service.as_str()), (1, "door"));
    let unwanted = PARENT.replace("-01", "-00");
    assert_eq!(traced(&[], &[with(&unwanted)]).0.len(), 0);
}

#[test]
fn requests_do_not_wait_for_a_collector_that_is_not_there() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = fixture();
    let endpoint = format!("opentelemetry.endpoint=http://127.0.0.1:{nobody}");
    let server = Server::start(&["--config", config.to_str().unwrap(), "--set", &endpoint]);
    for _ in 0..100 {
        assert_eq!(server.ask(&posted("/access/v1/evaluation", &question("read"))).second_word(), "200");
    }
    server.signal("-TERM");
    assert_eq!(server.ended().0, Some(0));
    let wrong = server::command(&[
        "--config",
        config.to_str().unwrap(),
        "--set",
        "opentelemetry.endpoint=nowhere at all",
    ]);
    let output = { wrong }.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("opentelemetry.endpoint"));
}
