//! Findings about the kernel and this process's privileges.

use super::{Finding, Roots};

/// The first kernel with `bpf_ktime_get_boot_ns`, the clock of the gate.
const OLDEST_KERNEL: (u32, u32) = (5, 8);

/// Capabilities that the agent needs: name, bit in linux/capability.h, purpose, and whether nothing
/// works without it.
const CAPABILITIES: [(&str, u32, &str, bool); 6] = [
    ("CAP_NET_ADMIN", 12, "to install the gate and add addresses", true),
    ("CAP_NET_RAW", 13, "to probe and announce", true),
    ("CAP_BPF", 39, "to load the gate's program", true),
    ("CAP_PERFMON", 38, "to load the gate's program", true),
    ("CAP_SYS_NICE", 23, "for SCHED_FIFO: without it a busy machine delays pulses", false),
    ("CAP_IPC_LOCK", 14, "to lock memory: without it a swapping machine delays pulses", false),
];
/// Bit of CAP_SYS_ADMIN, which contains CAP_BPF and CAP_PERFMON.
const SYS_ADMIN: u32 = 21;

/// Findings about this machine.
pub(super) fn examine(roots: &Roots) -> Vec<Finding> {
    let mut findings = vec![kernel(roots)];
    findings.extend(capabilities(roots));
    findings.extend(missing_jit(roots));
    findings.extend(no_real_time(roots));
    findings
}

/// The finding whether the kernel is new enough.
fn kernel(roots: &Roots) -> Finding {
    let release = roots.proc("sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let version = match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => return Finding::warn(format!("kernel \"{release}\" is of unknown version"), "it must be 5.8 or newer"),
    };
    if version < OLDEST_KERNEL {
        let text = format!("kernel {release} is too old: the gate needs bpf_ktime_get_boot_ns");
        return Finding::fail(text, "run Linux 5.8 or newer");
    }
    Finding::ok(format!("kernel {release}"))
}

/// Capabilities that are missing, or that none is.
fn capabilities(roots: &Roots) -> Vec<Finding> {
    let status = std::fs::read_to_string(roots.proc.join("self/status")).unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let Some(effective) = effective else {
        return vec![Finding::warn("cannot read this process's capabilities", "is /proc mounted?")];
    };
    let has = |bit: u32| effective & (1 << bit) != 0;
    let remedy = "run as root; in a container or unit, grant it";
    let missing: Vec<Finding> = CAPABILITIES
        .iter()
        .filter(|(name, bit, _, _)| {
            let contained = has(SYS_ADMIN) && matches!(*name, "CAP_BPF" | "CAP_PERFMON");
            let unlimited = *name == "CAP_IPC_LOCK" && may_lock_everything(roots);
            !(has(*bit) || contained || unlimited)
        })
        .map(|(name, _, purpose, needed)| {
            let text = format!("no {name}, {purpose}");
            if *needed { Finding::fail(text, remedy) } else { Finding::warn(text, remedy) }
        })
        .collect();
    if missing.is_empty() { vec![Finding::ok("all capabilities the agent needs")] } else { missing }
}

/// Whether there is no limit on locked memory: then CAP_IPC_LOCK is not needed (mm/mlock.c,
/// mlockall).
fn may_lock_everything(roots: &Roots) -> bool {
    let limits = std::fs::read_to_string(roots.proc.join("self/limits")).unwrap_or_default();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"));
    limit.is_some_and(|limit| limit.trim_start().starts_with("unlimited"))
}

/// A finding if BPF programs are interpreted.
fn missing_jit(roots: &Roots) -> Option<Finding> {
    let off = roots.proc("sys/net/core/bpf_jit_enable")? == "0";
    off.then(|| {
        let remedy = "sysctl net.core.bpf_jit_enable=1";
        Finding::warn("BPF programs are interpreted: every frame of a client interface costs more", remedy)
    })
}

/// A finding if the kernel gives real-time threads no time.
fn no_real_time(roots: &Roots) -> Option<Finding> {
    let none = roots.proc("sys/kernel/sched_rt_runtime_us")? == "0";
    none.then(|| {
        let remedy = "sysctl kernel.sched_rt_runtime_us=950000";
        Finding::warn("the kernel gives real-time threads no time: a busy machine delays pulses", remedy)
    })
}
