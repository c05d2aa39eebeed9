//! Engines joined back to back under virtual time, with a gate model that checks the promises after every step.

mod promises;
mod reload;
mod world;
