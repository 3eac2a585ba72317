//! A queue that was there before skmem and has not moved since: no call was
//! seen, but the socket's fields still say something.

use super::{
    layout::{row, title},
    style::Style,
};
use crate::explain::{Verdict, numbers::grouped};

/// Columns of labels.
const LABEL: usize = 12;

/// `GSO_LEGACY_MAX_SIZE`: without BIG TCP no skb takes more.
const MOST: i64 = 65_536;

pub(super) fn write(out: &mut String, v: &Verdict, style: &Style) {
    if !v.is_stuck() || v.excess <= 0 {
        return;
    }
    title(out, "What is known of a queue that has not moved", style);
    row(out, "  possible", LABEL, &possible(v), style);
    let unknown = "which calls queued these bytes and when, what the limit was then, and since \
        when a sender has been held up";
    row(out, "  not known", LABEL, unknown, style);
}

/// Whether one skb past the limit is enough.
fn possible(v: &Verdict) -> String {
    // Of how many skbs the overhead is, is not known where none was seen.
    let one = v.skb_truesize.unwrap_or(v.skb_overhead).max(0);
    let (goal, source) = if v.gso_segs > 0 {
        (v.size_goal, "size_goal")
    } else {
        (MOST, "the largest size_goal")
    };
    let most = v.sndbuf - 1 + one + goal;
    let lowered = if v.limit_locked {
        "SO_SNDBUF lowered under a full queue"
    } else {
        "a limit that the kernel lowered for want of memory"
    };
    let sum = format!(
        "a new skb is let in while wmem_queued is below {}, and then takes up to size_goal, so \
         wmem_queued may be {} - 1 + {} (an empty skb) + {} ({source}) = {}",
        grouped(v.sndbuf),
        grouped(v.sndbuf),
        grouped(one),
        grouped(goal),
        grouped(most)
    );
    let w = grouped(v.wmem_queued);
    if v.wmem_queued <= most {
        format!(
            "{sum}; {w} is within that: one skb past the limit is enough, though {lowered} would do too"
        )
    } else {
        format!(
            "{sum}; {w} is more: skbs split and filled up again, MSG_ZEROCOPY, or {lowered} had a \
             part in it"
        )
    }
}
