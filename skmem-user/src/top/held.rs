//! What holds a sender up, in a word or two: the names that findings and verdicts have for it.

use skmem_common::output::Holder;

use super::sample::Booked;
use crate::decode::{Finding, Weight};

/// In words, and whether it is an alarm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// `peer window`, `cwnd`, `below tcp`, `slow reader`, …; empty: nothing is in the way.
    pub text: String,
    /// Probably what the reader is looking for.
    pub alarm: bool,
}

/// The first alarm that says more than that the limit was passed, which the bar shows; else who
/// holds up a sender that waits.
#[must_use]
pub fn held(findings: &[Finding], booked: Option<&Booked>) -> Held {
    let alarms = || findings.iter().filter(|f| f.weight == Weight::Alarm);
    let alarm = |tag: &str| Held {
        text: words(tag),
        alarm: true,
    };
    if let Some(finding) = alarms().find(|f| f.tag != "over-limit") {
        return alarm(finding.tag);
    }
    let holder = booked.filter(|b| b.held_ns.is_some()).map(|b| b.holder);
    if let Some(holder) = holder.filter(|holder| *holder != Holder::Nobody) {
        return alarm(holder.name());
    }
    alarms().next().map_or_else(Held::default, |f| alarm(f.tag))
}

/// A finding's name in the table: `waits-for-peer-window` is `peer window`.
fn words(tag: &str) -> String {
    let tag = tag.strip_prefix("waits-for-").unwrap_or(tag);
    tag.replace(['-', '_'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(tag: &'static str, weight: Weight) -> Finding {
        Finding {
            weight,
            tag,
            about: "",
            text: String::new(),
        }
    }

    #[test]
    fn what_holds_it_comes_before_that_it_is_full() {
        let over = finding("over-limit", Weight::Alarm);
        let peer = finding("waits-for-peer-window", Weight::Alarm);
        let note = finding("limit", Weight::Note);
        let text = |all: &[Finding]| held(all, None).text;
        assert_eq!(text(&[over.clone(), peer, note.clone()]), "peer window");
        assert_eq!(text(&[over.clone(), note.clone()]), "over limit");
        assert_eq!(text(&[note]), "");
        let waits = Booked {
            changes: 1,
            blocked_ns: 0,
            held_ns: Some(5),
            holder: Holder::Cwnd,
            by_cause: Vec::new(),
        };
        assert_eq!(held(&[over], Some(&waits)).text, "cwnd");
        let free = Booked {
            held_ns: None,
            ..waits
        };
        assert_eq!(held(&[], Some(&free)), Held::default());
    }
}
