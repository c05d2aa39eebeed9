//! Entry point: everything is in the library.

use std::process::ExitCode;

/// `vipair run` waits for memory; the witness and all commands end without it.
#[global_allocator]
static HEAP: vipair::host::io::heap::Heap = vipair::host::io::heap::Heap;

fn main() -> ExitCode {
    vipair::cli::main()
}
