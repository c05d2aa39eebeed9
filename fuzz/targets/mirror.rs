#![no_main]

vipair_fuzz::target!("mirror");
