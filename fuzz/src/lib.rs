//! The parts of every fuzz binary: a counting heap, and libFuzzer's loop around one target of
//! `vipair_proof::fuzz`.

pub use vipair_proof::fuzz::{Counting, check};

/// The whole of a fuzz binary.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        #[global_allocator]
        static HEAP: $crate::Counting = $crate::Counting;

        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
            $crate::check($name, bytes);
        });
    };
}
