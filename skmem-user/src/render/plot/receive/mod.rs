//! The receive side of one socket over time: what r consists of under rb, by the causes that put it
//! there, with Recv-Q, the window, and when that was 0.
//!
//! * `text`: in characters
//! * `svg`: a page of SVG
//! * `html`: a page to zoom into

use skmem_common::receive_cause::ReceiveCause;

use super::palette::{self, BandStyle};
use crate::{
    explain::{Verdict, numbers::grouped},
    model::timeline::receive::{Filled, Receiver},
    render::{
        identity, memory,
        units::{counted, signed, span},
    },
};

mod html;
mod svg;
mod text;

pub use html::receive_html;
pub use svg::receive_svg;
pub use text::receive_text;

/// From the bottom of the stack to its top: what was there before; payload, so that Recv-Q's line
/// lies in it; what that takes besides; what else is there.
const ORDER: &[ReceiveCause] = &[
    ReceiveCause::ReceivedBefore,
    ReceiveCause::InOrder,
    ReceiveCause::Coalesced,
    ReceiveCause::OutOfOrder,
    ReceiveCause::InOrderOverhead,
    ReceiveCause::CoalescedOverhead,
    ReceiveCause::Collapse,
    ReceiveCause::FinReceived,
    ReceiveCause::SockmapQueued,
    ReceiveCause::ErrorQueued,
];

/// A band of r: what one cause put there; None: what is not booked yet.
struct Band {
    cause: Option<ReceiveCause>,
    name: &'static str,
    look: BandStyle,
}

impl Band {
    fn of(&self, sample: &Filled) -> i64 {
        match self.cause {
            Some(cause) => sample.of_cause(cause),
            None => sample.to_come,
        }
        .into()
    }
}

/// Those that these samples hold.
fn bands(samples: &[Filled]) -> Vec<Band> {
    let rest = ReceiveCause::ALL
        .iter()
        .filter(|c| !ORDER.contains(c) && **c != ReceiveCause::Unattributed);
    let causes = ORDER
        .iter()
        .chain(rest)
        .chain(&[ReceiveCause::Unattributed]);
    let causes = causes.map(|cause| Band {
        cause: Some(*cause),
        name: cause.name(),
        look: palette::of_receive(*cause),
    });
    let to_come = Band {
        cause: None,
        name: "not booked yet",
        look: palette::TO_COME,
    };
    let all = causes.chain([to_come]);
    all.filter(|band| samples.iter().any(|s| band.of(s) != 0))
        .collect()
}

/// What a page says of its stack.
const NOTE: &str = "rmem_alloc (r in `ss -m`), stacked by the cause that put the bytes there; the \
    height is exact. A read is taken to free the oldest bytes that are in order: so it is, skb by \
    skb, where nothing came out of order or was collapsed. There, from Recv-Q up to the top of the \
    payload (in-order, coalesced): read, and held until the last byte of its skb is read.";

/// Where there is nothing to draw.
const NOTHING: &str = "no record of the receive side in this time: `skmem record --rx` makes them";

/// A picture to be drawn.
#[derive(Debug)]
pub struct ReceiveFigure<'a> {
    /// The receive side over time.
    pub receiver: &'a Receiver,
    /// What the picture is about.
    pub verdict: &'a Verdict,
    /// What the time axis counts from, in ns of `CLOCK_MONOTONIC`: the start of the recording.
    pub zero_ns: u64,
    /// That instant as a date and time, UTC.
    pub began: String,
    /// The same in ns since 1970.
    pub zero_wall_ns: u64,
}

impl ReceiveFigure<'_> {
    fn title(&self) -> String {
        let who = identity::owner(&self.verdict.socket);
        match &self.verdict.receive {
            Some(receive) => format!("{who}: {}", memory::answer(receive)),
            None => format!("{who}: nothing arrived."),
        }
    }

    fn subtitle(&self) -> String {
        let (count, ns) = self.receiver.times_shut();
        let shut = match count {
            0 => "the window was never 0".to_owned(),
            1 => format!("the window was 0 once, for {}", span(ns)),
            n => format!(
                "the window was 0 {} for {}",
                counted(signed(n), "time"),
                span(ns)
            ),
        };
        format!(
            "{} · {shut} · {} · Linux {}",
            identity::ends(&self.verdict.socket),
            counted(signed(self.receiver.reads()), "read"),
            self.verdict.kernel
        )
    }

    /// What the picture cannot show; empty: nothing.
    fn remarks(&self) -> String {
        if self.receiver.fullest().is_none() {
            return NOTHING.to_owned();
        }
        match self.receiver.missed() {
            0 => String::new(),
            n => format!(
                "{} missing (the ring was full): what they would have named is {}.",
                counted(signed(n), "record"),
                ReceiveCause::Unattributed.name()
            ),
        }
    }

    /// The instant that the legend's bytes are those of.
    fn since_zero(&self, at_ns: u64) -> String {
        format!("at {}", span(at_ns.saturating_sub(self.zero_ns)))
    }
}

/// What both axes reach up to.
fn most(samples: &[Filled]) -> f64 {
    let most = |s: &Filled| {
        let lines = i64::from(s.window).max(s.recv_q.into());
        i64::from(s.rmem_alloc.max(s.rcvbuf)).max(lines)
    };
    samples.iter().map(most).max().unwrap_or(1).max(1) as f64 * 1.05
}

fn bytes(n: impl Into<i64>) -> String {
    grouped(n.into())
}
