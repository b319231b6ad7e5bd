/* What a disk would hold after a power cut: at each fsync, keep what the synced file or folder held.
 *
 * Preloaded into every process of a test (LD_PRELOAD). HEADRACE_SHADOW_ROOT is the folder whose files matter,
 * HEADRACE_SHADOW is where the copies go:
 *
 *     files/ID      the content of a file when it was last synced
 *     folders/ID    the names in a folder when it was last synced: TYPE ID NAME \0 ..., TYPE is f, d, l or o
 *     lock          held while a copy is made, so that an older copy never replaces a newer one
 *
 * ID is device-inode-birth: an inode number is used again as soon as its file is gone, its time of birth is not.
 * Content is read through the descriptor that is synced. Opening the file once more, and closing it, would drop the
 * POSIX locks that SQLite holds on it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ID_SIZE 96

/* Without the shadow the test proves nothing, so that a failure to keep it ends the process. */
static void die(const char *what) {
    fprintf(stderr, "powerloss: %s: %s\n", what, strerror(errno));
    abort();
}

static int identify(int folder, const char *name, int flags, char *id, mode_t *mode) {
    struct statx facts;
    if (statx(folder, name, flags, STATX_BASIC_STATS | STATX_BTIME, &facts) != 0) return -1;
    if (!(facts.stx_mask & STATX_BTIME)) die("the file system keeps no time of birth");
    snprintf(id, ID_SIZE, "%x.%x-%llu-%lld.%09u", facts.stx_dev_major, facts.stx_dev_minor,
             (unsigned long long)facts.stx_ino, (long long)facts.stx_btime.tv_sec, facts.stx_btime.tv_nsec);
    *mode = facts.stx_mode;
    return 0;
}

static int is_ours(int descriptor) {
    const char *root = getenv("HEADRACE_SHADOW_ROOT");
    char link[64], path[PATH_MAX];
    if (root == NULL || getenv("HEADRACE_SHADOW") == NULL) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = '\0';
    size_t length = strlen(root);
    return strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static void shadow_path(char *path, const char *folder, const char *name) {
    if (snprintf(path, PATH_MAX, "%s%s%s", getenv("HEADRACE_SHADOW"), folder, name) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        die("the shadow");
    }
}

static void write_all(int target, const char *data, size_t size) {
    while (size > 0) {
        ssize_t done = write(target, data, size);
        if (done < 0) die("cannot write the shadow");
        data += done;
        size -= (size_t)done;
    }
}

static void copy_file(int descriptor, int target) {
    char link[64], *buffer = malloc(1 << 20);
    int source = descriptor, own = (fcntl(descriptor, F_GETFL) & O_ACCMODE) == O_WRONLY;
    if (buffer == NULL) die("no memory");
    if (own) { /* cannot be read through, and nobody locks ranges of a file that it only writes */
        snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
        source = open(link, O_RDONLY | O_CLOEXEC);
        if (source < 0) die("cannot open a file that is synced");
    }
    off_t offset = 0;
    ssize_t size;
    while ((size = pread(source, buffer, 1 << 20, offset)) > 0) {
        write_all(target, buffer, (size_t)size);
        offset += size;
    }
    if (size < 0) die("cannot read a file that is synced");
    if (own) close(source);
    free(buffer);
}

static char type_of(mode_t mode) {
    return S_ISREG(mode) ? 'f' : S_ISDIR(mode) ? 'd' : S_ISLNK(mode) ? 'l' : 'o';
}

static void copy_folder(int descriptor, int target) {
    int again = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = again < 0 ? NULL : fdopendir(again);
    if (folder == NULL) die("cannot list a folder that is synced");
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        char id[ID_SIZE], line[ID_SIZE + NAME_MAX + 8];
        mode_t mode;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (identify(again, entry->d_name, AT_SYMLINK_NOFOLLOW, id, &mode) != 0) continue; /* gone meanwhile */
        int size = snprintf(line, sizeof line, "%c %s %s", type_of(mode), id, entry->d_name);
        write_all(target, line, (size_t)size + 1);
    }
    closedir(folder);
}

/* Copy first and sync then: what comes in between is on the disk and not in the copy, which a power cut may do too. */
static int synced(int descriptor, int (*real)(int)) {
    char id[ID_SIZE], path[PATH_MAX], name[64], temporary[PATH_MAX];
    mode_t mode;
    if (!is_ours(descriptor) || identify(descriptor, "", AT_EMPTY_PATH, id, &mode) != 0) return real(descriptor);
    if (!S_ISREG(mode) && !S_ISDIR(mode)) return real(descriptor);
    shadow_path(path, "/lock", "");
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (lock < 0 || flock(lock, LOCK_EX) != 0) die("cannot lock the shadow");
    snprintf(name, sizeof name, "/temporary-%ld", (long)syscall(SYS_gettid));
    shadow_path(temporary, name, "");
    int target = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (target < 0) die("cannot write the shadow");
    if (S_ISREG(mode)) copy_file(descriptor, target);
    else copy_folder(descriptor, target);
    close(target);
    int result = real(descriptor);
    int error = errno;
    shadow_path(path, S_ISREG(mode) ? "/files/" : "/folders/", id);
    if (result == 0 && rename(temporary, path) != 0) die("cannot name a copy");
    close(lock);
    errno = error;
    return result;
}

static int (*next(const char *name))(int) {
    int (*function)(int);
    *(void **)&function = dlsym(RTLD_NEXT, name);
    if (function == NULL) die(name);
    return function;
}

int fsync(int descriptor) { return synced(descriptor, next("fsync")); }

int fdatasync(int descriptor) { return synced(descriptor, next("fdatasync")); }
