//! What can go wrong with a gate. System failures carry operation, object and cause; none of them opens anything.

use std::io;

/// Why a gate could not be installed, read or changed. Whatever it is, the gate in the kernel is closed or as it
/// was before the call; a caller that is unsure must treat the node as not owning the addresses.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The running kernel lacks what the program needs. No retry helps.
    #[error("kernel {found} is too old for the gate: it needs 5.8 or later (bpf_ktime_get_boot_ns)")]
    KernelTooOld {
        /// What `uname -r` says.
        found: String,
    },
    /// The process lives in a time namespace with an offset: its deadlines would not be the kernel's. No retry helps.
    #[error("this process runs in a time namespace whose boot time differs from the host's; start it outside of it")]
    TimeNamespace,
    /// A capability is missing.
    #[error("{operation} on {object}: not permitted; the gate needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    NotPermitted {
        /// What was tried.
        operation: &'static str,
        /// On what.
        object: String,
    },
    /// The interface carries no Ethernet frames.
    #[error("interface {interface} is no Ethernet device (hardware type {hardware}): a gate cannot guard it")]
    NotEthernet {
        /// Its name.
        interface: String,
        /// ARPHRD_ value, `<linux/if_arp.h>`.
        hardware: u16,
    },
    /// A system call or netlink request failed. Worth a retry after the interface has changed.
    #[error("{operation} on {object}: {source}{}{detail}", if detail.is_empty() { "" } else { ": " })]
    System {
        /// What was tried.
        operation: &'static str,
        /// On what.
        object: String,
        /// What the kernel said beyond the number; empty if nothing.
        detail: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The kernel refused the program or a map of it: the text has the verifier's words.
    #[error("{operation} on {object}: {cause}")]
    Program {
        /// What was tried.
        operation: &'static str,
        /// On what.
        object: String,
        /// aya's and the kernel's words.
        cause: String,
    },
    /// The group table cannot be gated as it is: the caller's mistake.
    #[error("gate groups: {0}")]
    Groups(String),
}

impl GateError {
    /// Wraps an OS error; a missing capability gets a message of its own.
    pub(super) fn system(operation: &'static str, object: impl Into<String>, source: io::Error) -> GateError {
        GateError::explained(operation, object, String::new(), source)
    }

    /// As [`GateError::system`], with the kernel's explanation.
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

    /// Wraps an error of the loader, keeping the whole chain of causes in its text.
    pub(super) fn program(
        operation: &'static str,
        object: impl Into<String>,
        error: &dyn std::error::Error,
    ) -> GateError {
        let mut cause = error.to_string();
        let mut next = error.source();
        let mut denied = false;
        while let Some(inner) = next {
            if let Some(os) = inner.downcast_ref::<io::Error>() {
                denied |= os.raw_os_error() == Some(libc::EPERM);
            }
            let text = inner.to_string();
            if !cause.contains(&text) {
                cause = format!("{cause}: {text}");
            }
            next = inner.source();
        }
        let object = object.into();
        if denied {
            return GateError::NotPermitted { operation, object };
        }
        GateError::Program { operation, object, cause }
    }
}
