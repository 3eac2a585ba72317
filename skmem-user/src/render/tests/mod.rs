//! What people read, and what programs do.

mod events;
mod names;
mod verdicts;
mod widths;
