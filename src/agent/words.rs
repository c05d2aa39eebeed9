//! Makes sentences of the engine's plain facts.
//!
//! Owns: nothing but names. Never does: decide anything.

use crate::control::protocol::Severity;
use crate::engine::{Cause, Hook, HookEnd, Lacks, Notice, Outcome};
use crate::types::{Epoch, MacAddr, Vip};
use crate::wire::pulse::{Reason, Role};
use std::time::Duration;

mod alike;
mod names;

pub use names::Names;

/// A saying: an event for people and programs, before it has a time and a number.
pub struct Saying {
    /// Weight of the event in the log.
    pub severity: Severity,
    /// Word for the kind of event, for programs.
    pub kind: &'static str,
    /// Name of the group that the event is about; `None` if it is about no single one.
    pub group: Option<String>,
    /// Sentence for people.
    pub text: String,
    /// Further values for programs, by name.
    pub fields: Vec<(&'static str, String)>,
}

/// A saying about no single group, without fields.
fn saying(severity: Severity, kind: &'static str, text: String) -> Saying {
    Saying { severity, kind, group: None, text, fields: Vec::new() }
}

/// Word for a role.
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Starting => "starting",
        Role::Standby => "standby",
        Role::Active => "active",
        Role::Handover => "handover",
        Role::Fault => "fault",
        Role::Paused => "paused",
        Role::Witness => "witness",
    }
}

/// Reason of a change of role, as the end of a sentence for people.
fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Adopted => "the gate of an earlier run of this agent is still open and its lease has not ended",
        Cause::Heard => "listening is over",
        Cause::Free => "nobody was active",
        Cause::Silence => "the peer is silent on every link",
        Cause::Handover => "handed over in order",
        Cause::Operator => "asked for",
        Cause::Interface => "the interface is missing, or has no carrier, gate or address",
        Cause::Mended => "the interface is well again",
        Cause::Lapsed => "the lease ran out before it was renewed: the agent was stopped or starved",
        Cause::NoMajority => "no majority of votes let it stay active any longer",
        Cause::HigherEpoch => "another node is or was active with a higher epoch",
        Cause::Unheard => "the peer cannot hear us and is taking over",
        Cause::Stopping => "the agent is stopping",
        Cause::Pause => "the operator's pause",
        Cause::Removed => "the group was removed from the configuration",
        Cause::Health => "the service does worse here than on the other node",
        Cause::Lacks => "this node lacks something for it that the other node has",
        Cause::SameNumber => "another machine with this node's number is active and goes on",
    }
}

/// Word for a cause, for programs.
pub fn cause_word(cause: Cause) -> &'static str {
    match cause {
        Cause::Adopted => "adopted",
        Cause::Heard => "heard",
        Cause::Free => "free",
        Cause::Silence => "silence",
        Cause::Handover => "handover",
        Cause::Operator => "operator",
        Cause::Interface => "interface",
        Cause::Mended => "mended",
        Cause::Lapsed => "lapsed",
        Cause::NoMajority => "no_majority",
        Cause::HigherEpoch => "higher_epoch",
        Cause::Unheard => "unheard",
        Cause::Stopping => "stopping",
        Cause::Pause => "pause",
        Cause::Removed => "removed",
        Cause::Health => "health",
        Cause::Lacks => "lacks",
        Cause::SameNumber => "same_number",
    }
}

/// Sentence on why a node is not ready, and what would make it so.
pub fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::None => "",
        Reason::NoInterface => "the interface does not exist",
        Reason::NoCarrier => "the interface is down or has no carrier",
        Reason::NoGate => "the gate is not installed (see the agent's log)",
        Reason::NoAddresses => "none of the group's addresses is in place (see the agent's log)",
        Reason::NoReservation => "no epoch is reserved: the state directory cannot be written",
        Reason::StateDamaged => {
            "the state files are damaged; waiting for the peer to tell the latest epoch \
             (if there is no peer any more: stop the agent, remove state.a and state.b, start it)"
        }
        Reason::Isolated => "isolated: nobody is heard on the clients' segment although neighbours are known",
        Reason::Paused => "paused by the operator (vipair resume GROUP ends it)",
        Reason::Listening => "listening after the start",
        Reason::Stopping => "the agent is stopping",
        Reason::Unhealthy => "unhealthy: its service does not pass its checks",
        Reason::Hook => "what is run before opening has failed; it is tried again after ten seconds",
        Reason::Incomplete => "incomplete: some of the group's addresses are missing (see the agent's log)",
        Reason::Mute => "mute: the kernel would not answer a client's question for the address (see the agent's log)",
        Reason::NoWayBack => "no way back: a route by which clients were reached has gone (see the agent's log)",
        Reason::Unreached => "unreached: nobody on the clients' segment is heard any more",
        Reason::SameNumber => {
            "another machine uses this node's number: the files list the nodes in another order, \
             or one of both was started with a wrong --node"
        }
        Reason::SameMac => {
            "the other node has the same hardware address on the interface: one server is a copy of the other; \
             give one of them its own"
        }
        Reason::Enslaved => "the interface is a port of a bridge or bond, which takes its frames",
    }
}

/// Sentence on a service's health: 0 well, 255 vetoed, the weight of what fails between.
pub fn health(health: u8) -> String {
    match health {
        0 => "the service answers its checks".to_owned(),
        u8::MAX => "the service does not answer its checks".to_owned(),
        weight => format!("checks of the service with weight {weight} fail"),
    }
}

/// Sentence on whether any address of a group is in place.
pub fn addresses(there: bool) -> &'static str {
    if there { "its addresses are in place" } else { "none of its addresses is in place" }
}

/// Sentence on what a node lacks for a group.
pub fn lacks(lacks: Lacks) -> &'static str {
    if lacks.is_empty() { "nothing is lacking" } else { reason(lacks.reason()) }
}

/// Name of a hook, as the configuration has it.
pub fn hook(hook: Hook) -> &'static str {
    match hook {
        Hook::BeforeOpen => "before_open",
        Hook::BeforeClose => "before_close",
    }
}

/// Answer to a command: whether it succeeded, and a sentence.
pub fn outcome(outcome: Outcome) -> (bool, String) {
    match outcome {
        Outcome::Done => (true, "done".to_owned()),
        Outcome::AlreadySo => (true, "it already is so".to_owned()),
        Outcome::NoPeer => (false, "the other node is not heard; nothing was changed".to_owned()),
        Outcome::PeerNotReady(why) => (false, format!("the other node is not ready: {}", reason(why))),
        Outcome::NotReady(why) => (false, format!("this node is not ready: {}", reason(why))),
        Outcome::TimedOut => (false, "the other node did not take it in time; see vipair status".to_owned()),
        Outcome::Removed => (false, "the group was removed from the configuration meanwhile".to_owned()),
        Outcome::Busy => (false, "another command for this group is under way, or the agent is stopping".to_owned()),
    }
}

/// What people are told of a notice of the engine.
pub fn notice(names: &Names, notice: &Notice) -> Saying {
    match *notice {
        Notice::Role { group, from, to, epoch, cause, silence } => {
            role_change(names.group(group), (from, to), epoch, (cause, silence))
        }
        Notice::Conflict { group, peer, epoch, won } => conflict(names.group(group), names.node(peer), epoch, won),
        Notice::Stranger { group, address, mac } => stranger(names.group(group), address, mac),
        Notice::PeerUp { peer } => saying(Severity::Info, "peer_up", format!("{} is heard", names.node(peer))),
        Notice::PeerSilent { peer, silence } => {
            let text =
                format!("{} is silent on every link for {:.1} ms", names.node(peer), silence.as_secs_f64() * 1e3);
            saying(Severity::Warning, "peer_silent", text)
        }
        Notice::PeerLeft { peer } => {
            saying(Severity::Info, "peer_left", format!("{} said goodbye", names.node(peer)))
        }
        Notice::Link { link, heard: true } => {
            saying(Severity::Info, "link_up", format!("{} is heard", names.link(link)))
        }
        Notice::Link { link, heard: false } => {
            saying(Severity::Warning, "link_silent", format!("{} is silent", names.link(link)))
        }
        Notice::Veto { interface, mac } => veto(names.interface(interface), mac),
        Notice::StillAnswered { group, mac } => still_answered(names.group(group), mac),
        Notice::Isolated { interface } => isolated(names.interface(interface)),
        Notice::Reach { interface, reached } => reach(names.interface(interface), reached),
        Notice::LeaseLapsed { interface } => saying(
            Severity::Error,
            "lapsed",
            format!(
                "the lease on {} ran out before it was renewed; its groups are closed",
                names.interface(interface)
            ),
        ),
        Notice::NoMajority { interface } => saying(
            Severity::Error,
            "no_majority",
            format!("no majority of votes was renewed for {}; its groups are closed", names.interface(interface)),
        ),
        Notice::WitnessLost { .. } | Notice::WitnessHeard { .. } | Notice::Alone { .. } => {
            of_witnesses(names, notice)
        }
        Notice::SameNumber { link } => alike::same_number(names, link),
        Notice::SameMac { peer, interface } => alike::same_mac(names, peer, interface),
        Notice::TooLarge { link, bytes } => alike::too_large(names, link, bytes),
        Notice::Differs { peer, differs } => self::differs(names.node(peer), differs),
        Notice::StoreFailed => saying(
            Severity::Error,
            "store_failed",
            "the state directory cannot be written; one takeover is still possible, then this node is not ready"
                .to_owned(),
        ),
        Notice::StoreMended => {
            saying(Severity::Info, "store_mended", "the state directory can be written again".to_owned())
        }
        Notice::Unrest { group, pause } => unrest(names.group(group), pause),
        Notice::Hook { group, hook, epoch, end } => hook_ended(names.group(group), self::hook(hook), epoch, end),
        Notice::Stalled { stall } => saying(
            Severity::Warning,
            "stalled",
            format!("the agent did not run for {:.0} ms; silence is counted anew", stall.as_secs_f64() * 1e3),
        ),
    }
}

/// What people are told of a notice on witnesses; any other notice counts as "votes decide again".
fn of_witnesses(names: &Names, notice: &Notice) -> Saying {
    match *notice {
        Notice::WitnessLost { witness, silence } => {
            let (name, span) = (names.node(witness), silence.as_secs_f64() * 1e3);
            let text = format!("{name} is not heard for {span:.0} ms: its vote is missing when a node fails now");
            saying(Severity::Error, "witness_lost", text)
        }
        Notice::WitnessHeard { witness } => {
            saying(Severity::Info, "witness_heard", format!("{} is heard", names.node(witness)))
        }
        Notice::Alone { alone: true } => saying(
            Severity::Error,
            "alone",
            "no majority of the witnesses is heard: the pair decides alone (strict = false)".to_owned(),
        ),
        _ => saying(Severity::Info, "voted", "the witnesses are heard: votes decide again".to_owned()),
    }
}

/// What people are told when a takeover waits because the address is still answered.
fn veto(interface: &str, mac: MacAddr) -> Saying {
    let text = format!("not taking over on {interface}: {mac} still answers for the address");
    saying(Severity::Warning, "veto", text)
}

/// What people are told when an address is taken over that somebody still answers for.
fn still_answered(group: &str, mac: MacAddr) -> Saying {
    let text = format!("{group}: taken over although {mac} still answers for its address: clients may reach either");
    saying(Severity::Error, "still_answered", text)
}

/// What people are told when a takeover waits because nobody is heard on the clients' segment.
fn isolated(interface: &str) -> Saying {
    let text = format!("not taking over on {interface}: nobody is heard on the clients' segment");
    saying(Severity::Error, "isolated", text)
}

/// What people are told when nobody on the segment of `interface` is reached, or somebody is again.
fn reach(interface: &str, reached: bool) -> Saying {
    if reached {
        saying(Severity::Info, "reached", format!("{interface}: the clients' segment is heard again"))
    } else {
        let text = format!("{interface}: nobody on the clients' segment is heard any more, whoever is asked");
        saying(Severity::Error, "unreached", text)
    }
}

/// What people are told when the configuration of `peer` begins or ceases to differ from ours.
fn differs(peer: &str, differs: bool) -> Saying {
    if differs {
        let text = format!("the configuration of {peer} differs from ours (vipair status tells the fields)");
        saying(Severity::Warning, "differs", text)
    } else {
        saying(Severity::Info, "differs", format!("the configuration of {peer} is like ours again"))
    }
}

/// What people are told of a change of role. A move that nobody planned is a warning. `silence` is
/// how long the peer had been silent; zero is not told.
fn role_change(name: &str, (from, to): (Role, Role), epoch: Epoch, (why, silence): (Cause, Duration)) -> Saying {
    let bad = matches!(
        why,
        Cause::Silence
            | Cause::Interface
            | Cause::Lapsed
            | Cause::NoMajority
            | Cause::HigherEpoch
            | Cause::Unheard
            | Cause::SameNumber
    );
    let severity = if bad { Severity::Warning } else { Severity::Info };
    let kind = match (to, why) {
        (Role::Active, Cause::Silence) => "takeover",
        (Role::Active, _) => "active",
        (Role::Handover, _) => "handover",
        (Role::Fault, _) => "fault",
        (Role::Paused, _) => "paused",
        (Role::Standby | Role::Starting | Role::Witness, _) => "standby",
    };
    let mut text = format!("{name}: {} → {} (epoch {epoch}): {}", role(from), role(to), cause(why));
    if !silence.is_zero() {
        text.push_str(&format!("; silent for {:.1} ms", silence.as_secs_f64() * 1e3));
    }
    let mut event = saying(severity, kind, text);
    event.fields = vec![("role", role(to).to_owned()), ("epoch", epoch.0.to_string())];
    event.group = Some(name.to_owned());
    event
}

/// What people are told of a group that its fault follows.
fn unrest(name: &str, pause: Duration) -> Saying {
    let text = format!(
        "{name} was moved for its health again and again: the fault follows it. This node keeps it for {:.1} s \
         the next time, and twice as long after each further move",
        pause.as_secs_f64()
    );
    Saying { group: Some(name.to_owned()), ..saying(Severity::Error, "unrest", text) }
}

/// What people are told of a hook that failed, ended too late, or ended for a move that no longer
/// takes place.
fn hook_ended(name: &str, hook: &str, epoch: Epoch, end: HookEnd) -> Saying {
    let (severity, what) = match end {
        HookEnd::Failed => (Severity::Error, "failed: nothing is moved"),
        HookEnd::Late => (Severity::Error, "did not end in time: nothing is moved"),
        HookEnd::Unused => (Severity::Warning, "ended well, and meanwhile the group does not move any more"),
    };
    let mut event = saying(severity, "hook", format!("{name}: {hook} for epoch {epoch} {what}"));
    event.group = Some(name.to_owned());
    event.fields = vec![("hook", hook.to_owned()), ("epoch", epoch.0.to_string())];
    event
}

/// What people are told when `peer` is active as well. `won`: whether this node goes on.
fn conflict(name: &str, peer: &str, epoch: Epoch, won: bool) -> Saying {
    let what = if won { "we go on and announce again" } else { "we have closed" };
    let text = format!("{name}: {peer} is active as well, with epoch {epoch}; {what}");
    Saying { group: Some(name.to_owned()), ..saying(Severity::Error, "conflict", text) }
}

/// What people are told when a host outside the cluster claims an address of a group.
fn stranger(name: &str, address: Vip, mac: MacAddr) -> Saying {
    let text = format!("{name}: {mac} claims {address} and is no node of this cluster; announced again in defence");
    let mut event = saying(Severity::Error, "stranger", text);
    event.group = Some(name.to_owned());
    event.fields = vec![("address", address.to_string()), ("mac", mac.to_string())];
    event
}
