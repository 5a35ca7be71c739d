/* Faults of a disk, for a real server: loaded into its process with LD_PRELOAD.

   FAULTS_BELOW    the directory whose files it is about, as an absolute path
   FAULTS_CONTROL  a file of two 32-bit integers that is shared with the test: what fails (enum fault), and how
                        many calls that could fail do not before the first one does
   FAULTS_JOURNAL  a file to which what is done to the database is appended, record after record, each once it
                        is done; without it, nothing is: see power_cuts.py, which reads it

   What SQLite does through memory that is mapped is not seen: that is its index of the log (-shm), which it makes
   anew when it opens a database that nobody has open. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum fault { NONE, FULL, SYNC_FAILS, WRITE_TEARS, WRITE_IS_SHORT, READ_ONLY, WRITE_FAILS };
enum record { WRITE = 1, TRUNCATE, SYNC, CREATE, UNLINK, RENAME, SYNC_DIRECTORY };

#define SECTOR 512
#define FILES 65536

struct control {
    atomic_int fault;
    atomic_int spared;
};

struct header {
    uint32_t record;
    uint32_t path_length; /* of what follows first */
    uint64_t inode;
    uint64_t offset;
    uint64_t data_length; /* of what follows then */
};

static const char *below;
static size_t below_length;
static struct control *control;
static int journal = -1;
static atomic_uchar watched[FILES]; /* by descriptor: 2 is the database's, 1 another one below */

static int (*real_open)(const char *, int, ...);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_unlink)(const char *);
static int (*real_rename)(const char *, const char *);
static int (*real_close)(int);

__attribute__((constructor)) static void prepare(void)
{
    real_open = dlsym(RTLD_NEXT, "open");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    real_rename = dlsym(RTLD_NEXT, "rename");
    real_close = dlsym(RTLD_NEXT, "close");
    below = getenv("FAULTS_BELOW");
    below_length = below ? strlen(below) : 0;
    const char *name = getenv("FAULTS_CONTROL");
    int file = name ? real_open(name, O_RDWR | O_CLOEXEC) : -1;
    if (file >= 0) {
        void *shared = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        control = shared == MAP_FAILED ? NULL : shared;
        real_close(file);
    }
    if ((name = getenv("FAULTS_JOURNAL")) != NULL)
        journal = real_open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static void ready(void) /* libraries that are prepared before this one call it already */
{
    if (real_close == NULL)
        prepare();
}

/* What is done. */

static int is_below(const char *path)
{
    return below && strncmp(path, below, below_length) == 0 &&
           (path[below_length] == '/' || path[below_length] == '\0');
}

static int is_database(const char *path) /* the database, its journals, and the directory that they are in */
{
    const char *rest = path + below_length;
    size_t length = strlen(rest);
    if (length >= 4 && strcmp(rest + length - 4, "-shm") == 0)
        return 0;
    return *rest == '\0' || strncmp(rest, "/alex.sqlite3", 13) == 0;
}

static void note(enum record record, uint64_t inode, const char *path, uint64_t offset, const void *data, size_t length)
{
    struct header header = {record, path ? strlen(path) : 0, inode, offset, length};
    struct iovec parts[] = {{&header, sizeof header}, {(void *)path, header.path_length}, {(void *)data, length}};
    int before = errno;
    if (journal < 0)
        return;
    if (writev(journal, parts, 3) < 0) /* one call: records of several threads do not mix */
        abort();
    errno = before;
}

static uint64_t inode_of(int file)
{
    struct stat found;
    return fstat(file, &found) == 0 ? found.st_ino : 0;
}

static off_t size_of(int file)
{
    struct stat found;
    return fstat(file, &found) == 0 && S_ISREG(found.st_mode) ? found.st_size : 0;
}

static int kind(int file)
{
    ready();
    return file >= 0 && file < FILES ? watched[file] : 0;
}

/* What fails. */

static int fails(enum fault fault)
{
    if (control == NULL || control->fault != (int)fault)
        return 0;
    if (control->spared > 0 && atomic_fetch_sub(&control->spared, 1) > 0)
        return 0;
    return 1;
}

static int refuse(int error)
{
    errno = error;
    return -1;
}

static int opened(const char *path, int flags, mode_t mode)
{
    ready();
    if (!is_below(path))
        return real_open(path, flags, mode);
    int is_new = (flags & O_CREAT) && access(path, F_OK) != 0;
    if ((flags & O_ACCMODE) != O_RDONLY && fails(READ_ONLY))
        return refuse(EROFS);
    if (is_new && fails(FULL))
        return refuse(ENOSPC);
    int file = real_open(path, flags, mode);
    if (file >= 0 && file < FILES)
        watched[file] = 1 + is_database(path);
    if (is_new && kind(file) == 2)
        note(CREATE, inode_of(file), path, 0, NULL, 0);
    else if (kind(file) == 2 && (flags & O_TRUNC))
        note(TRUNCATE, inode_of(file), NULL, 0, NULL, 0);
    return file;
}

static ssize_t written(int file, const void *data, size_t length, off_t offset, int is_placed)
{
    if (!kind(file))
        return is_placed ? real_pwrite(file, data, length, offset) : real_write(file, data, length);
    off_t at = is_placed ? offset : (fcntl(file, F_GETFL) & O_APPEND) ? size_of(file) : lseek(file, 0, SEEK_CUR);
    size_t part = length / 2 / SECTOR * SECTOR;
    int tears = 0;
    if ((kind(file) == 2 || at + (off_t)length > size_of(file)) && fails(FULL)) /* the database: as if on btrfs */
        return refuse(ENOSPC);
    if (fails(WRITE_FAILS))
        return refuse(EIO);
    if (kind(file) == 2 && fails(WRITE_TEARS))
        length = part, tears = 1;
    if (part && fails(WRITE_IS_SHORT))
        length = part;
    ssize_t done = is_placed ? real_pwrite(file, data, length, offset) : real_write(file, data, length);
    if (done > 0 && kind(file) == 2)
        note(WRITE, inode_of(file), NULL, at, data, done);
    return tears ? refuse(EIO) : done;
}

static int synced(int file, int (*real)(int))
{
    if (!kind(file))
        return real(file);
    if (fails(SYNC_FAILS))
        return refuse(EIO);
    struct stat found;
    int result = real(file);
    if (result == 0 && kind(file) == 2 && fstat(file, &found) == 0)
        note(S_ISDIR(found.st_mode) ? SYNC_DIRECTORY : SYNC, found.st_ino, NULL, 0, NULL, 0);
    return result;
}

/* What is called. */

static int open_with(const char *path, int flags, va_list more)
{
    return opened(path, flags, flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0);
}

#define OPEN(name)                               \
    int name(const char *path, int flags, ...)   \
    {                                            \
        va_list more;                            \
        va_start(more, flags);                   \
        int file = open_with(path, flags, more); \
        va_end(more);                            \
        return file;                             \
    }

OPEN(open)
OPEN(open64)

ssize_t write(int file, const void *data, size_t length) { return written(file, data, length, 0, 0); }
ssize_t pwrite(int file, const void *data, size_t length, off_t at) { return written(file, data, length, at, 1); }
ssize_t pwrite64(int file, const void *data, size_t length, off_t at) { return written(file, data, length, at, 1); }
int fsync(int file) { return synced(file, real_fsync); }
int fdatasync(int file) { return synced(file, real_fdatasync); }

int ftruncate(int file, off_t length)
{
    if (kind(file) && length > size_of(file) && fails(FULL))
        return refuse(ENOSPC);
    int result = real_ftruncate(file, length);
    if (result == 0 && kind(file) == 2)
        note(TRUNCATE, inode_of(file), NULL, length, NULL, 0);
    return result;
}

int ftruncate64(int file, off_t length) { return ftruncate(file, length); }

int unlink(const char *path)
{
    ready();
    int result = real_unlink(path);
    if (result == 0 && is_below(path) && is_database(path))
        note(UNLINK, 0, path, 0, NULL, 0);
    return result;
}

int rename(const char *from, const char *to)
{
    ready();
    int result = real_rename(from, to);
    if (result == 0 && is_below(from) && is_database(from))
        note(RENAME, 0, from, 0, to, strlen(to));
    return result;
}

int close(int file)
{
    if (kind(file))
        watched[file] = 0;
    return real_close(file);
}
