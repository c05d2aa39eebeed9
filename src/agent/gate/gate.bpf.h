// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What the programs share with the kernel and with the agent: helper functions, the gate's maps, how frames are read.
//
// Owns: layouts. The structs of LEASE, SLOTS and COUNTERS are repeated in handle.rs and object.rs; an agent adopts a
// running gate only if sizes and names are the same. Never does: decide anything. A frame that is too short to be
// what it says is nothing for either program.

#pragma once

#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#define SEC(name) __attribute__((section(name), used))
#define INLINE static __attribute__((always_inline))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BE16(x) ((__u16)__builtin_bswap16(x))
#else
#define BE16(x) ((__u16)(x))
#endif

// Helper numbers are kernel ABI (include/uapi/linux/bpf.h). All of these are in kernel 5.8.
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_skb_store_bytes)(struct __sk_buff *skb, __u32 off, const void *from, __u32 len,
                                   __u64 flags) = (void *)9;
static long (*bpf_l4_csum_replace)(struct __sk_buff *skb, __u32 off, __u64 from, __u64 to, __u64 flags) = (void *)11;
static long (*bpf_redirect)(__u32 ifindex, __u64 flags) = (void *)23;
static long (*bpf_skb_load_bytes)(const struct __sk_buff *skb, __u32 off, void *to, __u32 len) = (void *)26;
static __s64 (*bpf_csum_diff)(const void *from, __u32 from_size, const void *to, __u32 to_size,
                              __u32 seed) = (void *)28;
static long (*bpf_sk_release)(void *sock) = (void *)86;
static struct bpf_sock *(*bpf_skc_lookup_tcp)(void *ctx, struct bpf_sock_tuple *tuple, __u32 tuple_size,
                                              __u64 netns, __u64 flags) = (void *)99;
static __u64 (*bpf_ktime_get_boot_ns)(void) = (void *)125;

#define PASS TC_ACT_UNSPEC
#define DROP TC_ACT_SHOT

struct lease {
    __u64 until;      // ns of CLOCK_BOOTTIME; 0: closed
    __u64 generation; // which grant `until` belongs to; 0: none ever
    __u64 refused;    // the last generation that was found lapsed
    __u64 pad;
};

struct slot {
    __u64 answer_until;
    __u64 carry_until;
    __u64 forward_until;
    __u64 forward_mac; // six bytes in memory order, then two zero bytes; in slot 0, which forwards nothing, the
                       // sender of the agent's question to its own gate, 0: none
    __u64 key;         // the agent's: which group
    __u64 epoch;       // the agent's
    __u64 own[2];      // slot 0, which is nobody's: the server's own link-local address; 0: unknown
};

struct counters {
    __u64 answered;
    __u64 answers_refused;
    __u64 carried;
    __u64 carry_refused;
    __u64 claims_refused;
    __u64 forwarded;
};

struct address6 {
    __u64 half[2];
};

#ifndef NO_GATE
// max_entries of the last four are set at load.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, struct lease);
} LEASE SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 64);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, struct slot);
} SLOTS SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 64);
    __type(key, __u32);
    __type(value, struct counters);
} COUNTERS SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u32);
    __type(value, __u32);
} VIP4 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct address6);
    __type(value, __u32);
} VIP6 SEC(".maps");

// Slot of an address; null if it is not gated.
INLINE __u32 *find4(const __u32 *address)
{
    return bpf_map_lookup_elem(&VIP4, address);
}

INLINE __u32 *find6(const struct address6 *address)
{
    return bpf_map_lookup_elem(&VIP6, address);
}
#endif

#define ETH_HEADER 14
#define TYPE_ARP BE16(0x0806)
#define TYPE_IPV4 BE16(0x0800)
#define TYPE_IPV6 BE16(0x86dd)
#define TYPE_VLAN BE16(0x8100)
#define TYPE_QINQ BE16(0x88a8)
#define VID_MASK BE16(0x0fff)

#define PROTO_TCP 6
#define PROTO_ICMPV6 58

// RFC 4861 section 4
#define ND_ROUTER_SOLICITATION 133
#define ND_SOLICITATION 135
#define ND_ADVERTISEMENT 136
#define ND_REDIRECT 137

// More 802.1Q headers with VLAN 0 than this, or more IPv6 extension headers, are no honest frame.
#define MAX_TAGS 2
#define MAX_EXTENSIONS 8

struct arp {
    __u16 hardware;
    __u16 protocol;
    __u8 hardware_length;
    __u8 protocol_length;
    __u16 operation;
    __u8 sender_mac[6];
    __u8 sender[4];
    __u8 target_mac[6];
    __u8 target[4];
};

struct ipv4 {
    __u8 version_length;
    __u8 tos;
    __u16 length;
    __u16 id;
    __u16 fragment;
    __u8 ttl;
    __u8 protocol;
    __u16 checksum;
    __u32 source;
    __u32 destination;
};

struct ipv6 {
    __u32 flow;
    __u16 length;
    __u8 next;
    __u8 hop_limit;
    struct address6 source;
    struct address6 destination;
};

// The neighbour discovery part of an ICMPv6 message: its type (0: none) and target.
INLINE __u8 discovery(struct __sk_buff *skb, __u32 at, struct address6 *target)
{
    __u8 type;

    if (bpf_skb_load_bytes(skb, at, &type, 1) || type < ND_ROUTER_SOLICITATION || type > ND_REDIRECT)
        return 0;
    if (type >= ND_SOLICITATION && bpf_skb_load_bytes(skb, at + 8, target, 16))
        return 0;
    return type;
}

// Where the network header begins and what it is. 0: nothing for the gate (another VLAN, too short). 0xffff: a
// frame nobody sends in honesty.
// The Ethernet header is read from the frame and not from skb->protocol: a packet socket may claim anything there.
INLINE __u16 network(struct __sk_buff *skb, __u32 *at)
{
    struct {
        __u16 tci;
        __u16 type;
    } tag;
    __u16 type;

    if (skb->vlan_present && (skb->vlan_tci & 0xfff))
        return 0;
    if (bpf_skb_load_bytes(skb, ETH_HEADER - 2, &type, 2))
        return 0;
    *at = ETH_HEADER;
#pragma unroll
    for (int i = 0; i < MAX_TAGS; i++) {
        if (type != TYPE_VLAN && type != TYPE_QINQ)
            return type;
        if (bpf_skb_load_bytes(skb, *at, &tag, 4) || (tag.tci & VID_MASK))
            return 0;
        type = tag.type;
        *at += 4;
    }
    return type == TYPE_VLAN || type == TYPE_QINQ ? 0xffff : type;
}

// Walks the extension headers. Returns the upper protocol and sets `at` to it; 255 for "do not care" (a later
// fragment, ESP, truncated), 254 for too many.
INLINE __u8 upper_protocol(struct __sk_buff *skb, __u8 next, __u32 *at)
{
    struct {
        __u8 next;
        __u8 length;
        __u16 fragment;
    } extension;

#pragma unroll
    for (int i = 0; i < MAX_EXTENSIONS; i++) {
        if (next != 0 && next != 43 && next != 44 && next != 51 && next != 60 && next != 135)
            return next;
        if (bpf_skb_load_bytes(skb, *at, &extension, 4))
            return 255;
        if (next == 44) {
            if (extension.fragment & BE16(0xfff8))
                return 255;
            *at += 8;
        } else if (next == 51) {
            *at += ((__u32)extension.length + 2) * 4;
        } else {
            *at += ((__u32)extension.length + 1) * 8;
        }
        next = extension.next;
    }
    return 254;
}
