//! Errors of a gate.
//!
//! Owns: their texts. Never does: open anything; a system failure carries operation, object and
//! cause.

use std::io;

/// The kernel's own error for what it does not support; no name of it leaves the kernel.
const ENOTSUPP: i32 = 524;
/// What ENOTSUPP means for a program that the verifier has let through, and what helps.
const NO_JIT: &str = " (the kernel had no room to translate the program: raise net.core.bpf_jit_limit, or set net.core.bpf_jit_enable=1)";

/// Error of installing, reading or changing a gate. After each of them the gate in the kernel is
/// closed or as it was before the call; a caller that is unsure must treat the node as not owning
/// the addresses.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The running kernel lacks what the program needs. No retry helps.
    #[error("kernel {found} is too old for the gate: it needs 5.8 or later (bpf_ktime_get_boot_ns)")]
    KernelTooOld {
        /// Release of the kernel, as `uname -r` prints it.
        found: String,
    },
    /// The process lives in a time namespace with an offset: its deadlines would not be the
    /// kernel's. No retry helps.
    #[error("this process runs in a time namespace whose boot time differs from the host's; start it outside of it")]
    TimeNamespace,
    /// A capability is missing.
    #[error("{operation} on {object}: not permitted; the gate needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    NotPermitted {
        /// Operation that was refused, such as `attach gate`.
        operation: &'static str,
        /// Object of the operation: an interface, a map, an address.
        object: String,
    },
    /// The interface carries no Ethernet frames.
    #[error("interface {interface} is no Ethernet device (hardware type {hardware}): a gate cannot guard it")]
    NotEthernet {
        /// Name of the interface.
        interface: String,
        /// Hardware type: an ARPHRD_ value of `<linux/if_arp.h>`.
        hardware: u16,
    },
    /// The gate cannot be the first to decide. Worth a retry after the interface has changed.
    #[error("the gate on {interface} is not the first to decide: {cause}")]
    Place {
        /// Name of the interface.
        interface: String,
        /// What stands in its way.
        cause: String,
    },
    /// The gate is attached, and does not stop what it must. Worth a retry after the interface has
    /// changed.
    #[error("the gate on {interface} does not work: {cause}")]
    Unproven {
        /// Name of the interface.
        interface: String,
        /// What was tried, and what came of it.
        cause: String,
    },
    /// A system call or netlink request failed. Worth a retry after the interface has changed.
    #[error("{operation} on {object}: {source}{}{detail}", if detail.is_empty() { "" } else { ": " })]
    System {
        /// Operation that failed, such as `attach gate`.
        operation: &'static str,
        /// Object of the operation: an interface, a map, an address.
        object: String,
        /// Explanation of the kernel beyond the error number; may be empty.
        detail: String,
        /// Error of the system.
        #[source]
        source: io::Error,
    },
    /// The kernel refused a program or a map; the text has the verifier's words.
    #[error("{operation} on {object}: {cause}")]
    Program {
        /// Operation that failed, such as `load gate`.
        operation: &'static str,
        /// Object of the operation: an interface, an address, a slot.
        object: String,
        /// Explanation by the loader and the kernel.
        cause: String,
    },
    /// The group table cannot be gated as it is: the caller's mistake.
    #[error("gate groups: {0}")]
    Groups(String),
}

impl GateError {
    /// Wraps an error of the system; a missing capability gets a message of its own.
    pub(super) fn system(operation: &'static str, object: impl Into<String>, source: io::Error) -> GateError {
        GateError::explained(operation, object, String::new(), source)
    }

    /// Wraps an error of the system together with the kernel's explanation.
    pub(super) fn explained(
        operation: &'static str,
        object: impl Into<String>,
        detail: String,
        source: io::Error,
    ) -> GateError {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => GateError::NotPermitted { operation, object: object.into() },
            Some(_) | None => GateError::System { operation, object: object.into(), detail, source },
        }
    }

    /// Wraps an error of the loader; its text keeps the whole chain of causes.
    pub(super) fn program(
        operation: &'static str,
        object: impl Into<String>,
        error: &dyn std::error::Error,
    ) -> GateError {
        let mut cause = error.to_string();
        let mut next = error.source();
        let mut denied = false;
        let mut untranslated = false;
        while let Some(inner) = next {
            if let Some(os) = inner.downcast_ref::<io::Error>() {
                denied |= os.raw_os_error() == Some(libc::EPERM);
                untranslated |= os.raw_os_error() == Some(ENOTSUPP);
            }
            let text = inner.to_string();
            if !cause.contains(&text) {
                cause = format!("{cause}: {text}");
            }
            next = inner.source();
        }
        if untranslated {
            cause.push_str(NO_JIT);
        }
        let object = object.into();
        if denied {
            return GateError::NotPermitted { operation, object };
        }
        GateError::Program { operation, object, cause }
    }
}
