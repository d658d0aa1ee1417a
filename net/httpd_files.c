/*
 * What lwIP's HTTP server (apps/http/httpd.c) serves: it replaces lwIP's own fs.c. A request's path
 * is opened as a file; the response's header is made here, in front of the file's bytes. The
 * server asks for /404.html, /400.html and /501.html when it needs an error page; those come from
 * here, without a system call. Network thread.
 */
#include "lwip/apps/fs.h"
#include "lwip/apps/httpd.h"
#include "lwip/def.h"

#include "kernel/heap.h"
#include "kernel/printk.h"
#include "kernel/string.h"
#include "net/files.h"
#include "net/services.h"

#define HEADER_SIZE 256

/* What lwIP's fs_file points to while a response is sent: a header, then page or file. */
struct response {
    int fd;           /* -1 for an error page */
    const char *page; /* an error page's text */
    int header_len;
    char header[HEADER_SIZE];
};

static const struct {
    const char *extension, *type;
} content_types[] = {
    {"html", "text/html; charset=utf-8"},
    {"htm", "text/html; charset=utf-8"},
    {"txt", "text/plain; charset=utf-8"},
    {"md", "text/plain; charset=utf-8"},
    {"c", "text/plain; charset=utf-8"},
    {"css", "text/css"},
    {"js", "text/javascript"},
    {"json", "application/json"},
    {"png", "image/png"},
    {"jpg", "image/jpeg"},
    {"gif", "image/gif"},
    {"svg", "image/svg+xml"},
    {"ico", "image/x-icon"},
};

static const struct {
    const char *name, *status, *page;
} error_pages[] = {
    {"/404.html", "404 Not Found", "<h1>404</h1><p>There is no such file here.</p>\n"},
    {"/400.html", "400 Bad Request", "<h1>400</h1><p>This was no HTTP request.</p>\n"},
    {"/501.html", "501 Not Implemented", "<h1>501</h1><p>Only GET is known here.</p>\n"},
};

static const char *content_type(const char *name)
{
    const char *dot = strrchr(name, '.');
    size_t i;

    for (i = 0; dot != NULL && i < LWIP_ARRAYSIZE(content_types); i++) {
        if (lwip_stricmp(dot + 1, content_types[i].extension) == 0)
            return content_types[i].type;
    }
    return "application/octet-stream";
}

static void make_header(struct response *response, const char *status, const char *type,
                        uint32_t size)
{
    response->header_len = format_text(response->header, sizeof(response->header),
                                       "HTTP/1.0 %s\r\n"
                                       "Server: Skep\r\n"
                                       "Content-Type: %s\r\n"
                                       "Content-Length: %u\r\n"
                                       "Connection: close\r\n\r\n",
                                       status, type, size);
}

static bool open_error_page(struct response *response, const char *name, uint32_t *size)
{
    size_t i;

    for (i = 0; i < LWIP_ARRAYSIZE(error_pages); i++) {
        if (strcmp(name, error_pages[i].name) != 0)
            continue;
        response->fd = -1;
        response->page = error_pages[i].page;
        *size = (uint32_t)strlen(response->page);
        make_header(response, error_pages[i].status, content_type(name), *size);
        return true;
    }
    return false;
}

/* lwIP's server opens what a request names. ERR_VAL makes it ask for an error page. */
err_t fs_open(struct fs_file *file, const char *name)
{
    struct response *response = kzalloc(sizeof(*response));
    uint32_t size;

    if (response == NULL)
        return ERR_MEM;
    if (!open_error_page(response, name, &size)) {
        response->fd = net_file_open(name, &size);
        if (response->fd < 0) {
            kfree(response);
            return ERR_VAL;
        }
        make_header(response, "200 OK", content_type(name), size);
    }
    memset(file, 0, sizeof(*file));
    /* Without data, the server reads the whole response through fs_read. */
    file->is_custom_file = 1;
    file->flags = FS_FILE_FLAGS_HEADER_INCLUDED;
    file->len = response->header_len + (int)size;
    file->pextension = response;
    return ERR_OK;
}

void fs_close(struct fs_file *file)
{
    struct response *response = file->pextension;

    if (response == NULL)
        return;
    if (response->fd >= 0)
        net_file_close(response->fd);
    kfree(response);
    file->pextension = NULL;
}

/* The next bytes of the response, at most count. FS_READ_EOF ends it, also when the file turns
 * out shorter than it was: the client sees that Content-Length is not reached. */
int fs_read(struct fs_file *file, char *buffer, int count)
{
    const struct response *response = file->pextension;
    long len = LWIP_MIN(count, file->len - file->index);

    if (len <= 0)
        return FS_READ_EOF;
    if (file->index < response->header_len) {
        len = LWIP_MIN(len, response->header_len - file->index);
        memcpy(buffer, response->header + file->index, (size_t)len);
    } else if (response->fd < 0) {
        memcpy(buffer, response->page + (file->index - response->header_len), (size_t)len);
    } else {
        len = net_file_read(response->fd, buffer, (size_t)len);
        if (len <= 0)
            return FS_READ_EOF;
    }
    file->index += (int)len;
    return (int)len;
}

int fs_bytes_left(struct fs_file *file)
{
    return file->len - file->index;
}

void net_http_init(void)
{
    httpd_init();
}
