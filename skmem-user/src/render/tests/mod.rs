//! What people read, and what programs do.

mod events;
mod lines;
mod mptcp;
mod names;
mod verdicts;
mod widths;
