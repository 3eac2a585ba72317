//! A recording as lines of JSON: what it is of, then each record as
//! `skmem trace --json` prints it, then each socket's verdict as
//! `skmem explain --json` does.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{explain::Verdict, recording::Selected};

/// The first line.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Head<'a> {
    /// 1.
    pub schema: u32,
    /// `recording`.
    #[serde(rename = "type")]
    pub kind_of: &'static str,
    /// The recording's name.
    pub recording: &'a str,
    /// What all files of a run have in common.
    pub run: &'a str,
    /// Which of them this is, from 1.
    pub part: u32,
    /// The machine's name.
    pub host: &'a str,
    /// `uname -r`.
    pub kernel: &'a str,
    /// An instant of `CLOCK_MONOTONIC`, in ns …
    pub monotonic_ns: u64,
    /// … and the same in ns since 1970-01-01 UTC.
    pub wall_ns: u64,
    /// Where this is a part of a recording: what was chosen of it.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schemars(default)]
    pub selected: &'a [Selected],
}

/// A last line.
#[derive(JsonSchema, Serialize)]
pub(crate) struct Tail<'a> {
    /// `socket`.
    #[serde(rename = "type")]
    kind_of: &'static str,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

/// Writes the first line.
///
/// # Errors
/// Where `out` cannot be written.
pub fn head(mut out: impl Write, head: &Head<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut out, head)?;
    out.write_all(b"\n")
}

/// Writes a socket's verdict.
///
/// # Errors
/// Where `out` cannot be written.
pub fn socket(mut out: impl Write, verdict: &Verdict) -> io::Result<()> {
    let tail = Tail {
        kind_of: "socket",
        verdict,
    };
    serde_json::to_writer(&mut out, &tail)?;
    out.write_all(b"\n")
}
