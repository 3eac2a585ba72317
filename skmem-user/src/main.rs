//! The command `skmem`.
fn main() {}
