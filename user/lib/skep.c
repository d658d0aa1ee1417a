/*
 * The client library's face (user/lib/skep.h): opening and closing, and one command from its
 * attributes to its result. The bytes are laid out by ebpf/marshal.c, carried by skep_exchange.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/marshal.h"
#include "user/lib/skep.h"
#include "user/lib/skep_internal.h"

#define DEFAULT_TARGET     "127.0.0.1:9970"
#define DEFAULT_TIMEOUT_MS 10000u
#define GOODBYE_TIMEOUT_MS 1000u

/* ---- what is known of handles -------------------------------------------------------------- */

static void forget_handle(struct skep *skep, uint32_t handle)
{
    for (size_t i = 0; i < skep->nr_known; i++)
        if (skep->known[i].handle == handle)
            skep->known[i--] = skep->known[--skep->nr_known];
}

/* Without memory it is asked for again when needed. */
static void remember_handle(struct skep *skep, const struct skep_known_handle *known)
{
    struct skep_known_handle *grown;

    forget_handle(skep, known->handle);
    grown = realloc(skep->known, (skep->nr_known + 1) * sizeof(*grown));
    if (!grown)
        return;
    grown[skep->nr_known++] = *known;
    skep->known = grown;
}

static const struct marshal_ops no_ops;

/* 0, or a negative errno: -EBADF when the guest has no such handle. */
static int know_handle(struct skep *skep, uint32_t handle, struct skep_known_handle *out)
{
    struct skep_handle_attr attr = {.handle = handle};
    long result;

    for (size_t i = 0; i < skep->nr_known; i++) {
        if (skep->known[i].handle == handle) {
            *out = skep->known[i];
            return 0;
        }
    }
    int err = skep_run_command(skep, SKEP_HANDLE_INFO, &attr, sizeof(attr), &no_ops,
                               skep->timeout_ms, &result);
    if (err || result < 0)
        return err ? err : (int)result;
    *out = (struct skep_known_handle){handle, attr.kind, attr.map_type, attr.key_size,
                                      attr.value_size};
    remember_handle(skep, out);
    return 0;
}

static int map_sizes(void *arg, uint32_t handle, uint32_t *key_size, uint32_t *value_size,
                     uint32_t *type)
{
    struct skep_known_handle known;
    int err = know_handle(arg, handle, &known);

    if (err)
        return err;
    if (known.kind != EBPF_MAP)
        return -EINVAL; /* as Linux: a descriptor, but no map's */
    *key_size = known.key_size;
    *value_size = known.value_size;
    *type = known.map_type;
    return 0;
}

static int object_kind(void *arg, uint32_t handle)
{
    struct skep_known_handle known;
    int err = know_handle(arg, handle, &known);

    return err ? err : (int)known.kind;
}

/* A new handle may have a number that was in use before; a map's sizes are known already. */
static void learn_from(struct skep *skep, const struct marshal_plan *plan, long result)
{
    const union bpf_attr *attr = &plan->attr.bpf;

    if (plan->cmd == SKEP_CLOSE)
        forget_handle(skep, plan->attr.close.handle);
    if (result < 0 || !marshal_returns_handle(plan->cmd))
        return;
    forget_handle(skep, (uint32_t)result);
    if (plan->cmd == BPF_MAP_CREATE) {
        struct skep_known_handle known = {(uint32_t)result, EBPF_MAP, attr->map_type,
                                          attr->key_size,
                                          marshal_value_size(attr->map_type, attr->value_size)};
        remember_handle(skep, &known);
    }
}

/* ---- a command ----------------------------------------------------------------------------- */

static int send_plan(struct skep *skep, const struct marshal_plan *plan, void *attr,
                     unsigned timeout_ms, long *result)
{
    size_t size = marshal_request_size(plan);
    struct skep_reply reply = {0};
    uint8_t *message;
    int err = 0;

    *result = 0;
    if (size > WIRE_MESSAGE_MAX)
        return skep_fail(skep, -E2BIG, "%s: %zu bytes are more than the %u that a request may have",
                         marshal_command_name(plan->cmd), size, WIRE_MESSAGE_MAX);
    message = malloc(size);
    if (!message)
        return skep_fail(skep, -ENOMEM, "out of memory for a request of %zu bytes", size);
    long encoded = marshal_encode_request(plan, message, size);
    if (encoded < 0)
        err = skep_fail(skep, (int)encoded, "%s cannot be encoded: %s",
                        marshal_command_name(plan->cmd), strerror((int)-encoded));
    else
        err = skep_exchange(skep, plan->cmd, message, (uint32_t)encoded, timeout_ms, &reply);
    free(message);
    if (err)
        return err;

    *result = reply.status;
    if (reply.message.total &&
        marshal_decode_reply(plan, reply.message.data, reply.message.total, attr))
        err = skep_fail(skep, -EBADMSG, "the reply of %s to %s does not have the form it must have",
                        skep->target, marshal_command_name(plan->cmd));
    skep_reply_free(&reply);
    return err;
}

/* 0 and the guest's result; or a negative errno when it was not executed for all we know. */
int skep_run_command(struct skep *skep, uint32_t cmd, void *attr, uint32_t attr_size,
                     const struct marshal_ops *ops, unsigned timeout_ms, long *result)
{
    struct marshal_plan plan;
    int err = marshal_plan(cmd, attr, attr_size, ops, &plan);

    if (err)
        return err;
    if (skep_needs_parts(&plan))
        return skep_run_parts(skep, &plan, attr, ops, timeout_ms, result);
    err = send_plan(skep, &plan, attr, timeout_ms, result);
    if (!err)
        learn_from(skep, &plan, *result);
    return err;
}

/* See user/lib/skep.h. */
long skep_command(struct skep *skep, uint32_t cmd, void *attr, uint32_t attr_size)
{
    const struct marshal_ops ops = {map_sizes, object_kind, skep};
    long result = 0;
    int err;

    pthread_mutex_lock(&skep->lock);
    if (skep->lost) { /* the sentence that said so still stands */
        err = -ECONNRESET;
    } else {
        skep->error[0] = '\0';
        err = skep_run_command(skep, cmd, attr, attr_size, &ops, skep->timeout_ms, &result);
    }
    pthread_mutex_unlock(&skep->lock);
    return err ? err : result;
}

const char *skep_last_error(const struct skep *skep)
{
    return skep->error;
}

/* ---- a session ----------------------------------------------------------------------------- */

/* Says hello to the target's addresses in turn: a name may stand for one that nobody listens on
 * (localhost for ::1). */
static int connect_target(struct skep *skep)
{
    struct skep_hello_attr hello;
    unsigned next = 0;
    int err;

    do {
        if (skep->channel)
            skep->channel->ops->close(skep->channel);
        skep->channel = channel_udp_open(skep->target, &next, skep->error, sizeof(skep->error));
        err = skep->channel ? 0 : -errno;
        if (!err)
            err = skep_say_hello(skep, skep->timeout_ms, &hello);
    } while (err && err != -EPROTONOSUPPORT && next != 0);
    if (!err)
        skep->boot_id = hello.boot_id;
    return err;
}

static void destroy(struct skep *skep)
{
    if (skep->channel)
        skep->channel->ops->close(skep->channel);
    pthread_mutex_destroy(&skep->lock);
    free(skep->known);
    free(skep->target);
    crypto_wipe(skep, sizeof(*skep));
    free(skep);
}

/* Decides whether the connection is sealed, and with which key. 0, or a negative errno and a
 * sentence. */
static int choose_key(struct skep *skep, const struct skep_options *options)
{
    const char *environment = getenv("SKEP_INSECURE");

    if (options->insecure && options->key)
        return skep_fail(skep, -EINVAL, "a key and an insecure connection exclude each other");
    skep->insecure =
        options->insecure || (!options->key && environment && strcmp(environment, "1") == 0);
    if (skep->insecure)
        return 0;
    return skep_key_find(options->key, &skep->key, skep->error, sizeof(skep->error));
}

/* See user/lib/skep.h. */
struct skep *skep_open(const struct skep_options *options, char *err, size_t err_size)
{
    const char *target = options->target ? options->target : getenv("SKEP_TARGET");
    struct skep *skep = calloc(1, sizeof(*skep));

    if (skep) {
        pthread_mutex_init(&skep->lock, NULL);
        skep->target = strdup(target ? target : DEFAULT_TARGET);
        skep->timeout_ms = options->timeout_ms ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
    }
    if (!skep || !skep->target) {
        snprintf(err, err_size, "out of memory");
        if (skep)
            destroy(skep);
        errno = ENOMEM;
        return NULL;
    }
    int error = choose_key(skep, options);
    if (!error)
        error = connect_target(skep);
    if (error) {
        snprintf(err, err_size, "%s", skep->error);
        destroy(skep);
        errno = -error;
        return NULL;
    }
    return skep;
}

/* See user/lib/skep.h. */
void skep_close(struct skep *skep)
{
    struct skep_power_attr nothing = {0};
    long result;

    if (!skep)
        return;
    if (!skep->lost)
        skep_run_command(skep, SKEP_GOODBYE, &nothing, sizeof(nothing), &no_ops, GOODBYE_TIMEOUT_MS,
                         &result);
    destroy(skep);
}

/* See user/lib/skep.h. */
void skep_keep_alive(struct skep *skep)
{
    struct wire_header ack = {.magic = WIRE_MAGIC,
                              .version = WIRE_VERSION_PLAIN,
                              .kind = WIRE_ACK,
                              .session = skep->session,
                              .sequence = skep->sequence,
                              .fragments = 1};

    pthread_mutex_lock(&skep->lock);
    if (!skep->lost)
        skep_send_datagram(skep, &ack, sizeof(ack));
    pthread_mutex_unlock(&skep->lock);
}
