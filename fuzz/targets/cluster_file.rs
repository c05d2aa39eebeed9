#![no_main]

vipair_fuzz::target!("cluster_file");
