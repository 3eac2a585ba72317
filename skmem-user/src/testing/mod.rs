//! What tests of several rooms are made of, those of the commands included: sockets, accounts and
//! records without a kernel.

pub(crate) mod rows;
pub(crate) mod socket;
pub(crate) mod story;
