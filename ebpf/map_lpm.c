/*
 * Longest prefix match: a binary trie whose nodes skip the bits that all below them share. Linux:
 * kernel/bpf/lpm_trie.c, whose errors and order of keys these are.
 *
 * A key is a u32 length in bits and the bits, most significant first. Nodes come from a pool, as
 * a hash table's elements do (map_hash.c), so addresses given to programs stay good.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/map.h"
#include "ebpf/pool.h"

#define DATA_MIN  1u
#define DATA_MAX  256u
#define VALUE_MAX (4u << 20) /* Linux: KMALLOC_MAX_SIZE */

struct node {
    struct node *child[2]; /* by the bit behind the node's own */
    uint32_t bits;
    bool inner;     /* only a fork: it has no value */
    uint8_t data[]; /* padded to 8; the value follows */
};

struct trie {
    struct node *root;
    uint32_t count; /* nodes with values */
    uint32_t data_size, value_offset;
    struct ebpf_pool pool;
};

static int check(const union bpf_attr *attr)
{
    const uint32_t flags = BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY |
                           BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;

    if (attr->max_entries == 0 || (attr->map_flags & BPF_F_NO_PREALLOC) == 0 ||
        (attr->map_flags & ~flags) != 0 || attr->key_size < 4 + DATA_MIN ||
        attr->key_size > 4 + DATA_MAX || attr->value_size == 0 || attr->value_size > VALUE_MAX)
        return -EINVAL;
    return 0;
}

static void destroy(struct ebpf_map *map)
{
    struct trie *trie = map->impl;

    ebpf_pool_destroy(&trie->pool);
    ebpf_map_free(map, trie, sizeof(*trie));
}

static int create(struct ebpf_map *map, const union bpf_attr *attr)
{
    struct trie *trie = ebpf_map_alloc(map, sizeof(*trie));
    uint64_t most = 2 * (uint64_t)attr->max_entries; /* n values need at most n - 1 forks */
    size_t head = offsetof(struct node, data);
    int err;

    if (trie == NULL)
        return -ENOMEM;
    trie->data_size = map->key_size - 4;
    trie->value_offset = (uint32_t)round_up_to(head + trie->data_size, 8);
    map->impl = trie;
    err = ebpf_pool_init(&trie->pool, map,
                         trie->value_offset + (uint32_t)round_up_to(map->value_size, 8),
                         most < UINT32_MAX ? (uint32_t)most : UINT32_MAX, false);
    if (err != 0)
        destroy(map);
    return err;
}

/* ---- bits -------------------------------------------------------------------------------- */

static uint32_t key_bits(const void *key)
{
    uint32_t bits;
    __builtin_memcpy(&bits, key, sizeof(bits));
    return bits;
}

static const uint8_t *key_data(const void *key)
{
    return (const uint8_t *)key + 4;
}

static unsigned bit_at(const uint8_t *data, uint32_t n)
{
    return data[n / 8] >> (7 - n % 8) & 1;
}

/* How many leading bits are the same, at most limit. */
static uint32_t common_bits(const uint8_t *a, const uint8_t *b, uint32_t limit)
{
    uint32_t n = 0;

    while (n + 8 <= limit && a[n / 8] == b[n / 8])
        n += 8;
    while (n < limit && bit_at(a, n) == bit_at(b, n))
        n++;
    return n;
}

static uint32_t common_with(const struct node *node, const uint8_t *data, uint32_t bits)
{
    return common_bits(node->data, data, bits < node->bits ? bits : node->bits);
}

static void *value_of(const struct trie *trie, struct node *node)
{
    return (uint8_t *)node + trie->value_offset;
}

/* ---- operations -------------------------------------------------------------------------- */

/* The value of the longest prefix of the key's bits. */
static void *lookup(struct ebpf_map *map, const void *key)
{
    struct trie *trie = map->impl;
    struct node *node = trie->root, *found = NULL;
    uint32_t bits = key_bits(key);

    if (bits > trie->data_size * 8)
        return NULL;
    while (node != NULL && node->bits <= bits &&
           common_with(node, key_data(key), bits) == node->bits) {
        if (!node->inner)
            found = node;
        if (node->bits == bits)
            break;
        node = node->child[bit_at(key_data(key), node->bits)];
    }
    return found != NULL ? value_of(trie, found) : NULL;
}

/* Where the key's node is linked in, or would be: the first link to a node that is not a proper
 * prefix of the key. *parents (may be NULL): the links to its parent and so on. */
static struct node **find_link(struct trie *trie, const void *key, struct node ***parent)
{
    struct node **link = &trie->root;
    uint32_t bits = key_bits(key);

    *parent = NULL;
    while (*link != NULL && (*link)->bits < bits &&
           common_with(*link, key_data(key), bits) == (*link)->bits) {
        *parent = link;
        link = &(*link)->child[bit_at(key_data(key), (*link)->bits)];
    }
    return link;
}

static bool is_node_of(const struct node *node, const void *key)
{
    return node != NULL && node->bits == key_bits(key) &&
           common_with(node, key_data(key), node->bits) == node->bits;
}

static struct node *new_node(struct trie *trie, const uint8_t *data, uint32_t bits)
{
    struct node *node = ebpf_pool_take(&trie->pool);

    if (node == NULL)
        return NULL;
    __builtin_memset(node, 0, trie->pool.block_size);
    node->bits = bits;
    __builtin_memcpy(node->data, data, trie->data_size);
    return node;
}

/* Puts a node where the link is, above or beside what is there. */
static int insert(struct trie *trie, struct node **link, struct node *node)
{
    struct node *there = *link, *fork;
    uint32_t common;

    if (there == NULL) {
        *link = node;
        return 0;
    }
    common = common_with(there, node->data, node->bits);
    if (common == node->bits) { /* the new one is a prefix of what is there */
        node->child[bit_at(there->data, common)] = there;
        *link = node;
        return 0;
    }
    fork = new_node(trie, node->data, common);
    if (fork == NULL)
        return -ENOMEM;
    fork->inner = true;
    fork->child[bit_at(there->data, common)] = there;
    fork->child[bit_at(node->data, common)] = node;
    *link = fork;
    return 0;
}

static int add(struct ebpf_map *map, const void *key, const void *value, struct node **link)
{
    struct trie *trie = map->impl;
    struct node *node;
    int err;

    if (trie->count == map->max_entries)
        return -ENOSPC;
    node = new_node(trie, key_data(key), key_bits(key));
    if (node == NULL)
        return -ENOMEM;
    __builtin_memcpy(value_of(trie, node), value, map->value_size);
    err = insert(trie, link, node);
    if (err != 0)
        ebpf_pool_give(&trie->pool, node);
    else
        trie->count++;
    return err;
}

static int update(struct ebpf_map *map, const void *key, const void *value, uint64_t flags)
{
    struct trie *trie = map->impl;
    struct node **link, **parent;
    bool there;

    if (flags > BPF_EXIST || key_bits(key) > trie->data_size * 8)
        return -EINVAL;
    link = find_link(trie, key, &parent);
    there = is_node_of(*link, key) && !(*link)->inner;
    if (there && flags == BPF_NOEXIST)
        return -EEXIST;
    if (!there && flags == BPF_EXIST)
        return -ENOENT;
    if (!is_node_of(*link, key))
        return add(map, key, value, link);
    if (!there && trie->count == map->max_entries)
        return -ENOSPC;
    /* The bits behind the prefix do not count, but next_key gives them back: the latest ones. */
    __builtin_memcpy((*link)->data, (const uint8_t *)key + sizeof(uint32_t), trie->data_size);
    __builtin_memcpy(value_of(trie, *link), value, map->value_size);
    trie->count += !there; /* a fork gets a value */
    (*link)->inner = false;
    return 0;
}

/* Takes out a node that is no longer needed where it stands: it has at most one child. */
static void splice(struct trie *trie, struct node **link)
{
    struct node *node = *link;

    *link = node->child[0] != NULL ? node->child[0] : node->child[1];
    ebpf_pool_give(&trie->pool, node);
}

static int remove_key(struct ebpf_map *map, const void *key)
{
    struct trie *trie = map->impl;
    struct node **link, **parent;

    if (key_bits(key) > trie->data_size * 8)
        return -EINVAL;
    link = find_link(trie, key, &parent);
    if (!is_node_of(*link, key) || (*link)->inner)
        return -ENOENT;
    trie->count--;
    if ((*link)->child[0] != NULL && (*link)->child[1] != NULL) {
        (*link)->inner = true;
        return 0;
    }
    splice(trie, link);
    if (*link == NULL && parent != NULL && (*parent)->inner)
        splice(trie, parent); /* a fork with one way left is none */
    return 0;
}

/* ---- iteration --------------------------------------------------------------------------- */

/* The first node with a value, children before parents, left before right, of a subtree. */
static struct node *first_of(struct node *node)
{
    for (;;) {
        if (node->child[0] != NULL)
            node = node->child[0];
        else if (node->child[1] != NULL)
            node = node->child[1];
        else
            return node; /* a leaf is never a mere fork */
    }
}

/* The node that comes behind `after` in that order; NULL: it was the last. Walks down from the
 * root, remembering what comes when the subtree below is done. */
static struct node *next_of(struct trie *trie, const struct node *after)
{
    struct node *node = trie->root, *next = NULL;

    while (node != after) {
        unsigned bit = bit_at(after->data, node->bits);

        if (bit == 0 && node->child[1] != NULL)
            next = first_of(node->child[1]);
        else if (!node->inner)
            next = node;
        node = node->child[bit];
    }
    return next;
}

static int next_key(struct ebpf_map *map, const void *key, void *next)
{
    struct trie *trie = map->impl;
    struct node **parent, *node = NULL;

    if (trie->root == NULL)
        return -ENOENT;
    if (key != NULL && key_bits(key) <= trie->data_size * 8) {
        node = *find_link(trie, key, &parent);
        if (!is_node_of(node, key) || node->inner)
            node = NULL;
    }
    node = node != NULL ? next_of(trie, node) : first_of(trie->root);
    if (node == NULL)
        return -ENOENT;
    __builtin_memcpy(next, &node->bits, 4);
    __builtin_memcpy((uint8_t *)next + 4, node->data, trie->data_size);
    return 0;
}

static bool owns(struct ebpf_map *map, uintptr_t addr, size_t len)
{
    const struct trie *trie = map->impl;
    uint64_t offset;

    return ebpf_pool_offset(&trie->pool, addr, &offset) && offset >= trie->value_offset &&
           len <= map->value_size && offset - trie->value_offset <= map->value_size - len;
}

const struct ebpf_map_ops ebpf_map_lpm_trie = {
    .type = BPF_MAP_TYPE_LPM_TRIE,
    .name = "lpm_trie",
    .batches = MAP_BATCH_LOOKUP | MAP_BATCH_UPDATE | MAP_BATCH_DELETE,
    .check = check,
    .create = create,
    .destroy = destroy,
    .lookup = lookup,
    .update = update,
    .remove = remove_key,
    .next_key = next_key,
    .owns = owns,
};
