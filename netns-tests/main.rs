//! Tests on real parts: network namespaces, a bridge, nginx, and the agent as it ships. Run as
//! root.
#![allow(dead_code, reason = "tests, demo and benchmark each use a part of the lab")]

mod cases;
mod lab;
mod probe;
mod scene;
