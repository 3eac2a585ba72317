//! Debian packages without touching this machine's package system: apt's own client with lists,
//! state and cache of its own, signatures checked as ever, `.deb` files unpacked into `.tools/`.

mod apt;
mod package;
mod sources;

pub(crate) use apt::{Apt, Candidate, Unreachable, check_present};
pub(crate) use package::{Deb, download, download_closure, hex, unpack};
