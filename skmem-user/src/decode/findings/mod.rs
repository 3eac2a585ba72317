//! What stands out in a socket's values, in words. Pure: a [`Reading`] in, sentences out.
//!
//! Each rule is a function that looks at the values it needs and says nothing when one of them is
//! missing. What cannot be known from the values is not said, or said as an either-or.

mod charged;
mod held;
mod limit;
mod receive;
mod send;
mod stuck;

pub use held::WINDOW_SHUT;
pub use limit::{LimitState, Origin, origin};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Reading;
use crate::explain::numbers::grouped;

/// How much something matters.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Worth knowing.
    Note,
    /// Probably what the reader is looking for.
    Alarm,
}

/// One thing that stands out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// How much it matters.
    pub weight: Weight,
    /// Its name, which does not change.
    pub tag: &'static str,
    /// The letters or values that it is about, as `ss` prints them: "t w".
    pub about: &'static str,
    /// What it says.
    pub text: String,
}

/// The sysctls that limits are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `tcp_wmem[1]`: sndbuf of a new socket, bytes.
    pub wmem_default: i64,
    /// `tcp_wmem[2]`: how far autotuning goes, bytes.
    pub wmem_max: i64,
    /// `net.core.wmem_max`: what `SO_SNDBUF` is clamped to before doubling, bytes.
    pub core_wmem_max: i64,
    /// Whether they were read from the machine in question; else they are the kernel's defaults.
    pub read: bool,
}

impl Limits {
    /// What an untouched machine has.
    pub const DEFAULT: Self = Self {
        wmem_default: 16_384,
        wmem_max: 4_194_304,
        core_wmem_max: 212_992,
        read: false,
    };
}

/// What stands out, alarms first.
#[must_use]
pub fn findings(reading: &Reading, limits: &Limits) -> Vec<Finding> {
    let mut found: Vec<Finding> = [
        send::over_limit(reading),
        send::waits_in_tcp(reading),
        send::below_tcp(reading),
        send::udp_limit(reading),
        stuck::withdrawn(reading),
        stuck::timeouts(reading),
        stuck::stuck_close(reading),
        send::limited_for(reading, limits),
        send::overhead(reading),
        limit::small_or_locked(reading, limits),
        limit::receive(reading, limits),
        held::full(reading),
        held::unlike_data(reading),
        receive::window_cut(reading),
        receive::close_wait(reading),
        receive::accept_queue(reading),
        receive::backlog(reading),
        receive::drops(reading),
        send::orphan(reading),
        charged::forward(reading),
        send::options(reading),
    ]
    .into_iter()
    .flatten()
    .collect();
    if found.iter().any(|finding| finding.tag == stuck::WITHDRAWN) {
        let explained =
            |tag: &str| matches!(tag, "timeouts" | "losses") || tag.starts_with("waits-");
        found.retain(|finding| !explained(finding.tag));
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.weight));
    found
}

fn note(tag: &'static str, about: &'static str, text: String) -> Option<Finding> {
    let weight = Weight::Note;
    Some(Finding {
        weight,
        tag,
        about,
        text,
    })
}

fn alarm(tag: &'static str, about: &'static str, text: String) -> Option<Finding> {
    let weight = Weight::Alarm;
    Some(Finding {
        weight,
        tag,
        about,
        text,
    })
}

fn bytes(n: i64) -> String {
    match n {
        1 => "1 byte".to_owned(),
        n => format!("{} bytes", grouped(n)),
    }
}

/// `part` in percent of `whole`, rounded down.
fn percent(part: i64, whole: i64) -> i64 {
    part.saturating_mul(100) / whole.max(1)
}
