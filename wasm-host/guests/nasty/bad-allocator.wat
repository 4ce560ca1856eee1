;; Gives the host an address outside its memory, and does not bear being told so.
;; expect: trap
(module
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (data (i32.const 0) ":path")
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32) (i32.const -8))
  (func (export "proxy_on_request_headers") (param $context i32) (param $headers i32) (param $end i32) (result i32)
    ;; The path is to be put where the allocator says: 6 is INVALID_MEMORY_ACCESS.
    (if (i32.eq (i32.const 6) (call $get (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 16) (i32.const 20)))
      (then (unreachable)))
    (i32.const 0))
)
