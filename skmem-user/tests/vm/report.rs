//! One line for each scenario, for the table kernel × scenario that `cargo xtask test` prints when
//! all kernels have run.

use std::{cell::RefCell, collections::BTreeSet};

use serde::Serialize;

thread_local! {
    static ROWS: RefCell<Vec<Row>> = const { RefCell::new(Vec::new()) };
}

/// What a scenario came to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Row {
    pub scenario: String,
    /// `ok`, `failed` or `skipped`.
    pub outcome: &'static str,
    /// Why it was skipped.
    pub why: Option<String>,
    pub sockets: usize,
    /// Worst excess over the limit, of all its sockets, in bytes.
    pub excess: i64,
    /// What of it has a name.
    pub explained: i64,
    /// Bytes that were named from the fields.
    pub inferred: i64,
    /// The causes that those were named after.
    pub inferred_causes: BTreeSet<&'static str>,
    /// Bytes that nothing names.
    pub unattributed: i64,
    pub records: u64,
    pub lost: u64,
    pub skipped_runs: u64,
    pub seconds: f64,
}

pub fn add(row: Row) {
    ROWS.with_borrow_mut(|rows| rows.push(row));
}

/// After all trials: while they run, libtest's lines are not whole.
pub fn print() {
    for row in ROWS.take() {
        let line = serde_json::to_string(&row).expect("a row is plain");
        println!("@row {line}");
    }
}
