//! The gate in real kernels' namespaces: needs root. Each test makes namespaces of its own and
//! removes them.
//!
//! Nothing here sleeps for a fixed time. That something does *not* arrive is shown by a sentinel: a
//! frame sent after it that is never gated; when the sentinel is there, so would the other have
//! been.

mod adopt;
mod claims;
mod cost;
mod errors;
mod forward;
mod frames;
mod guard;
mod host;
mod lab;
mod lease;
mod place;
mod proof;
