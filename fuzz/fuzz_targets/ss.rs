//! `ss` of `skmem::fuzz`.
#![no_main]

skmem_fuzz::target!("ss");
