;; Traps before it is started.
;; expect: plugin_start
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func $start (unreachable))
  (start $start)
)
