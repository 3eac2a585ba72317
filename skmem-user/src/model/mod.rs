//! What happened, rebuilt from the records alone: no kernel, no clock, no
//! I/O. The same ledger as in the kernel, fed with the operations that the
//! records carry.

pub mod replay;
