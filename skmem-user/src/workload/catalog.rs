//! The table of scenarios.

use anyhow::{Result, anyhow};
use schemars::JsonSchema;
use serde::Serialize;
use skmem_common::receive_cause::ReceiveCause;

use super::{Params, protocol::Done, scenario, stage::Stage};

/// A reproduction, described.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// The causes that it is built to bring about, by the names of the ledger.
    pub provokes: &'static [&'static str],
    /// What the kernel must have beyond namespaces and veth; empty for nothing.
    pub needs: &'static [&'static str],
    /// The options that mean something to it, besides `--deadline` and `--ipv6`.
    pub accepts: &'static [&'static str],
    /// The options by default.
    pub defaults: Params,
    #[serde(skip)]
    pub(super) play: fn(&Stage) -> Result<Done>,
}

impl Scenario {
    /// Whether it is about receive memory: what it brings about shows with `--rx` only.
    #[must_use]
    pub fn is_of_receiving(&self) -> bool {
        self.provokes
            .iter()
            .any(|name| ReceiveCause::from_name(name).is_some())
    }
}

/// All scenarios, in the order in which they are best read.
#[must_use]
pub fn list() -> &'static [Scenario] {
    scenario::ALL
}

/// The scenario called `name`.
///
/// # Errors
/// Where there is none; it names all that exist.
pub fn find(name: &str) -> Result<&'static Scenario> {
    list().iter().find(|s| s.name == name).ok_or_else(|| {
        let known: Vec<_> = list().iter().map(|s| s.name).collect();
        anyhow!("no scenario {name:?}; there are: {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_scenario_is_described_and_named_once() {
        let mut seen = HashSet::new();
        for scenario in list() {
            assert!(seen.insert(scenario.name), "{} twice", scenario.name);
            assert!(!scenario.summary.is_empty() && !scenario.summary.contains('\n'));
            assert!(!scenario.provokes.is_empty(), "{}", scenario.name);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = find("artikel").unwrap_err().to_string();
        assert!(error.contains("article"), "{error}");
    }
}
