use std::time::Duration;

use consentry_wasm_host::{Abi, Capability, LoadCode, SandboxSettings};

use crate::fixture::{Fixture, bare, continued, granted, module};

fn refused(bytes: &[u8]) -> (LoadCode, String) {
    let fixture = Fixture::new();
    let error = fixture.host.load("it", bytes, granted()).unwrap_err();
    assert!(fixture.host.standing().is_empty());
    continued(fixture.get("/"));
    (error.code, error.message)
}

#[test]
fn what_is_no_plugin_is_refused_with_a_reason() {
    assert_eq!(refused(b"").0, LoadCode::Malformed);
    assert_eq!(refused(b"\0asm").0, LoadCode::Malformed);
    assert_eq!(refused(b"\0asm\x01\0\0\0\xff").0, LoadCode::Malformed);
    assert_eq!(refused(b"\0asm\x0d\0\x01\0\xff").0, LoadCode::Malformed);
    assert_eq!(refused(b"\x7fELF").0, LoadCode::Malformed);
    assert_eq!(refused(b"(module").0, LoadCode::Malformed);
    assert_eq!(refused(b"(module)").0, LoadCode::UnknownAbi);
    assert_eq!(refused(b"(component)").0, LoadCode::UnknownAbi);
    assert_eq!(refused(b"(module (func (export \"proxy_abi_version_0_1_0\")))").0, LoadCode::UnknownAbi);
}

#[test]
fn a_function_of_the_wrong_type_is_named() {
    let (code, message) = refused(
        module("(func (export \"proxy_on_request_headers\") (param i32 i32) (result i32) (i32.const 0))")
            .as_bytes(),
    );
    assert_eq!(code, LoadCode::WrongSignature);
    assert!(message.contains("`proxy_on_request_headers` must take 3 and give 1"), "{message}");
    let import = "(module (import \"env\" \"proxy_log\" (func (param i64))) (memory (export \"memory\") 1) (func (export \"proxy_abi_version_0_2_1\")))";
    let (code, message) = refused(import.as_bytes());
    assert_eq!(code, LoadCode::WrongSignature);
    assert!(message.contains("proxy_log"), "{message}");
    let (code, _) = refused(b"(module (func (export \"proxy_abi_version_0_2_1\")))");
    assert_eq!(code, LoadCode::WrongSignature);
}

#[test]
fn what_gateways_do_not_have_is_not_linked() {
    let import = |from: &str, name: &str| {
        format!(
            "(module (import \"{from}\" \"{name}\" (func)) (memory (export \"memory\") 1) (func (export \"proxy_abi_version_0_2_1\")))"
        )
    };
    let (code, message) = refused(import("env", "system").as_bytes());
    assert_eq!((code, message.contains("`env.system`")), (LoadCode::UnknownImport, true), "{message}");
    let fixture = Fixture::new();
    fixture.load(&import("wasi_snapshot_preview1", "path_open"), bare()).unwrap();
}

#[test]
fn a_giant_is_not_even_compiled() {
    let sandbox = SandboxSettings { plugin_bytes: 1 << 20, ..SandboxSettings::default() };
    let fixture = Fixture::with(|builder| builder.sandbox(sandbox));
    let error = fixture.host.load("it", &vec![b' '; (1 << 20) + 1], granted()).unwrap_err();
    assert_eq!(error.code, LoadCode::TooLarge);
}

#[test]
fn compiling_has_an_end() {
    let sandbox = SandboxSettings { compile_deadline: Duration::ZERO, ..SandboxSettings::default() };
    let fixture = Fixture::with(|builder| builder.sandbox(sandbox));
    let function = "(func (result i32) (i32.add (i32.const 1) (i32.add (i32.const 1) (i32.const 2))))";
    let error = fixture.load(&module(&function.repeat(2_000)), granted()).unwrap_err();
    assert_eq!(error.code, LoadCode::CompileDeadline);
}

#[test]
fn what_a_plugin_is_can_be_told_without_running_it() {
    let wat = module("(func $s unreachable) (start $s)");
    let found = Fixture::new().host.inspect(wat.as_bytes()).unwrap();
    assert_eq!(found.abi, Abi::ProxyWasm);
    assert!(found.imports.contains(&"env.proxy_log".to_owned()));
    assert_eq!(found.needs, Capability::ALL);
    assert!(found.calls_upstreams);
    assert_eq!(found.hash.len(), 64);
}

#[cfg(unix)]
#[test]
fn compiled_plugins_are_kept_where_nobody_else_can_write_and_nowhere_else() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("plugins");
    let sandbox = || SandboxSettings { cache: Some(cache.clone()), ..SandboxSettings::default() };
    for _ in 0..2 {
        let fixture = Fixture::with(|builder| builder.sandbox(sandbox()));
        fixture.load(&module(""), granted()).unwrap();
    }
    assert_eq!(std::fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o770)).unwrap();
    let host = consentry_wasm_host::Host::builder(crate::fixture::Ivan::default()).sandbox(sandbox()).build();
    assert_eq!(host.map(|_| ()).unwrap_err().code, LoadCode::Sandbox);
}
