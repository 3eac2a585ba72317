//! A recording as lines of JSON: what it is of, then each event as
//! `skmem trace --json` prints it, then each socket's verdict as
//! `skmem explain --json` does.

use serde::Serialize;
use skmem_common::record::{Event, Ident};

use crate::{explain::Verdict, render::event_json_line};

/// The first line.
#[derive(Debug, Serialize)]
pub struct Head<'a> {
    /// 1.
    pub schema: u32,
    /// `recording`.
    #[serde(rename = "type")]
    pub kind_of: &'static str,
    /// The recording's name.
    pub recording: &'a str,
    /// The machine's name.
    pub host: &'a str,
    /// `uname -r`.
    pub kernel: &'a str,
    /// An instant of `CLOCK_MONOTONIC`, in ns …
    pub monotonic_ns: u64,
    /// … and the same in ns since 1970-01-01 UTC.
    pub wall_ns: u64,
}

/// A last line.
#[derive(Serialize)]
struct Tail<'a> {
    #[serde(rename = "type")]
    kind_of: &'static str,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

/// The first line. Without a newline.
#[must_use]
pub fn head(head: &Head<'_>) -> String {
    // It holds nothing that JSON cannot.
    serde_json::to_string(head).unwrap_or_default()
}

/// An event. Without a newline.
#[must_use]
pub fn event(event: &Event, who: Option<&Ident>, comm: Option<&str>) -> String {
    event_json_line(event, who, comm)
}

/// A socket's verdict. Without a newline.
#[must_use]
pub fn socket(verdict: &Verdict) -> String {
    let tail = Tail {
        kind_of: "socket",
        verdict,
    };
    serde_json::to_string(&tail).unwrap_or_default()
}
