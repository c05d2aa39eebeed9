#![no_main]

vipair_fuzz::target!("frame");
