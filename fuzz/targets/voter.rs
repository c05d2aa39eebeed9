#![no_main]

vipair_fuzz::target!("voter");
