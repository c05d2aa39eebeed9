#![no_main]

vipair_fuzz::target!("witness_file");
