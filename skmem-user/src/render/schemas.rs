//! JSON Schemas of what `--json` prints, made from the types that are printed.
//! The enums are never made: each lists the objects that a command prints.

use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

use super::{event_json, export::json, listing::Listed, receive};
use crate::{
    explain::{Verdict, diff::Difference, pages::Description, pair::Pair},
    model::end::Totals,
    recording::Meta,
};

/// A run that has no socket to explain: none went over its limit.
#[derive(JsonSchema, Serialize)]
pub struct NoVerdicts<'a> {
    /// `uname -r`.
    pub kernel: &'a str,
    /// Version of this contract: 1.
    pub schema: u32,
    /// Sockets that were seen.
    pub sockets: u64,
    /// Always empty.
    pub verdicts: [(); 0],
}

/// What a recording is of: `skmem report --about --json`.
#[derive(JsonSchema, Serialize)]
pub struct About<'a> {
    /// Version of this contract: 1.
    pub schema: u32,
    /// What was recorded, where, and how.
    pub meta: &'a Meta,
    /// What was counted; None where the recording has no end.
    pub end: Option<&'a Totals>,
    /// Records in the file.
    pub records: u64,
    /// Where the file is damaged, in words; None where it is whole.
    pub damage: Option<String>,
}

macro_rules! either {
    ($(#[$doc:meta])* $name:ident: $($variant:ident($of:ty)),+) => {
        $(#[$doc])*
        #[derive(JsonSchema)]
        #[schemars(untagged)]
        #[expect(dead_code, reason = "only its schema is used")]
        enum $name {
            $($variant(Box<$of>)),+
        }
    };
}

either! {
    /// A line of `skmem explain --json`, with --pair as well
    Explained: Verdict(Verdict), None(NoVerdicts<'static>), Pair(Pair)
}
either! {
    /// A line of `skmem trace --json`
    Traced: Event(event_json::Line<'static>), Receive(receive::Line<'static>)
}
either! {
    /// A line of `skmem report --json`, with --sockets, --about or --pair as well
    Reported: Verdict(Verdict), None(NoVerdicts<'static>), Socket(Listed), About(About<'static>),
    Pair(Pair)
}
either! {
    /// A line of `skmem export --format json`
    Exported: Head(json::Head<'static>), Event(event_json::Line<'static>),
    Receive(receive::Line<'static>), Socket(json::Tail<'static>)
}

/// Of `skmem explain --json`.
#[must_use]
pub fn explain() -> Schema {
    schema_for!(Explained)
}

/// Of `skmem trace --json`.
#[must_use]
pub fn trace() -> Schema {
    schema_for!(Traced)
}

/// Of `skmem report --json`.
#[must_use]
pub fn report() -> Schema {
    schema_for!(Reported)
}

/// Of `skmem diff --json`.
#[must_use]
pub fn diff() -> Schema {
    schema_for!(Difference)
}

/// Of `skmem causes --json`.
#[must_use]
pub fn causes() -> Schema {
    schema_for!(Vec<Description>)
}

/// Of `skmem export --format json`.
#[must_use]
pub fn export() -> Schema {
    schema_for!(Exported)
}
