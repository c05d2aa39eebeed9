//! The bench: shares lab and probe with the netns tests.
#![allow(dead_code, reason = "tests, demo and benchmark each use a part of the lab")]

mod lab;
mod probe;
mod scene;

fn main() {}
