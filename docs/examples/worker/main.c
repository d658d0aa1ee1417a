/*
 * Example of chapter 15: an application that does jobs for ever. A job is to read a file.
 */
#include "user/app/skep_app.h"

#define PAUSE_MS 100

/* Reads the file to its end. Its size, or a negative errno. */
static long do_job(const char *path)
{
    char buf[64];
    long n, total = 0;
    int fd = app_open(path, O_RDONLY, 0);

    if (fd < 0)
        return fd;
    while ((n = app_read(fd, buf, sizeof(buf))) > 0)
        total += n;
    app_close(fd);
    return n < 0 ? n : total;
}

int app_main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "/etc/motd";

    for (unsigned job = 1;; job++) {
        long size = do_job(path);

        if (size < 0) {
            app_printf("%s: %s: error %d\n", argv[0], path, (int)-size);
            return 1;
        }
        if (job == 1)
            app_printf("%s: %s has %d bytes\n", argv[0], path, (int)size);
        app_sleep_ms(PAUSE_MS);
    }
}
