//! What decides when queued bytes leave, in rows: windows, pacing, timeouts, and
//! the kernel's clocks.

use skmem_common::output::Holder;

use super::{
    layout::row,
    style::Style,
    units::{bytes, counted, signed, span},
};
use crate::explain::{
    Verdict,
    numbers::grouped,
    verdict::{Clocks, Instant, OutputState, Pacing},
};

/// Columns of labels.
const LABEL: usize = 10;

pub(super) fn write(out: &mut String, v: &Verdict, style: &Style) {
    if !v.hold_ups.is_empty() {
        let all = v.hold_ups.iter();
        let all: Vec<_> = all
            .map(|h| format!("{} × {}", grouped(signed(h.count)), held_by(h.holder)))
            .collect();
        row(out, "held by", LABEL, &all.join(", "), style);
    }
    let (state, when) = match v.instant {
        Instant::Worst if v.output.worst.is_some() => (v.output.worst, "at that instant"),
        _ => (v.output.last, "at the end"),
    };
    if let Some(state) = state {
        let text = format!("{when}: {}", congestion(&state));
        row(out, "network", LABEL, &text, style);
    }
    if let Some(clocks) = &v.clocks {
        row(out, "clocks", LABEL, &clock_words(clocks), style);
    }
}

/// Who held the sender up when it was refused or fell asleep.
fn held_by(holder: Holder) -> &'static str {
    match holder {
        Holder::Receiver => "the receiver's window",
        Holder::Timeouts => "timeouts",
        Holder::Cwnd => "the congestion window",
        Holder::Pacing => "pacing",
        Holder::Qdisc => "the queueing discipline or the device",
        Holder::Limit => "the limit itself",
        Holder::Memory => "lack of memory",
        Holder::Lowat => "notsent_lowat",
        Holder::Nobody => "nobody",
    }
}

fn congestion(s: &OutputState) -> String {
    let mut parts = vec![format!(
        "cwnd {} of {}, {} in flight",
        counted(s.cwnd, "segment"),
        bytes(s.mss),
        grouped(s.packets_in_flight)
    )];
    parts.push(match s.ssthresh {
        Some(n) => format!("ssthresh {}", grouped(n)),
        None => "ssthresh none yet (slow start)".to_owned(),
    });
    parts.push(format!("srtt {}", span(s.srtt_ns)));
    parts.push(format!(
        "{} sent again so far",
        counted(s.total_retrans, "segment")
    ));
    if s.retransmits != 0 {
        parts.push(format!("{} in a row", counted(s.retransmits, "timeout")));
    }
    if s.backoff != 0 {
        parts.push(format!("backoff {}", grouped(s.backoff)));
    }
    if s.pacing != Pacing::None
        && let Some(rate) = s.pacing_rate
    {
        let who = if s.pacing == Pacing::Fq { "fq" } else { "TCP" };
        let rate = bytes(signed(rate));
        parts.push(format!("paced by {who} at {rate} a second"));
    }
    if s.tsq_throttled {
        parts.push(format!(
            "throttled by TSQ with {} below TCP",
            bytes(s.wmem_alloc)
        ));
    }
    parts.join(", ")
}

fn clock_words(c: &Clocks) -> String {
    let percent = |part: u64| part.saturating_mul(100) / c.busy_ns.max(1);
    format!(
        "data to send or to be acknowledged for {}; limited by the receiver's window for {} ({} %), by the \
         send buffer for {} ({} %)",
        span(c.busy_ns),
        span(c.rwnd_limited_ns),
        percent(c.rwnd_limited_ns),
        span(c.sndbuf_limited_ns),
        percent(c.sndbuf_limited_ns)
    )
}
