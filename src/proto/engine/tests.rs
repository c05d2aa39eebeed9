//! Tests of the engine: two engines joined back to back under virtual time, with a gate model that
//! checks the promises after every step.

mod alike;
mod answered;
mod blind;
mod division;
mod goodbye;
mod health;
mod hooks;
mod inside;
mod interfaces;
mod names;
mod narrow;
mod old_disk;
mod one_way;
mod own;
mod promises;
mod questions;
mod reach;
mod reload;
mod restart;
mod right_of_way;
mod stale;
mod timers;
mod votes;
mod witnesses;
mod world;
