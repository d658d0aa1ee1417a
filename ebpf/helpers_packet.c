/*
 * Helpers on packets: bytes of a socket buffer or an XDP buffer, the XDP buffer's ends, checksums.
 * Linux: net/core/filter.c, whose errors these are. An XDP buffer has no fragments here.
 */
#include "ebpf/base.h"
#include "ebpf/context.h"
#include "ebpf/ebpf.h"
#include "ebpf/helpers.h"

#define ETHERNET_HEADER 14
#define META_MAX        32     /* Linux: xdp_metalen_invalid */
#define OFFSET_MAX      0xffff /* Linux: what bpf_xdp_pointer looks at */
#define CSUM_BYTES_MAX  512u   /* Linux: MAX_BPF_STACK, both together */

/* ---- socket buffers ---------------------------------------------------------------------------
 */

/* skb_load_bytes(ctx, offset, to, len): 0, or -EFAULT and zeroes. */
uint64_t helper_skb_load_bytes(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    const struct ebpf_skb *skb = (const struct ebpf_skb *)r1;
    uint64_t len = (uint64_t)(skb->data_end - skb->data);
    uint32_t offset = (uint32_t)r2, size = (uint32_t)r4;

    (void)r5;
    if ((uint64_t)offset + size > len) {
        __builtin_memset((void *)r3, 0, size);
        return helper_error(-EFAULT);
    }
    __builtin_memcpy((void *)r3, skb->data + offset, size);
    return 0;
}

/* ---- XDP buffers ------------------------------------------------------------------------------
 */

/* Where the metadata begins: at data when there is none. */
static uint8_t *meta_of(const struct ebpf_xdp *xdp)
{
    return xdp->data_meta ? xdp->data_meta : xdp->data;
}

/* xdp_adjust_head(ctx, delta): moves the packet's beginning, metadata with it. Room is made in
 * front of it, or what stands there is no longer the packet's. -EINVAL: less than an Ethernet
 * header would be left, or there is not so much room. */
uint64_t helper_xdp_adjust_head(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct ebpf_xdp *xdp = (struct ebpf_xdp *)r1;
    int64_t delta = (int32_t)r2;
    uint8_t *meta = meta_of(xdp);
    int64_t meta_len = xdp->data - meta;

    (void)r3, (void)r4, (void)r5;
    if (delta < (xdp->data_hard_start - xdp->data) + meta_len ||
        delta > xdp->data_end - xdp->data - ETHERNET_HEADER)
        return helper_error(-EINVAL);
    if (meta_len)
        __builtin_memmove(meta + delta, meta, (size_t)meta_len);
    xdp->data_meta = meta + delta;
    xdp->data += delta;
    return 0;
}

/* xdp_adjust_tail(ctx, delta): moves the packet's end. New bytes are zero. */
uint64_t helper_xdp_adjust_tail(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct ebpf_xdp *xdp = (struct ebpf_xdp *)r1;
    int64_t delta = (int32_t)r2;

    (void)r3, (void)r4, (void)r5;
    if (delta > xdp->data_hard_end - xdp->data_end ||
        delta < ETHERNET_HEADER - (xdp->data_end - xdp->data))
        return helper_error(-EINVAL);
    if (delta > 0)
        __builtin_memset(xdp->data_end, 0, (size_t)delta);
    xdp->data_end += delta;
    return 0;
}

/* xdp_adjust_meta(ctx, delta): moves the beginning of the metadata, which ends at the packet.
 * -EINVAL: no room, or beyond the packet's beginning; -EACCES: not in words, or more than 32
 * bytes. */
uint64_t helper_xdp_adjust_meta(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct ebpf_xdp *xdp = (struct ebpf_xdp *)r1;
    uint8_t *meta = meta_of(xdp);
    int64_t delta = (int32_t)r2, len = xdp->data - meta - delta;

    (void)r3, (void)r4, (void)r5;
    if (delta < xdp->data_hard_start - meta || len < 0)
        return helper_error(-EINVAL);
    if (len % 4 || len > META_MAX)
        return helper_error(-EACCES);
    xdp->data_meta = meta + delta;
    return 0;
}

uint64_t helper_xdp_get_buff_len(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    const struct ebpf_xdp *xdp = (const struct ebpf_xdp *)r1;

    (void)r2, (void)r3, (void)r4, (void)r5;
    return (uint64_t)(xdp->data_end - xdp->data);
}

/* Linux: bpf_xdp_pointer. */
static int check_range(const struct ebpf_xdp *xdp, uint32_t offset, uint32_t len)
{
    if (offset > OFFSET_MAX || len > OFFSET_MAX)
        return -EFAULT;
    return (uint64_t)offset + len > (uint64_t)(xdp->data_end - xdp->data) ? -EINVAL : 0;
}

/* xdp_load_bytes(ctx, offset, to, len). */
uint64_t helper_xdp_load_bytes(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    const struct ebpf_xdp *xdp = (const struct ebpf_xdp *)r1;
    int err = check_range(xdp, (uint32_t)r2, (uint32_t)r4);

    (void)r5;
    if (!err)
        __builtin_memmove((void *)r3, xdp->data + (uint32_t)r2, (uint32_t)r4);
    return helper_error(err);
}

/* xdp_store_bytes(ctx, offset, from, len). */
uint64_t helper_xdp_store_bytes(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    const struct ebpf_xdp *xdp = (const struct ebpf_xdp *)r1;
    int err = check_range(xdp, (uint32_t)r2, (uint32_t)r4);

    (void)r5;
    if (!err)
        __builtin_memmove(xdp->data + (uint32_t)r2, (const void *)r3, (uint32_t)r4);
    return helper_error(err);
}

/* ---- checksums --------------------------------------------------------------------------------
 */

/* Adds the words, each xored with flip, which is how a word is taken away (RFC 1624). */
static uint64_t add_words(uint64_t sum, const void *from, uint32_t size, uint32_t flip)
{
    uint32_t word;

    for (uint32_t i = 0; i < size; i += sizeof(word)) {
        __builtin_memcpy(&word, (const uint8_t *)from + i, sizeof(word));
        sum += word ^ flip;
    }
    return sum;
}

/* csum_diff(from, from_size, to, to_size, seed): the 32-bit one's complement sum of seed and to,
 * less from; -EINVAL for sizes that are not of whole words or too large. */
uint64_t helper_csum_diff(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    uint64_t sum = (uint32_t)r5;

    if (r2 % 4 || r4 % 4 || r2 + r4 > CSUM_BYTES_MAX)
        return helper_error(-EINVAL);
    sum = add_words(sum, (const void *)r1, (uint32_t)r2, UINT32_MAX);
    sum = add_words(sum, (const void *)r3, (uint32_t)r4, 0);
    sum = (uint32_t)sum + (sum >> 32);
    return (uint32_t)(sum + (sum >> 32));
}
