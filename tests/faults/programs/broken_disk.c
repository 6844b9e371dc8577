/* A disk that fails on demand, put before libc with LD_PRELOAD.
 *
 * The n-th call of FAULT_CALL (write, fsync, rename) on a path that holds FAULT_UNDER fails with
 * FAULT_ERRNO, and with FAULT_FOR_GOOD all later ones too. The variables are read at each call, so that
 * a process may set them after a fork.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int calls;

static int fails(const char *call, const char *path) {
    const char *wanted = getenv("FAULT_CALL"), *under = getenv("FAULT_UNDER");
    const char *at = getenv("FAULT_AT"), *number = getenv("FAULT_ERRNO");
    if (!wanted || !under || !at || !number || strcmp(wanted, call) || !strstr(path, under))
        return 0;
    calls++;
    if (calls != atoi(at) && !(getenv("FAULT_FOR_GOOD") && calls > atoi(at)))
        return 0;
    errno = atoi(number);
    return 1;
}

static int handle_fails(const char *call, int handle) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return fails(call, path);
}

ssize_t write(int handle, const void *bytes, size_t count) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real)
        real = dlsym(RTLD_NEXT, "write");
    if (handle > 2 && handle_fails("write", handle))
        return -1;
    return real(handle, bytes, count);
}

int fsync(int handle) {
    static int (*real)(int);
    if (!real)
        real = dlsym(RTLD_NEXT, "fsync");
    return handle_fails("fsync", handle) ? -1 : real(handle);
}

int rename(const char *from, const char *to) {
    static int (*real)(const char *, const char *);
    if (!real)
        real = dlsym(RTLD_NEXT, "rename");
    return fails("rename", to) ? -1 : real(from, to);
}
