// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The guard: a classifier on tc egress of every other Ethernet interface of the network namespace.
//
// Owns: the decision that no claim for a group's address leaves by an interface that is not the group's own. The
// kernel answers ARP for each of its addresses on every interface (ip-sysctl, arp_ignore); the gate is on one.
// Never does: open, latch or redirect anything, or judge a frame that claims nothing.
// On failure: an address of an owner that is not known is claimed by nobody.
//
// Whoever asks on another interface with a group's address as the sender asks without a sender, as an ARP probe
// does (RFC 5227, section 2.1.1): the question is answered as well, and teaches nobody.
//
// Frames of another VLAN are not looked at: the VLAN's own interface has a guard, and sees them before the tag.
// Verdicts: TC_ACT_UNSPEC lets other filters go on, TC_ACT_SHOT drops.

#define NO_GATE
#include "gate.bpf.h"

// The loader's file names it; the suffix changes with this file (see build.rs).
#ifndef GUARD_EGRESS
#define GUARD_EGRESS vipg
#endif

// The interface of some groups. Repeated in guard.rs.
struct owner {
    __u64 mac;   // its hardware address: six bytes in memory order, then two zero bytes
    __u32 home;  // its number; 0: it does not exist, and nobody may claim
    __u32 lower; // number of the interface that its frames leave through as they are (a macvlan's); 0: none
};

struct guarded {
    __u64 dropped;  // claims that did not leave
    __u64 nameless; // questions that left without their sender
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 256);
    __type(key, __u32);
    __type(value, struct owner);
} OWNERS SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct guarded);
} GUARDED SEC(".maps");

// max_entries of these two are set at load. Values are places in OWNERS.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u32);
    __type(value, __u32);
} GUARDED4 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct address6);
    __type(value, __u32);
} GUARDED6 SEC(".maps");

INLINE struct guarded *counts(void)
{
    __u32 zero = 0;

    return bpf_map_lookup_elem(&GUARDED, &zero);
}

// May a frame with this sender claim the address here? Only where its own gate has judged it: on the interface
// itself, and where that interface's frames pass through.
INLINE int may_claim(struct __sk_buff *skb, const __u32 *index, const __u8 *sender)
{
    __u32 at = *index;
    __u64 mac = 0;
    struct owner *owner = bpf_map_lookup_elem(&OWNERS, &at);

    if (!owner)
        return 0;
    __builtin_memcpy(&mac, sender, 6);
    return skb->ifindex == owner->home || (skb->ifindex == owner->lower && mac == owner->mac);
}

INLINE int refuse(void)
{
    struct guarded *all = counts();

    if (all)
        all->dropped += 1;
    return DROP;
}

INLINE int guard_arp(struct __sk_buff *skb, __u32 at)
{
    struct guarded *all = counts();
    struct arp arp;
    __u32 sender, target, none = 0;
    __u32 *index;

    // As gate.bpf.c has it: only these are read as Ethernet ARP.
    if (bpf_skb_load_bytes(skb, at, &arp, sizeof(arp)) || arp.protocol != TYPE_IPV4 || arp.hardware_length != 6 ||
        arp.protocol_length != 4)
        return PASS;
    __builtin_memcpy(&sender, arp.sender, 4);
    __builtin_memcpy(&target, arp.target, 4);
    index = bpf_map_lookup_elem(&GUARDED4, &sender);
    if (!index || may_claim(skb, index, arp.sender_mac))
        return PASS;
    if (arp.operation != BE16(1) || sender == target)
        return refuse();
    if (bpf_skb_store_bytes(skb, at + __builtin_offsetof(struct arp, sender), &none, 4, 0))
        return refuse();
    if (all)
        all->nameless += 1;
    return PASS;
}

INLINE int guard_ipv6(struct __sk_buff *skb, __u32 at)
{
    struct ipv6 ip;
    struct address6 target = {};
    __u32 transport = at + sizeof(ip);
    __u32 *index;
    __u8 mac[6], type;

    if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) || upper_protocol(skb, ip.next, &transport) != PROTO_ICMPV6)
        return PASS;
    type = discovery(skb, transport, &target);
    if (!type || bpf_skb_load_bytes(skb, 6, mac, 6))
        return PASS;
    // The receiver learns the source of each of these messages, and the target of the last two.
    index = bpf_map_lookup_elem(&GUARDED6, &ip.source);
    if (index && !may_claim(skb, index, mac))
        return refuse();
    if (type != ND_ADVERTISEMENT && type != ND_REDIRECT)
        return PASS;
    index = bpf_map_lookup_elem(&GUARDED6, &target);
    return index && !may_claim(skb, index, mac) ? refuse() : PASS;
}

SEC("classifier")
int GUARD_EGRESS(struct __sk_buff *skb)
{
    __u32 at = 0;
    __u16 type = network(skb, &at);

    if (type == TYPE_ARP)
        return guard_arp(skb, at);
    return type == TYPE_IPV6 ? guard_ipv6(skb, at) : PASS;
}

char guard_license[] SEC("license") = "Dual MIT/GPL";
