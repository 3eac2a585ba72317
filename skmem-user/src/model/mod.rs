//! What happened, rebuilt from the records alone: no kernel, no clock, no
//! I/O. The same ledger as in the kernel, fed with the operations that the
//! records carry.
//!
//! * [`record`]: bytes to typed records, length-checked
//! * [`replay`]: ledgers from records
//! * `calls`: what else an account holds: held-up senders, the last fields
//! * [`survey`]: which sockets there are
//! * [`timeline`]: one socket over time
//! * [`end`]: what is known of all sockets when a trace ends
//! * [`places`]: where sockets live, by name
//! * [`whose`]: whose a cgroup is: unit, container, pod

mod calls;
pub mod end;
pub mod places;
pub mod record;
pub mod replay;
pub mod survey;
pub mod timeline;
pub mod whose;
