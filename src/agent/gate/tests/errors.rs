//! What a refusal of the loader says.

use super::super::error::GateError;
use std::io;

/// An error of a loader whose cause is an error of the system, as aya's are.
#[derive(Debug, thiserror::Error)]
#[error("the BPF_PROG_LOAD syscall returned -1")]
struct Refused(#[source] io::Error);

#[test]
fn a_program_that_the_kernel_had_no_room_to_translate_names_the_setting_that_helps() {
    let refused = |code| {
        let error = Refused(io::Error::from_raw_os_error(code));
        GateError::program("load gate", "eth0", &error).to_string()
    };
    assert!(refused(524).contains("net.core.bpf_jit_limit"), "{}", refused(524));
    assert!(!refused(libc::EINVAL).contains("net.core.bpf_jit_limit"), "{}", refused(libc::EINVAL));
}
