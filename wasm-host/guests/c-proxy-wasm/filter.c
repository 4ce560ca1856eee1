// A filter in C without any library: refuses requests that do not say who asks, and leaves its mark on the others.

#include "proxy_wasm.h"

#define TEXT(literal) literal, sizeof(literal) - 1

// ---- memory -------------------------------------------------------------------------------------------------------
// What the host hands over is put here. Nothing of it is needed after the callback that asked for it, so that each
// callback begins with all of it free: there is nothing to free, and nothing to leak.

static _Alignas(16) char arena[60 * 1024];
static size_t used;

// No room: the host tells the caller so.
void *GUEST(proxy_on_memory_allocate)(size_t size) {
  if (size > sizeof arena - used) return 0;
  void *place = arena + used;
  used += (size + 15) & ~(size_t)15;
  return place;
}

// ---- life ---------------------------------------------------------------------------------------------------------

void GUEST(proxy_abi_version_0_2_1)(void) {}

void GUEST(proxy_on_context_create)(uint32_t context, uint32_t parent) {}

uint32_t GUEST(proxy_on_vm_start)(uint32_t context, size_t size) { return 1; }

uint32_t GUEST(proxy_on_configure)(uint32_t context, size_t size) { return 1; }

// ---- requests -----------------------------------------------------------------------------------------------------

static void log_line(const char *what, size_t what_size, const char *path, size_t path_size) {
  // In the arena, too: all that is touched lies together, and an instance that serves small requests takes one page.
  char *line = arena + used;
  size_t room = sizeof arena - used, size = 0;
  for (size_t i = 0; i < what_size && size < room; i++) line[size++] = what[i];
  for (size_t i = 0; i < path_size && size < room; i++) line[size++] = path[i];
  proxy_log(LOG_INFO, line, size);
}

uint32_t GUEST(proxy_on_request_headers)(uint32_t context, uint32_t count, uint32_t end_of_stream) {
  used = 0;
  char *path = 0, *installer = 0;
  size_t path_size = 0, installer_size = 0;
  if (proxy_get_header_map_value(REQUEST_HEADERS, TEXT(":path"), &path, &path_size) != OK) path_size = 0;
  uint32_t found = proxy_get_header_map_value(REQUEST_HEADERS, TEXT("x-installer"), &installer, &installer_size);
  if (found != OK || installer_size == 0) {
    log_line(TEXT("refused "), path, path_size);
    proxy_send_local_response(401, 0, 0, TEXT("who asks?\n"), 0, 0, -1);
    return PAUSE;
  }
  log_line(TEXT("passed "), path, path_size);
  // In place of one that the client sent.
  if (proxy_replace_header_map_value(REQUEST_HEADERS, TEXT("x-seen-by"), TEXT("c")) != OK) __builtin_trap();
  return CONTINUE;
}

uint32_t GUEST(proxy_on_response_headers)(uint32_t context, uint32_t count, uint32_t end_of_stream) {
  used = 0;
  proxy_add_header_map_value(RESPONSE_HEADERS, TEXT("x-filter"), TEXT("c"));
  return CONTINUE;
}
