//! One small account, one verdict: read as the specification of what is said.

mod account;
mod advice;
mod blame;
mod causes;
mod contract;
mod limits;
mod memory;
mod pair;
mod unusual;
