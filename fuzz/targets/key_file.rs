#![no_main]

vipair_fuzz::target!("key_file");
