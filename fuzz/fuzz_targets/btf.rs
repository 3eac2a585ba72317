//! `btf` of `skmem::fuzz`.
#![no_main]

skmem_fuzz::target!("btf");
