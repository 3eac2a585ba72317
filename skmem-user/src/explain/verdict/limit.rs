//! How `SO_SNDBUF` became the limit, and how the limit moved.

use schemars::JsonSchema;
use serde::Serialize;
use skmem_common::cause::LimitCause;

use super::by_name;
use crate::explain::{chain::Step, named::Named as _};

/// From `SO_SNDBUF` to `sk_sndbuf`: `max(2 * min(value, wmem_max), minimum)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Doubling {
    /// What was doubled: the value, or `net.core.wmem_max` where that is less.
    pub honoured: i64,
    /// It is `net.core.wmem_max`.
    pub clamped: bool,
    /// Set with `SO_SNDBUFFORCE`, which `wmem_max` does not clamp.
    pub forced: bool,
    /// What the kernel's minimum added after doubling.
    pub raised: i64,
}

/// A step from `SO_SNDBUF` to `sk_sndbuf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ChainStep {
    /// Its name.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub cause: Step,
    /// Before.
    pub from: i64,
    /// After.
    pub to: i64,
}

/// One change of `sk_sndbuf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct LimitChange {
    /// ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// Before.
    pub from: i64,
    /// After.
    pub to: i64,
    /// Its cause's name; `unknown`: one of a newer skmem.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub cause: Option<LimitCause>,
    /// It happened between the admission and the instant.
    pub since_admission: bool,
}

impl LimitChange {
    /// The name of its cause; `unknown`: one of a newer skmem.
    #[must_use]
    pub fn cause_name(&self) -> &'static str {
        self.cause.name()
    }
}
