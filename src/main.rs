//! Entry point: everything is in the library.
//!
//! `main` is C's, not the standard library's: see [`vipair::host::io::begin`].

#![cfg_attr(not(test), no_main)]

/// `vipair run` waits for memory; the witness and all commands end without it.
#[global_allocator]
static HEAP: vipair::host::io::heap::Heap = vipair::host::io::heap::Heap;

/// Where the program begins. Returns its exit code.
#[cfg(not(test))]
// SAFETY: the program has one `main`, of the type that C gives it; the arguments are read by `std::env`.
#[unsafe(no_mangle)]
extern "C" fn main() -> std::ffi::c_int {
    vipair::host::io::begin::begin();
    vipair::cli::main().into()
}
