/*
 * The application of a Skep that was linked with no other: shows the message of the day and says
 * which services run. They live in net/ and need nothing from here.
 */
#include "user/app/skep_app.h"

/* Copies a file to standard output. 0, or a negative errno. */
static int show_file(const char *path)
{
    char buf[256];
    long n;
    int fd = app_open(path, O_RDONLY, 0);

    if (fd < 0)
        return fd;
    while ((n = app_read(fd, buf, sizeof(buf))) > 0)
        app_write(1, buf, (size_t)n);
    app_close(fd);
    return (int)n;
}

int app_main(int argc, char **argv)
{
    int error = show_file("/etc/motd");

    if (error)
        app_printf("%s: /etc/motd: error %d\n", argv[0], -error);
    app_printf("%s: the default application, process %d", argv[0], app_getpid());
    for (int i = 1; i < argc; i++)
        app_printf(" %s", argv[i]);
    app_printf("\n%s: services: echo udp/7, tftp udp/69, http tcp/80, commands udp/9970\n",
               argv[0]);
    return 0;
}
