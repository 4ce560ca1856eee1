;; Never returns.
;; expect: deadline
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_request_headers") (param $context i32) (param $headers i32) (param $end i32) (result i32)
    (loop $again (br $again))
    (i32.const 0))
)
