// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Questions that the kernel asks for the whole server, asked in the server's own name.
//
// A packet from a group's address that waits for a neighbour makes the kernel solicit that neighbour with the address
// as the source, and whatever else the server sends to the neighbour waits for the same answer. A closed group may not
// claim its address, so the source is replaced by the server's own link-local address: the answer serves all. The
// kernel has no setting for this; for IPv4 it has one (arp_announce), which the agent sets.
//
// Owns: slot 0's `own`, as the program reads it. Never does: let a claim pass. On failure, and where the server has no
// usable link-local address, the question is dropped as a claim.

#pragma once

// RFC 2710, RFC 3810: what a listener reports.
#define MLD_REPORT 131
#define MLD_DONE 132
#define MLD_REPORT_V2 143

// The pseudo-header's source is part of the checksum (RFC 4443 section 2.3).
INLINE int ask_as_server(struct __sk_buff *skb, __u32 at, __u32 transport, const struct address6 *claimed)
{
    struct address6 own;
    __u32 nobody = 0;
    struct slot *slot = bpf_map_lookup_elem(&SLOTS, &nobody);

    if (!slot)
        return 0;
    own.half[0] = *(volatile __u64 *)&slot->own[0];
    own.half[1] = *(volatile __u64 *)&slot->own[1];
    if (own.half[0] == 0)
        return 0;
    __s64 change = bpf_csum_diff(claimed, 16, &own, 16, 0);
    return bpf_l4_csum_replace(skb, transport + 2, 0, change, BPF_F_PSEUDO_HDR) == 0 &&
           bpf_skb_store_bytes(skb, at + __builtin_offsetof(struct ipv6, source), &own, 16, 0) == 0;
}

// Whether an ICMPv6 message reports which multicast groups the server listens to.
INLINE int is_membership(struct __sk_buff *skb, __u32 transport)
{
    __u8 type;

    if (bpf_skb_load_bytes(skb, transport, &type, 1))
        return 0;
    return type == MLD_REPORT || type == MLD_DONE || type == MLD_REPORT_V2;
}

// A solicitation or report of the kernel whose source is a group's address.
INLINE int question_out(struct __sk_buff *skb, __u32 at, __u32 transport, const struct ipv6 *ip, const __u32 *index)
{
    struct gate gate;

    judge(&gate, index, ANSWER, 0);
    if (!gate.counters)
        return DROP;
    if (!gate.open && ask_as_server(skb, at, transport, &ip->source))
        return PASS;
    return verdict(&gate, 0, &gate.counters->claims_refused);
}
