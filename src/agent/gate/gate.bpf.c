// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The gate: two classifiers, one on tc ingress and one on tc egress of a client interface.
//
// Owns: the decision, frame by frame, whether this node may answer for or carry a group's address.
// Never does: change that decision by itself, with one exception: it latches a lapsed lease (below). It never
// opens anything; only a store by the agent does.
// On failure: everything reads as zero, and zero means closed. When the agent is gone, the deadlines in the maps
// pass and the frames are dropped from then on.
//
// A group answers (ARP, neighbour discovery) iff   now < lease.until  &&  lease.refused != lease.generation
//                                              &&  now < slot.answer_until
// and carries (IP) iff the same holds with slot.carry_until. `now` is CLOCK_BOOTTIME.
//
// The latch: when a request for a group that is nominally open (now < slot.answer_until) finds the lease lapsed,
// the program writes refused = generation. That generation never opens again, also if an agent that was stopped
// wakes up and stores a later deadline: whoever asked and got no answer may rely on it.
//
// Verdicts: TC_ACT_UNSPEC lets other filters go on, TC_ACT_SHOT drops.

#include "gate.bpf.h"

// The loader's file names these two; the suffix changes with this file (see build.rs).
#ifndef GATE_INGRESS
#define GATE_INGRESS vip_in
#define GATE_EGRESS vip_eg
#endif

enum test { ANSWER, CARRY };

// What the gate says about one address of a frame.
struct gate {
    __u64 now;
    struct slot *slot;
    struct counters *counters;
    int open;
};

// The one place that decides. `request` is set for a question that an open gate would let the kernel answer:
// only such a question can latch.
INLINE void judge(struct gate *gate, const __u32 *index, enum test test, int request)
{
    __u32 zero = 0, at = *index;
    struct lease *lease = bpf_map_lookup_elem(&LEASE, &zero);

    gate->open = 0;
    gate->slot = bpf_map_lookup_elem(&SLOTS, &at);
    gate->counters = bpf_map_lookup_elem(&COUNTERS, &at);
    gate->now = bpf_ktime_get_boot_ns();
    if (!lease || !gate->slot || !gate->counters)
        return;

    // The generation is read before the deadline: an agent that begins a new one stores until = 0 first, so a
    // deadline is never blamed on a later generation than its own.
    __u64 generation = *(volatile __u64 *)&lease->generation;
    __u64 until = *(volatile __u64 *)&lease->until;
    __u64 nominal = test == ANSWER ? *(volatile __u64 *)&gate->slot->answer_until
                                   : *(volatile __u64 *)&gate->slot->carry_until;

    if (gate->now >= nominal)
        return;
    if (gate->now >= until) {
        if (request && until != 0)
            *(volatile __u64 *)&lease->refused = generation;
        return;
    }
    if (*(volatile __u64 *)&lease->refused == generation)
        return;
    gate->open = 1;
}

INLINE int verdict(struct gate *gate, __u64 *passed, __u64 *refused)
{
    if (gate->open) {
        if (passed)
            *passed += 1;
        return PASS;
    }
    if (refused)
        *refused += 1;
    return DROP;
}

INLINE int answer_in(const __u32 *index, int request)
{
    struct gate gate;

    judge(&gate, index, ANSWER, request);
    if (!gate.counters)
        return DROP;
    return request ? verdict(&gate, &gate.counters->answered, &gate.counters->answers_refused)
                   : verdict(&gate, 0, 0);
}

INLINE int claim_out(const __u32 *index)
{
    struct gate gate;

    judge(&gate, index, ANSWER, 0);
    return gate.counters ? verdict(&gate, 0, &gate.counters->claims_refused) : DROP;
}

INLINE int carry(const __u32 *index)
{
    struct gate gate;

    judge(&gate, index, CARRY, 0);
    return gate.counters ? verdict(&gate, &gate.counters->carried, &gate.counters->carry_refused) : DROP;
}

#include "question.bpf.h" // decides by judge() and verdict()

// Is there a socket here that wants this segment? A listener alone does not: the segment is no SYN. TIME_WAIT
// does: the connection was ours. A request socket (handshake under way) does.
INLINE int wanted_here(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 size)
{
    struct bpf_sock *sock = bpf_skc_lookup_tcp(skb, tuple, size, BPF_F_CURRENT_NETNS, 0);
    int wanted = 0;

    if (sock) {
        wanted = sock->state != BPF_TCP_LISTEN;
        bpf_sk_release(sock);
    }
    return wanted;
}

INLINE int tcp_syn_only(struct __sk_buff *skb, __u32 at)
{
    __u8 flags;

    if (bpf_skb_load_bytes(skb, at + 13, &flags, 1))
        return 1;
    return (flags & 0x12) == 0x02; // SYN without ACK
}

// Sends the frame on to the node that had the group before: same interface, new link-layer addresses.
INLINE int forward(struct __sk_buff *skb, struct gate *gate)
{
    struct {
        __u8 destination[6];
        __u8 source[6];
    } eth;
    __u64 to = gate->slot->forward_mac;
    __u64 from = 0;

    if (bpf_skb_load_bytes(skb, 0, &eth, 12))
        return verdict(gate, &gate->counters->carried, 0);
    __builtin_memcpy(&from, eth.source, 6);
    if (from == to)
        return verdict(gate, &gate->counters->carried, 0); // what the other node sent us never goes back: no loop
    __builtin_memcpy(eth.source, eth.destination, 6);
    __builtin_memcpy(eth.destination, &to, 6);
    if (bpf_skb_store_bytes(skb, 0, &eth, 12, 0))
        return verdict(gate, &gate->counters->carried, 0);
    gate->counters->forwarded += 1;
    return bpf_redirect(skb->ifindex, 0);
}

// Forwarding is for the moments after a handover, for a group that answers here, for frames sent to us (not to
// someone else and seen only because the interface is promiscuous).
INLINE int may_forward(struct __sk_buff *skb, struct gate *gate)
{
    return gate->open && gate->now < *(volatile __u64 *)&gate->slot->forward_until && gate->slot->forward_mac != 0 &&
           gate->now < *(volatile __u64 *)&gate->slot->answer_until && skb->pkt_type == 0;
}

// The agent asks its own gate, after installing it, for an address of slot 0, which is never open (proof.rs). The
// question does not leave: it comes in again on the same interface, where a gate drops and counts it.
INLINE int asks_itself(const struct arp *arp)
{
    __u32 zero = 0, target;
    __u64 from = 0;
    __u32 *index;
    struct slot *slot = bpf_map_lookup_elem(&SLOTS, &zero);

    __builtin_memcpy(&from, arp->sender_mac, 6);
    if (!slot || from == 0 || *(volatile __u64 *)&slot->forward_mac != from)
        return 0;
    __builtin_memcpy(&target, arp->target, 4);
    index = find4(&target);
    return index && *index == 0;
}

INLINE int arp(struct __sk_buff *skb, __u32 at, int egress)
{
    struct arp arp;
    __u32 sender, target;
    __u32 *index;
    int request;

    if (bpf_skb_load_bytes(skb, at, &arp, sizeof(arp)))
        return PASS;
    // net/ipv4/arp.c, arp_rcv(): whatever the hardware type says, only these are read as Ethernet ARP.
    if (arp.protocol != TYPE_IPV4 || arp.hardware_length != 6 || arp.protocol_length != 4)
        return PASS;
    __builtin_memcpy(&sender, arp.sender, 4);
    __builtin_memcpy(&target, arp.target, 4);
    index = find4(&sender);
    if (egress && !index) // a probe has sender 0.0.0.0 and passes
        return asks_itself(&arp) ? bpf_redirect(skb->ifindex, BPF_F_INGRESS) : PASS;
    if (egress)
        return claim_out(index);
    request = arp.operation == BE16(1);
    // A frame may name two groups; both must be open. The target first: it is the one that latches.
    __u32 *asked = find4(&target);
    if (asked) {
        int said = answer_in(asked, request);
        if (said != PASS || !index || sender == target)
            return said;
    }
    return index ? answer_in(index, 0) : PASS;
}

INLINE int ipv4(struct __sk_buff *skb, __u32 at, int egress)
{
    struct ipv4 ip;
    struct bpf_sock_tuple tuple = {};
    struct gate gate;
    __u32 *index;
    __u32 transport;

    if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)))
        return PASS;
    if (egress) {
        index = find4(&ip.source);
        return index ? carry(index) : PASS;
    }
    index = find4(&ip.destination);
    if (!index)
        return PASS;
    judge(&gate, index, CARRY, 0);
    if (!gate.counters)
        return DROP;
    if (!may_forward(skb, &gate) || ip.protocol != PROTO_TCP || (ip.fragment & BE16(0x3fff)))
        return verdict(&gate, &gate.counters->carried, &gate.counters->carry_refused);
    transport = at + (ip.version_length & 0xf) * 4;
    if (tcp_syn_only(skb, transport) || bpf_skb_load_bytes(skb, transport, &tuple.ipv4.sport, 4))
        return verdict(&gate, &gate.counters->carried, 0);
    tuple.ipv4.saddr = ip.source;
    tuple.ipv4.daddr = ip.destination;
    if (wanted_here(skb, &tuple, sizeof(tuple.ipv4)))
        return verdict(&gate, &gate.counters->carried, 0);
    return forward(skb, &gate);
}

INLINE int discovery_in(const struct ipv6 *ip, __u8 type, const struct address6 *target)
{
    __u32 *asked = type >= ND_SOLICITATION ? find6(target) : 0;
    __u32 *index = find6(&ip->source);

    if (!asked && !index)
        index = find6(&ip->destination);
    // As in arp(): every group a frame names must be open, and the target is the one that latches.
    if (asked) {
        int said = answer_in(asked, type == ND_SOLICITATION);
        if (said != PASS)
            return said;
    }
    return index ? answer_in(index, 0) : PASS;
}

INLINE int discovery_out(struct __sk_buff *skb, __u32 at, __u32 transport, const struct ipv6 *ip, __u8 type,
                         const struct address6 *target)
{
    __u32 *index = find6(&ip->source);

    // A source address is a claim: the receiver learns it. A solicitation *for* the address from another source,
    // or from none, is a question and passes.
    if (index && (type == ND_SOLICITATION || type == ND_ROUTER_SOLICITATION))
        return question_out(skb, at, transport, ip, index);
    if (!index && (type == ND_ADVERTISEMENT || type == ND_REDIRECT))
        index = find6(target);
    return index ? claim_out(index) : PASS;
}

INLINE int ipv6(struct __sk_buff *skb, __u32 at, int egress)
{
    struct ipv6 ip;
    struct address6 target = {};
    struct bpf_sock_tuple tuple = {};
    struct gate gate;
    __u32 transport = at + sizeof(ip);
    __u32 *index;
    __u8 protocol, type;

    if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)))
        return PASS;
    protocol = upper_protocol(skb, ip.next, &transport);
    if (protocol == 254)
        return DROP;
    if (protocol == PROTO_ICMPV6) {
        type = discovery(skb, transport, &target);
        if (type)
            return egress ? discovery_out(skb, at, transport, &ip, type, &target) : discovery_in(&ip, type, &target);
    }
    index = find6(egress ? &ip.source : &ip.destination);
    if (!index)
        return PASS;
    if (egress && protocol == PROTO_ICMPV6 && is_membership(skb, transport))
        return question_out(skb, at, transport, &ip, index);
    if (egress)
        return carry(index);
    judge(&gate, index, CARRY, 0);
    if (!gate.counters)
        return DROP;
    if (!may_forward(skb, &gate) || ip.next != PROTO_TCP || tcp_syn_only(skb, transport) ||
        bpf_skb_load_bytes(skb, transport, &tuple.ipv6.sport, 4))
        return verdict(&gate, &gate.counters->carried, &gate.counters->carry_refused);
    __builtin_memcpy(tuple.ipv6.saddr, &ip.source, 16);
    __builtin_memcpy(tuple.ipv6.daddr, &ip.destination, 16);
    if (wanted_here(skb, &tuple, sizeof(tuple.ipv6)))
        return verdict(&gate, &gate.counters->carried, 0);
    return forward(skb, &gate);
}

INLINE int gate(struct __sk_buff *skb, int egress)
{
    __u32 at = 0;
    __u16 type = network(skb, &at);

    if (type == TYPE_IPV4)
        return ipv4(skb, at, egress);
    if (type == TYPE_IPV6)
        return ipv6(skb, at, egress);
    if (type == TYPE_ARP)
        return arp(skb, at, egress);
    return type == 0xffff ? DROP : PASS;
}

SEC("classifier")
int GATE_INGRESS(struct __sk_buff *skb)
{
    return gate(skb, 0);
}

SEC("classifier")
int GATE_EGRESS(struct __sk_buff *skb)
{
    return gate(skb, 1);
}

char gate_license[] SEC("license") = "Dual MIT/GPL";
