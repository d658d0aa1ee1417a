/*
 * Finding the key: see skep_key.h.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/seal.h"
#include "user/lib/skep_key.h"

#define DEFAULT_NAME "skep.key"

static int read_file(const char *path, struct skep_key *key, char *err, size_t err_size)
{
    char text[128];
    FILE *file = fopen(path, "re");

    if (!file) {
        int error = -errno;
        snprintf(err, err_size, "the key in %s cannot be read: %s", path, strerror(errno));
        return error;
    }
    setvbuf(file, NULL, _IONBF, 0); /* no copy of the key stays in a buffer */
    size_t len = fread(text, 1, sizeof(text), file);
    fclose(file);
    bool good = seal_parse_key(text, len, key->bytes);
    crypto_wipe(text, sizeof(text));
    if (good)
        return 0;
    snprintf(err, err_size, "%s holds no key: that is 32 bytes, or 64 hexadecimal digits", path);
    return -EINVAL;
}

/* A key as text, or the name of a file. */
static int read_given(const char *given, const char *from, struct skep_key *key, char *err,
                      size_t err_size)
{
    if (strlen(given) == 2 * CRYPTO_KEY_SIZE &&
        seal_parse_key(given, 2 * CRYPTO_KEY_SIZE, key->bytes)) {
        snprintf(key->from, sizeof(key->from), "%s", from);
        return 0;
    }
    snprintf(key->from, sizeof(key->from), "%s", given);
    return read_file(given, key, err, err_size);
}

/* The path of skep.key in the folder of the running program; false when that is not known. */
static bool default_path(char path[PATH_MAX])
{
    ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - sizeof(DEFAULT_NAME));

    if (len <= 0)
        return false;
    path[len] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash)
        return false;
    strcpy(slash + 1, DEFAULT_NAME);
    return true;
}

/* See skep_key.h. */
int skep_key_find(const char *given, struct skep_key *key, char *err, size_t err_size)
{
    const char *environment = getenv("SKEP_KEY");
    char path[PATH_MAX];

    if (given)
        return read_given(given, "--key", key, err, err_size);
    if (environment && *environment)
        return read_given(environment, "SKEP_KEY", key, err, err_size);
    if (default_path(path) && access(path, F_OK) == 0)
        return read_given(path, path, key, err, err_size);
    snprintf(
        err, err_size,
        "no key: give the guest's with --key FILE, SKEP_KEY, or a file " DEFAULT_NAME
        " beside this program (a guest that was given none says on its console which it made)");
    return -ENOKEY;
}
