//! What a receive buffer holds, and why the window is what it is: an exact sum over one reading of
//! a socket's fields.
//!
//! `rb = unread + held + overhead + out of order + error queue + backlog + reserve + cap + rule +
//! rounding + kept + window`, in integers. It follows `tcp_space`, `__tcp_select_window` and
//! `tcp_receive_window` of 5.10 to 7.2.
//!
//! `words` says why a window is shut or small.

#[cfg(test)]
mod tests;
mod words;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skmem_common::window::{HAS_HEAD, HAS_OUT_OF_ORDER, LOCKED, Receiver, SUBFLOW, WALKED_ALL};

use super::numbers::grouped;

/// `TCP_RMEM_TO_WIN_SCALE` (include/net/tcp.h, 6.6 on).
const RMEM_TO_WIN_SCALE: u32 = 8;

/// Where the limit of a receive buffer goes, in bytes: `rcvbuf` is the sum of all parts from
/// `unread` to `window`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// `sk_rcvbuf` (ss: rb)
    pub rcvbuf: i64,
    /// Received in order and not read: `rcv_nxt - copied_seq`, without a FIN (Recv-Q)
    pub unread: i64,
    /// Read already, and still in r: an skb is freed when its last byte is read (`copied_seq` less
    /// the first skb's `seq`)
    pub held: i64,
    /// What the skbs of the receive queue take beyond their data: heads, and room in pages that
    /// data does not fill
    pub overhead: i64,
    /// Skbs that wait for a hole to be filled (`out_of_order_queue`)
    pub out_of_order: i64,
    /// Skbs on the error queue: timestamps and ICMP errors that nobody has collected
    /// (`MSG_ERRQUEUE`)
    pub error_queue: i64,
    /// Waits for the socket's lock (`sk_backlog.len`, ss: bl): not in r
    pub backlog: i64,
    /// Kept back of what is free, for the overhead of what may come (`tcp_win_from_space`:
    /// `scaling_ratio`, or `tcp_adv_win_scale` before 6.6)
    pub reserve: i64,
    /// Free, and beyond what autotuning allows so far (`rcv_ssthresh`, `window_clamp`)
    pub cap: i64,
    /// Free, and not offered because it is less than a sixteenth of the whole or than a segment
    pub rule: i64,
    /// What rounding to the window's scale takes; negative: adds
    pub rounding: i64,
    /// Free and not announced yet; negative: promised to the peer before, and beyond what is free
    /// now (a window is not taken back)
    pub unannounced: i64,
    /// What the peer may still send (`tcp_receive_window`)
    pub window: i64,
    /// `sk_rmem_alloc` (ss: r)
    pub rmem_alloc: i64,
    /// Skbs in the receive queue, a count
    pub skbs: u32,
    /// Skbs on the error queue, a count
    pub error_skbs: u32,
    /// Bytes to read until the first skb of the queue is freed
    pub head_left: i64,
    /// How much must leave r until a window is offered again; 0: nothing need
    pub to_open: i64,
    /// `rcv_ssthresh`, bytes
    pub rcv_ssthresh: i64,
    /// The part of free memory that is offered, in 256ths: `scaling_ratio`, or what
    /// `tcp_adv_win_scale` stands for
    pub ratio: u32,
    /// The queues were walked to their ends; otherwise `overhead` and `out_of_order` are one
    /// number, in `overhead`
    pub whole: bool,
    /// Read under the socket's lock: all of one moment
    pub locked: bool,
}

impl Window {
    /// None where the window is not the socket's own: a listener, a closed socket, a subflow of
    /// MPTCP.
    #[must_use]
    pub fn of(r: &Receiver) -> Option<Self> {
        if matches!(
            r.state,
            CLOSE | LISTEN | SYN_SENT | NEW_SYN_RECV | TIME_WAIT
        ) || r.flags & SUBFLOW != 0
        {
            return None;
        }
        let fin = i64::from(matches!(r.state, CLOSE_WAIT | LAST_ACK | CLOSING));
        let since = |to: u32, from: u32| i64::from(to.wrapping_sub(from) as i32);
        let rmem = i64::from(r.rmem_alloc);
        let errors = i64::from(r.errors);
        let whole = r.flags & WALKED_ALL != 0;
        let head = r.flags & HAS_HEAD != 0;
        // The FIN takes a sequence number; it is read last.
        let unread = since(r.rcv_nxt, r.copied_seq);
        let unread = if unread > 0 { unread - fin } else { 0 };
        let held = if head {
            since(r.copied_seq, r.head_seq).max(0)
        } else {
            0
        };
        let in_order = rmem - errors;
        let out_of_order = match r.flags & HAS_OUT_OF_ORDER != 0 && whole {
            true => in_order - i64::from(r.queued),
            false => 0,
        };
        let overhead = in_order - out_of_order - unread - held;
        let rcvbuf = i64::from(r.rcvbuf);
        let backlog = i64::from(r.backlog);
        let free = rcvbuf - backlog - rmem;
        let offer = Offer::new(r, free);
        let window = since(r.rcv_wup.wrapping_add(r.rcv_wnd), r.rcv_nxt).max(0);
        Some(Self {
            rcvbuf,
            unread,
            held,
            overhead,
            out_of_order,
            error_queue: errors,
            backlog,
            reserve: free - offer.space,
            cap: offer.cap,
            rule: offer.rule,
            rounding: offer.rounding,
            unannounced: offer.window - window,
            window,
            rmem_alloc: rmem,
            skbs: r.queued_skbs,
            error_skbs: r.errors_skbs,
            head_left: if head {
                since(r.head_end, r.copied_seq).max(0)
            } else {
                0
            },
            to_open: offer.to_open,
            rcv_ssthresh: i64::from(r.rcv_ssthresh),
            ratio: ratio(r),
            whole,
            locked: r.flags & LOCKED != 0,
        })
    }

    /// The parts with their names, in the order of the sum.
    #[must_use]
    pub const fn parts(&self) -> [(&'static str, i64); 12] {
        [
            ("unread", self.unread),
            ("read but held", self.held),
            ("overhead", self.overhead),
            ("out of order", self.out_of_order),
            ("error queue", self.error_queue),
            ("backlog", self.backlog),
            ("reserve", self.reserve),
            ("cap", self.cap),
            ("rule", self.rule),
            ("rounding", self.rounding),
            ("unannounced", self.unannounced),
            ("window", self.window),
        ]
    }

    /// `rb 131,072 = unread 11,264 + read but held 113,184 + … + window 0`
    #[must_use]
    pub fn sum(&self) -> String {
        let mut text = format!("rb {} =", grouped(self.rcvbuf));
        let mut first = true;
        for (name, bytes) in self.parts() {
            let name = match (name, self.whole) {
                ("unannounced", _) if bytes < 0 => "promised before",
                ("overhead", false) => "overhead and out of order",
                _ => name,
            };
            if bytes == 0 && name != "window" {
                continue;
            }
            let sign = match (first, bytes < 0) {
                (true, false) => "",
                (_, true) => " -",
                (false, false) => " +",
            };
            first = false;
            text.push_str(&format!("{sign} {name} {}", grouped(bytes.abs())));
        }
        if !self.locked {
            text.push_str(
                "; read without the socket's lock, so that it may be of more than one moment",
            );
        }
        text
    }

    /// Whether the peer cannot send because of what this buffer holds, or nearly so.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        self.window == 0 && self.to_open > 0
    }
}

// include/net/tcp_states.h, all versions.
const SYN_SENT: u8 = 2;
const TIME_WAIT: u8 = 6;
const CLOSE: u8 = 7;
const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
const LISTEN: u8 = 10;
const CLOSING: u8 = 11;
const NEW_SYN_RECV: u8 = 12;

/// What the kernel would offer now.
struct Offer {
    /// `tcp_space`
    space: i64,
    rule: i64,
    cap: i64,
    rounding: i64,
    /// `__tcp_select_window`
    window: i64,
    to_open: i64,
}

impl Offer {
    /// `__tcp_select_window` (`net/ipv4/tcp_output.c`, 5.10 to 7.2), with `free` bytes of rb in use
    /// by nothing.
    fn new(r: &Receiver, free: i64) -> Self {
        let space = win_from_space(r, free);
        let allowed = win_from_space(r, r.rcvbuf.into());
        let whole = allowed.min(r.window_clamp.into());
        let mss = i64::from(r.rcv_mss).min(whole);
        let unit = 1_i64 << r.rcv_wscale;
        let mut offer = Self {
            space,
            rule: 0,
            cap: 0,
            rounding: 0,
            window: 0,
            to_open: 0,
        };
        let least = (allowed >> 4).max(mss).max(1);
        let shrinks = r.shrink_window != 0 && r.rcv_wscale != 0;
        // From half of the whole on, nothing is too little.
        let least = ((least + unit - 1) / unit * unit).min((whole >> 1).max(1));
        // A window that may shrink is rounded down.
        let least = if shrinks { least.max(unit) } else { least };
        if whole <= 0 {
            offer.rule = space;
            return offer;
        }
        let mut left = space;
        let scarce = space < whole >> 1;
        if shrinks || scarce {
            left = space.div_euclid(unit) * unit;
        }
        if scarce && (left < allowed >> 4 || left < mss || shrinks && left < unit) {
            offer.rule = space;
            offer.to_open = (space_for(r, least) - free).max(1);
            return offer;
        }
        offer.rule = space - left;
        let ssthresh = i64::from(r.rcv_ssthresh);
        if left > ssthresh {
            offer.cap = left - ssthresh;
            left = ssthresh;
        }
        offer.window = match r.rcv_wscale {
            0 => unscaled(i64::from(r.rcv_wnd), left, mss, whole),
            _ => (left + unit - 1).div_euclid(unit) * unit,
        };
        offer.rounding = left - offer.window;
        offer
    }
}

/// Without window scaling the window moves in whole segments.
fn unscaled(now: i64, free: i64, mss: i64, whole: i64) -> i64 {
    if (now <= free - mss || now > free) && mss > 0 {
        free / mss * mss
    } else if mss == whole && free > now + (whole >> 1) {
        free
    } else {
        now
    }
}

/// `tcp_win_from_space`: how much of `space` is offered.
fn win_from_space(r: &Receiver, space: i64) -> i64 {
    let scale = i32::from(r.adv_win_scale).clamp(-31, 31);
    match r.scaling_ratio {
        0 if scale <= 0 => space >> -scale,
        0 => space - (space >> scale),
        ratio => (space * i64::from(ratio)) >> RMEM_TO_WIN_SCALE,
    }
}

/// The smallest space of which at least `window` bytes are offered.
fn space_for(r: &Receiver, window: i64) -> i64 {
    // The part is at least a 256th, or a shift; both grow with the space.
    let (mut low, mut high) = (0_i64, 1_i64 << 40);
    while low < high {
        let middle = i64::midpoint(low, high);
        if win_from_space(r, middle) >= window {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// What [`Window::ratio`] says.
fn ratio(r: &Receiver) -> u32 {
    u32::try_from(win_from_space(r, 256)).unwrap_or(0)
}
