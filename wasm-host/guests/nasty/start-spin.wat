;; Never comes to its start.
;; expect: plugin_start_deadline
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func $start (loop $again (br $again)))
  (start $start)
)
