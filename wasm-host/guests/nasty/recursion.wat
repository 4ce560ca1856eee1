;; Calls itself without end.
;; expect: stack
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func $deeper (param $depth i64) (result i64)
    (i64.add (i64.const 1) (call $deeper (i64.add (local.get $depth) (i64.const 1)))))
  (func (export "proxy_on_request_headers") (param $context i32) (param $headers i32) (param $end i32) (result i32)
    (drop (call $deeper (i64.const 0)))
    (i32.const 0))
)
