/* A disk that takes longer: after each fsync and fdatasync, wait for SLOW_DISK_MICROS.
 *
 * Preloaded (LD_PRELOAD) into every process of a run of benchmarks, the floor included. The wait sleeps, as a process
 * does that waits for a medium, so that others have the processor meanwhile.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void wait_for_medium(void) {
    const char *micros = getenv("SLOW_DISK_MICROS");
    if (micros == NULL) return;
    struct timespec pause = {0, atol(micros) * 1000L};
    while (nanosleep(&pause, &pause) != 0) {}
}

int fsync(int descriptor) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    int status = real(descriptor);
    wait_for_medium();
    return status;
}

int fdatasync(int descriptor) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    int status = real(descriptor);
    wait_for_medium();
    return status;
}
