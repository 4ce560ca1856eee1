;; Its callback has a parameter too few.
;; expect: plugin_wrong_signature
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_request_headers") (param $context i32) (param $headers i32) (result i32) (i32.const 0))
)
