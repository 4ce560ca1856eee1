// Lies between a process and its disk: whatever is done to files below STORAGE_ROOT is written to STORAGE_TRACE
// in the order in which it happened, and one operation may be made to fail, or to be the last one.
//
// STORAGE_FAULT is "<which> <errno> <how>": the operation with this number, counted from 1,
//   o  fails once
//   p  fails, and so does every later one of its kind
//   f  fails, and so does every later write that makes a file longer: the disk is full
//   s  writes the first half, and says so, unless that would tear a sector that is there
//   h  writes the first half, and the disk is full from then on
//   k  is not done: the process is killed
//   t  writes the first half, and the process is killed
// The word "heal", written to STORAGE_ROOT/marks, ends all faults. What else is written there goes into the trace.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SECTOR = 512, DESCRIPTORS = 4096, UNKNOWN = 0, A_FILE = 1, MARKS = 2 };
enum verdict { GO, FAIL, HALF, DIE, HALF_AND_DIE };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char known[DESCRIPTORS];
static const char *root;
static size_t root_length;
static int trace = -1;
static long count, which;
static int fault_errno;
static char how, failing_kind;
static int full;

__attribute__((constructor)) static void begin(void) {
    const char *fault = getenv("STORAGE_FAULT"), *path = getenv("STORAGE_TRACE");
    root = getenv("STORAGE_ROOT");
    if (!root || !path) return;
    root_length = strlen(root);
    trace = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fault && sscanf(fault, "%ld %d %c", &which, &fault_errno, &how) != 3) abort();
    // Whoever hangs is killed, and is found so.
    alarm(300);
}

static int below(const char *path) {
    return trace >= 0 && path && strncmp(path, root, root_length) == 0
        && (path[root_length] == 0 || path[root_length] == '/');
}

static int is(int fd, int what) { return trace >= 0 && fd >= 0 && fd < DESCRIPTORS && known[fd] == what; }

// One line of the trace: kind, error, descriptor, number, two lengths, and as many bytes.
static void note(char kind, int error, int fd, int64_t number, const void *one, size_t first, const void *two,
                 size_t second) {
    struct __attribute__((packed)) {
        char kind;
        int32_t error, fd;
        int64_t number;
        uint32_t first, second;
    } head = { kind, error, fd, number, (uint32_t)first, (uint32_t)second };
    struct iovec parts[] = { { &head, sizeof head }, { (void *)one, first }, { (void *)two, second } };
    if (syscall(SYS_writev, trace, parts, 3) != (ssize_t)(sizeof head + first + second)) abort();
}

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

static enum verdict judge(char kind, int grows) {
    count++;
    if (which && count == which) {
        failing_kind = kind;
        full = how == 'f' || how == 'h';
        switch (how) {
        case 'k': return DIE;
        case 't': return HALF_AND_DIE;
        case 's': case 'h': return HALF;
        default: return FAIL;
        }
    }
    if (how == 'p' && kind == failing_kind) return FAIL;
    return full && grows && kind == 'w' ? FAIL : GO;
}

static int64_t result(int64_t value) {
    pthread_mutex_unlock(&lock);
    return value;
}

static int64_t refused(void) {
    pthread_mutex_unlock(&lock);
    errno = fault_errno;
    return -1;
}

static int do_open(const char *path, int flags, mode_t mode) {
    if (!below(path)) return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    pthread_mutex_lock(&lock);
    size_t length = strlen(path + root_length);
    int marks = strcmp(path + root_length, "/marks") == 0;
    enum verdict verdict = marks ? GO : judge('o', 0);
    if (verdict == DIE || verdict == HALF_AND_DIE) die();
    if (verdict != GO) {
        note('o', fault_errno, -1, flags, path + root_length, length, 0, 0);
        return (int)refused();
    }
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode), error = errno;
    if (fd >= DESCRIPTORS) abort();
    if (!marks) note('o', fd < 0 ? error : 0, fd, flags, path + root_length, length, 0, 0);
    if (fd >= 0) known[fd] = marks ? MARKS : A_FILE;
    errno = error;
    return (int)result(fd);
}

#define OPEN(name)                                                  \
    int name(const char *path, int flags, ...) {                    \
        va_list more;                                               \
        va_start(more, flags);                                      \
        mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;   \
        va_end(more);                                               \
        return do_open(path, flags, mode);                          \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    if (!is(fd, A_FILE) && !is(fd, MARKS)) return (int)syscall(SYS_close, fd);
    pthread_mutex_lock(&lock);
    if (known[fd] == A_FILE) note('c', 0, fd, 0, 0, 0, 0, 0);
    known[fd] = UNKNOWN;
    return (int)result(syscall(SYS_close, fd));
}

static ssize_t do_write(int fd, const void *bytes, size_t size, int64_t at) {
    pthread_mutex_lock(&lock);
    struct stat now;
    if (fstat(fd, &now) != 0) abort();
    int grows = at + (int64_t)size > now.st_size;
    enum verdict verdict = judge('w', grows);
    if (verdict == DIE) die();
    if (verdict == FAIL) {
        note('w', fault_errno, fd, at, 0, 0, 0, 0);
        return refused();
    }
    if (verdict != GO) {
        // A file may be as long as it may be to the byte; what is there is overwritten by whole sectors.
        int64_t half = at + (int64_t)(size / 2);
        if (!grows) half -= half % SECTOR;
        if (half > at) size = (size_t)(half - at);
        else if (verdict == HALF_AND_DIE) die();
    }
    ssize_t written = syscall(SYS_pwrite64, fd, bytes, size, at);
    int error = written < 0 ? errno : 0;
    note('w', error, fd, at, bytes, written < 0 ? 0 : (size_t)written, 0, 0);
    if (verdict == HALF_AND_DIE) die();
    if (error) errno = error;
    return result(written);
}

ssize_t write(int fd, const void *bytes, size_t size) {
    if (is(fd, MARKS)) {
        pthread_mutex_lock(&lock);
        if (size == 4 && memcmp(bytes, "heal", 4) == 0) which = full = how = 0;
        note('M', 0, fd, 0, bytes, size, 0, 0);
        return result((ssize_t)size);
    }
    if (!is(fd, A_FILE)) return syscall(SYS_write, fd, bytes, size);
    int64_t at = syscall(SYS_lseek, fd, 0, SEEK_CUR);
    ssize_t written = do_write(fd, bytes, size, at);
    if (written > 0) syscall(SYS_lseek, fd, at + written, SEEK_SET);
    return written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, int64_t at) {
    return is(fd, A_FILE) ? do_write(fd, bytes, size, at) : syscall(SYS_pwrite64, fd, bytes, size, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) { return pwrite64(fd, bytes, size, at); }

// An operation that happens whole or not at all.
#define WHOLE(kind, fd, number, one, first, two, second, call)            \
    pthread_mutex_lock(&lock);                                            \
    enum verdict verdict = judge(kind, 0);                                \
    if (verdict == DIE || verdict == HALF_AND_DIE) die();                 \
    int64_t done = verdict == GO ? (call) : -1;                           \
    int error = verdict == GO ? errno : fault_errno;                      \
    note(kind, done < 0 ? error : 0, fd, number, one, first, two, second); \
    if (verdict != GO) return (int)refused();                             \
    errno = error;                                                        \
    return (int)result(done);

int ftruncate64(int fd, int64_t size) {
    if (!is(fd, A_FILE)) return (int)syscall(SYS_ftruncate, fd, size);
    WHOLE('t', fd, size, 0, 0, 0, 0, syscall(SYS_ftruncate, fd, size))
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int fsync(int fd) {
    if (!is(fd, A_FILE)) return (int)syscall(SYS_fsync, fd);
    WHOLE('s', fd, 0, 0, 0, 0, 0, syscall(SYS_fsync, fd))
}

int fdatasync(int fd) { return fsync(fd); }

int rename(const char *from, const char *to) {
    if (!below(from)) return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    const char *one = from + root_length, *two = to + root_length;
    WHOLE('r', -1, 0, one, strlen(one), two, strlen(two),
          syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0))
}

int unlink(const char *path) {
    if (!below(path)) return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    const char *one = path + root_length;
    WHOLE('u', -1, 0, one, strlen(one), 0, 0, syscall(SYS_unlinkat, AT_FDCWD, path, 0))
}

int mkdir(const char *path, mode_t mode) {
    if (!below(path)) return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    const char *one = path + root_length;
    WHOLE('m', -1, 0, one, strlen(one), 0, 0, syscall(SYS_mkdirat, AT_FDCWD, path, mode))
}

static void *do_mmap(void *hint, size_t size, int protection, int flags, int fd, int64_t at) {
    if (!is(fd, A_FILE)) return (void *)syscall(SYS_mmap, hint, size, protection, flags, fd, at);
    pthread_mutex_lock(&lock);
    enum verdict verdict = judge('p', 0);
    if (verdict == DIE || verdict == HALF_AND_DIE) die();
    note('p', verdict == GO ? 0 : fault_errno, fd, at, 0, 0, 0, 0);
    if (verdict != GO) return (void *)refused();
    return (void *)result(syscall(SYS_mmap, hint, size, protection, flags, fd, at));
}

void *mmap64(void *hint, size_t size, int protection, int flags, int fd, int64_t at) {
    return do_mmap(hint, size, protection, flags, fd, at);
}

void *mmap(void *hint, size_t size, int protection, int flags, int fd, off_t at) {
    return do_mmap(hint, size, protection, flags, fd, at);
}
