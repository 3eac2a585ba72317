//! skmem
pub mod collect;
pub mod diag;
pub mod kernel;
pub mod model;
pub mod workload;
