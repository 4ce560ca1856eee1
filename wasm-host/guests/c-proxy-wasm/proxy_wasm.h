// The part of the proxy-wasm ABI, version 0.2.1, that filter.c uses.
// https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1
#pragma once

typedef __SIZE_TYPE__ size_t;
typedef unsigned int uint32_t;

#define HOST(name) __attribute__((import_module("env"), import_name(#name))) uint32_t name
#define GUEST(name) __attribute__((export_name(#name))) name

enum { OK = 0, NOT_FOUND = 1 };                      // what the host's functions return
enum { CONTINUE = 0, PAUSE = 1 };                    // what callbacks for a stream return
enum { REQUEST_HEADERS = 0, RESPONSE_HEADERS = 2 };  // header maps
enum { LOG_INFO = 2 };

HOST(proxy_log)(uint32_t level, const char *message, size_t size);
HOST(proxy_get_header_map_value)(uint32_t map, const char *name, size_t name_size, char **value, size_t *size);
HOST(proxy_add_header_map_value)(uint32_t map, const char *name, size_t name_size, const char *value, size_t size);
HOST(proxy_replace_header_map_value)(uint32_t map, const char *name, size_t name_size, const char *value, size_t size);
HOST(proxy_send_local_response)(uint32_t status, const char *details, size_t details_size, const char *body,
                                size_t body_size, const char *headers, size_t headers_size, uint32_t grpc_status);
