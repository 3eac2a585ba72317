//! What a receive buffer holds, and why the window is what it is: an exact sum over one reading of a socket's fields.
//!
//! `rb = unread + held + overhead + out of order + error queue + backlog + reserve + cap + rule + rounding + kept +
//! window`, in integers. It follows `tcp_space`, `__tcp_select_window` and `tcp_receive_window` of 5.10 to 7.2.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skmem_common::window::{HAS_HEAD, HAS_OUT_OF_ORDER, LOCKED, Receiver, SUBFLOW, WALKED_ALL};

use super::numbers::grouped;

/// `TCP_RMEM_TO_WIN_SCALE` (include/net/tcp.h, 6.6 on).
const RMEM_TO_WIN_SCALE: u32 = 8;

/// Where the limit of a receive buffer goes, in bytes: `rcvbuf` is the sum of all parts from `unread` to `window`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// `sk_rcvbuf` (ss: rb)
    pub rcvbuf: i64,
    /// Received in order and not read: `rcv_nxt - copied_seq`, without a FIN (Recv-Q)
    pub unread: i64,
    /// Read already, and still in r: an skb is freed when its last byte is read (`copied_seq` less the first skb's
    /// `seq`)
    pub held: i64,
    /// What the skbs of the receive queue take beyond their data: heads, and room in pages that data does not fill
    pub overhead: i64,
    /// Skbs that wait for a hole to be filled (`out_of_order_queue`)
    pub out_of_order: i64,
    /// Skbs on the error queue: timestamps and ICMP errors that nobody has collected (`MSG_ERRQUEUE`)
    pub error_queue: i64,
    /// Waits for the socket's lock (`sk_backlog.len`, ss: bl): not in r
    pub backlog: i64,
    /// Kept back of what is free, for the overhead of what may come (`tcp_win_from_space`: `scaling_ratio`, or
    /// `tcp_adv_win_scale` before 6.6)
    pub reserve: i64,
    /// Free, and beyond what autotuning allows so far (`rcv_ssthresh`, `window_clamp`)
    pub cap: i64,
    /// Free, and not offered because it is less than a sixteenth of the whole or than a segment
    pub rule: i64,
    /// What rounding to the window's scale takes; negative: adds
    pub rounding: i64,
    /// Free and not announced yet; negative: promised to the peer before, and beyond what is free now (a window is
    /// not taken back)
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
    /// The part of free memory that is offered, in 256ths: `scaling_ratio`, or what `tcp_adv_win_scale` stands for
    pub ratio: u32,
    /// The queues were walked to their ends; otherwise `overhead` and `out_of_order` are one number, in `overhead`
    pub whole: bool,
    /// Read under the socket's lock: all of one moment
    pub locked: bool,
}

/// What makes up most of a full receive buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Most {
    Unread,
    Held,
    Overhead,
    OutOfOrder,
    ErrorQueue,
}

impl Window {
    /// None where the window is not the socket's own: a listener, a closed socket, a subflow of MPTCP.
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

    /// What makes up most of r.
    fn most(&self) -> Most {
        let parts = [
            (self.unread, Most::Unread),
            (self.held, Most::Held),
            (self.overhead, Most::Overhead),
            (self.out_of_order, Most::OutOfOrder),
            (self.error_queue, Most::ErrorQueue),
        ];
        let most = parts.into_iter().max_by_key(|(bytes, _)| *bytes);
        most.map_or(Most::Unread, |(_, most)| most)
    }

    /// Why the window is shut or small, in words; None where it is neither.
    #[must_use]
    pub fn says(&self) -> Option<String> {
        if self.unannounced < -self.rcvbuf.max(1) {
            return Some(self.lowered());
        }
        if self.is_shut() {
            return Some(self.shut());
        }
        let free = self.rcvbuf - self.rmem_alloc - self.backlog;
        if self.to_open > 0 && self.window > free.max(0) {
            return Some(self.promised());
        }
        if self.window == 0 && self.unannounced > 0 {
            return Some(format!(
                "The window was shut; {} are free again and not announced yet: the kernel does so at the next read, \
                 or at the peer's next probe.",
                bytes(self.unannounced)
            ));
        }
        let unused = self.reserve + self.cap + self.rule + self.rounding + self.unannounced;
        if self.cap > self.window && self.cap * 2 > unused {
            return Some(format!(
                "The window is {} though {} of rb are free: autotuning has not raised rcv_ssthresh ({}) further. It \
                 grows as data arrives and is read in time; a larger SO_RCVBUF does not speed it up.",
                bytes(self.window),
                bytes(self.rcvbuf - self.rmem_alloc - self.backlog),
                grouped(self.rcv_ssthresh)
            ));
        }
        None
    }

    fn shut(&self) -> String {
        let open = format!(
            "A window is offered again when {} more of r are freed.",
            bytes(self.to_open)
        );
        match self.most() {
            Most::Unread => format!(
                "The window is 0: the application has not read {}{}. r takes {} of rb {}{}. The reader is slow. {open}",
                bytes(self.unread),
                self.beside(),
                grouped(self.rmem_alloc),
                grouped(self.rcvbuf),
                self.too_little()
            ),
            Most::Held => format!(
                "The window is 0, but only {} of {} in r are unread: {} were read already, and stay until the last \
                 byte of their skb is read, {} further on. {open} Reads of more bytes at a time, or a larger \
                 SO_RCVBUF, help.",
                grouped(self.unread),
                bytes(self.rmem_alloc),
                bytes(self.held),
                bytes(self.head_left)
            ),
            Most::ErrorQueue => format!(
                "The window is 0 because of the error queue: {} on it hold {}, and nobody has collected them. Read \
                 them with recvmsg(MSG_ERRQUEUE); timestamps without the packet (SOF_TIMESTAMPING_OPT_TSONLY) take \
                 less. Collecting them announces no window: it comes back with the peer's next probe.",
                messages(self.error_skbs),
                bytes(self.error_queue)
            ),
            Most::OutOfOrder => format!(
                "The window is 0 because of {} of data behind a hole: a packet was lost or overtaken, and the reader \
                 cannot have what came after it. {open}",
                bytes(self.out_of_order)
            ),
            Most::Overhead => format!(
                "The window is 0 though only {} are unread: the skbs that hold them take {} more ({}). Small packets \
                 cost a whole skb each, unless the card or GRO merges them. {open}",
                bytes(self.unread),
                bytes(self.overhead),
                skbs(self.skbs)
            ),
        }
    }

    /// The peer may send more than there is room for.
    fn promised(&self) -> String {
        let holds = match self.most() {
            Most::Unread => format!("{} that the application has not read", bytes(self.unread)),
            Most::Held => format!(
                "{} that were read already, and stay until the last byte of their skb is read",
                bytes(self.held)
            ),
            Most::ErrorQueue => format!(
                "{} on the error queue, which nobody has collected (MSG_ERRQUEUE)",
                messages(self.error_skbs)
            ),
            Most::OutOfOrder => format!("{} of data behind a hole", bytes(self.out_of_order)),
            Most::Overhead => format!(
                "{} of overhead, in {}",
                bytes(self.overhead),
                skbs(self.skbs)
            ),
        };
        format!(
            "The peer was promised {} before, and r takes {} of rb {}: what does not fit is dropped, and sent again. \
             Most of r is {holds}.",
            bytes(self.window),
            grouped(self.rmem_alloc),
            grouped(self.rcvbuf)
        )
    }

    /// What is held beside unread data.
    fn beside(&self) -> String {
        match self.held {
            0 => String::new(),
            held => format!(
                " ({} more were read already, and stay until the last byte of their skb is read, {} further on)",
                grouped(held),
                bytes(self.head_left)
            ),
        }
    }

    /// Why nothing is offered of what is free.
    fn too_little(&self) -> String {
        match self.rcvbuf - self.rmem_alloc - self.backlog {
            ..=0 => String::new(),
            free => format!(
                "; of the {} that are free, {} may be offered, which is less than a segment or a sixteenth of all",
                grouped(free),
                grouped(self.rule)
            ),
        }
    }

    fn lowered(&self) -> String {
        format!(
            "rb was lowered to {} (SO_RCVBUF) with {} promised to the peer, which may still send them: r may pass rb. \
             What does not fit is dropped, and sent again.",
            bytes(self.rcvbuf),
            bytes(self.window)
        )
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
    /// `__tcp_select_window` (net/ipv4/tcp_output.c, 5.10 to 7.2), with `free` bytes of rb in use by nothing.
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
        let middle = (low + high) / 2;
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

fn bytes(n: i64) -> String {
    match n {
        1 => "1 byte".to_owned(),
        n => format!("{} bytes", grouped(n)),
    }
}

fn messages(n: u32) -> String {
    match n {
        1 => "1 message".to_owned(),
        n => format!("{} messages", grouped(n.into())),
    }
}

fn skbs(n: u32) -> String {
    match n {
        1 => "1 skb".to_owned(),
        n => format!("{} skbs", grouped(n.into())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ESTABLISHED: u8 = 1;

    /// A receiver of 6.6 or newer, with `read` of `arrived` bytes read.
    fn receiver(rcvbuf: i32, arrived: u32, read: u32) -> Receiver {
        Receiver {
            rcvbuf,
            rcv_nxt: 1_000 + arrived,
            copied_seq: 1_000 + read,
            rcv_wup: 1_000 + arrived,
            rcv_ssthresh: 65_535,
            window_clamp: 1 << 20,
            rcv_mss: 1_448,
            rcv_wscale: 7,
            scaling_ratio: 128,
            state: ESTABLISHED,
            flags: WALKED_ALL | HAS_HEAD | LOCKED,
            head_seq: 1_000,
            head_end: 1_000 + arrived,
            ..Receiver::default()
        }
    }

    fn adds_up(window: &Window) {
        let sum: i64 = window.parts().iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(sum, window.rcvbuf, "{window:?}");
    }

    #[test]
    fn an_skb_that_was_read_in_part_holds_the_buffer() {
        // 5.10, a reader of 4 KiB a millisecond.
        let r = Receiver {
            rmem_alloc: 125_728,
            queued: 125_728,
            queued_skbs: 1,
            scaling_ratio: 0,
            adv_win_scale: 1,
            ..receiver(131_072, 124_448, 113_184)
        };
        let window = Window::of(&r).unwrap();
        adds_up(&window);
        assert_eq!(
            (window.unread, window.held, window.overhead),
            (11_264, 113_184, 1_280)
        );
        assert_eq!(
            (window.reserve, window.rule, window.window),
            (2_672, 2_672, 0)
        );
        assert_eq!(window.head_left, 11_264);
        let text = window.says().unwrap();
        assert!(
            text.starts_with(
                "The window is 0, but only 11,264 of 125,728 bytes in r are unread: 113,184 bytes were read already"
            ),
            "{text}"
        );
    }

    #[test]
    fn autotuning_that_has_not_grown_is_the_cap() {
        // 7.2, after a drain.
        let r = Receiver {
            scaling_ratio: 227,
            window_clamp: u32::MAX,
            rcv_ssthresh: 844_952,
            rcv_wnd: 845_056,
            flags: WALKED_ALL | LOCKED,
            ..receiver(4_127_714, 0, 0)
        };
        let window = Window::of(&r).unwrap();
        adds_up(&window);
        assert_eq!(
            (window.reserve, window.cap, window.rounding, window.window),
            (467_593, 2_815_169, -104, 845_056)
        );
        assert!(window.says().unwrap().contains("rcv_ssthresh (844,952)"));
    }

    #[test]
    fn a_buffer_made_smaller_keeps_its_promise() {
        // 7.2, SO_RCVBUF 4,096 under load.
        let r = Receiver {
            rmem_alloc: 298_424,
            queued: 298_424,
            queued_skbs: 5,
            scaling_ratio: 195,
            window_clamp: 8_192,
            rcv_wnd: 3_245_056,
            ..receiver(8_192, 293_944, 2_344)
        };
        let window = Window::of(&r).unwrap();
        adds_up(&window);
        assert_eq!(
            (
                window.reserve,
                window.rule,
                window.unannounced,
                window.window
            ),
            (-69_156, -221_076, -3_245_056, 3_245_056)
        );
        assert!(
            window
                .says()
                .unwrap()
                .starts_with("rb was lowered to 8,192 bytes (SO_RCVBUF)")
        );
    }

    #[test]
    fn an_error_queue_shuts_the_window() {
        let r = Receiver {
            rmem_alloc: 79_632,
            errors: 79_632,
            errors_skbs: 56,
            flags: WALKED_ALL | LOCKED,
            ..receiver(80_000, 5_000, 5_000)
        };
        let window = Window::of(&r).unwrap();
        adds_up(&window);
        assert_eq!(
            (window.error_queue, window.reserve, window.rule),
            (79_632, 184, 184)
        );
        let text = window.says().unwrap();
        assert!(
            text.contains("56 messages on it hold 79,632 bytes"),
            "{text}"
        );
    }

    #[test]
    fn a_promise_that_does_not_fit_any_more_is_said() {
        // 6.1, SO_RCVBUF 20,000: no segment has come that could close the window.
        let r = Receiver {
            rmem_alloc: 39_816,
            errors: 39_816,
            errors_skbs: 21,
            rcv_wnd: 18_000,
            flags: WALKED_ALL | LOCKED,
            ..receiver(40_000, 0, 0)
        };
        let window = Window::of(&r).unwrap();
        adds_up(&window);
        assert_eq!((window.window, window.unannounced), (18_000, -18_000));
        assert_eq!(
            window.says().unwrap(),
            "The peer was promised 18,000 bytes before, and r takes 39,816 of rb 40,000: what does not fit is dropped, \
             and sent again. Most of r is 21 messages on the error queue, which nobody has collected (MSG_ERRQUEUE)."
        );
        // A reader that is slow, and a window that fits still.
        let slow = Receiver {
            rmem_alloc: 120_000,
            queued: 120_000,
            rcv_wnd: 4_000,
            ..receiver(131_072, 110_000, 0)
        };
        assert_eq!(Window::of(&slow).unwrap().says(), None);
    }

    #[test]
    fn less_than_a_segment_is_not_offered() {
        // 6.1, loopback, SO_RCVBUF 65,536.
        let r = Receiver {
            rmem_alloc: 74_469,
            queued: 74_469,
            queued_skbs: 1,
            scaling_ratio: 0,
            adv_win_scale: 1,
            rcv_mss: 65_483,
            ..receiver(131_072, 73_189, 0)
        };
        let window = Window::of(&r).unwrap();
        adds_up(&window);
        assert_eq!(
            window.says().unwrap(),
            "The window is 0: the application has not read 73,189 bytes. r takes 74,469 of rb 131,072; of the 56,603 \
             that are free, 28,302 may be offered, which is less than a segment or a sixteenth of all. The reader is \
             slow. A window is offered again when 8,932 bytes more of r are freed."
        );
    }

    #[test]
    fn what_is_behind_a_hole_is_neither_read_nor_readable() {
        let r = Receiver {
            rmem_alloc: 130_000,
            flags: WALKED_ALL | LOCKED | HAS_OUT_OF_ORDER,
            ..receiver(131_072, 5_000, 5_000)
        };
        let window = Window::of(&r).unwrap();
        adds_up(&window);
        assert_eq!(window.out_of_order, 130_000);
        assert!(window.says().unwrap().contains("behind a hole"));
    }

    #[test]
    fn a_fin_is_no_data() {
        let r = Receiver {
            rmem_alloc: 896,
            queued: 896,
            queued_skbs: 1,
            state: CLOSE_WAIT,
            ..receiver(131_072, 1, 0)
        };
        let window = Window::of(&r).unwrap();
        adds_up(&window);
        assert_eq!((window.unread, window.overhead), (0, 896));
    }

    #[test]
    fn a_window_that_is_not_the_sockets_own_is_not_explained() {
        let mut r = receiver(131_072, 0, 0);
        r.flags |= SUBFLOW;
        assert_eq!(Window::of(&r), None);
        r.flags = 0;
        r.state = LISTEN;
        assert_eq!(Window::of(&r), None);
    }

    proptest! {
        #[test]
        fn every_byte_of_the_limit_has_a_name(
            buffers in (1_i32..1 << 24, 0_i32..1 << 24, 0_i32..1 << 20),
            queues in (0_u32..1 << 24, 0_u32..1 << 20),
            bytes in (0_u32..1 << 24, 0_u32..1 << 24, 0_u32..1 << 24),
            limits in (1_u32..1 << 24, 1_u32..1 << 24, 1_u16..9_000, 0_u8..15),
            scale in (0_u8..=255, -3_i8..4, 0_u8..2, 0_u8..8),
        ) {
            let (arrived, read, head) = bytes;
            let r = Receiver {
                rmem_alloc: buffers.1,
                backlog: buffers.2,
                queued: queues.0,
                errors: queues.1,
                head_seq: 1_000_u32.wrapping_add(head),
                rcv_wnd: limits.0,
                rcv_ssthresh: limits.1,
                rcv_mss: limits.2,
                rcv_wscale: limits.3,
                scaling_ratio: scale.0,
                adv_win_scale: scale.1,
                shrink_window: scale.2,
                flags: scale.3,
                ..receiver(buffers.0, arrived, read)
            };
            adds_up(&Window::of(&r).unwrap());
        }

        #[test]
        fn what_is_to_be_freed_is_exact(
            rcvbuf in 4_000_i32..1 << 24,
            used in 0_i32..100,
            mss in 1_u16..9_000,
            wscale in 1_u8..15,
            ratio in 1_u8..=255,
            shrinks in 0_u8..2,
        ) {
            let r = Receiver {
                rmem_alloc: i32::try_from(i64::from(rcvbuf) * i64::from(100 - used / 10) / 100).unwrap(),
                rcv_mss: mss,
                rcv_wscale: wscale,
                scaling_ratio: ratio,
                shrink_window: shrinks,
                window_clamp: 1 << 24,
                rcv_ssthresh: 1 << 24,
                ..receiver(rcvbuf, 0, 0)
            };
            let to_open = Window::of(&r).unwrap().to_open;
            if to_open <= 0 || to_open > i64::from(r.rmem_alloc) {
                // It is offered already, or never.
                return Ok(());
            }
            let less = |bytes: i64| {
                let rmem_alloc = i32::try_from(i64::from(r.rmem_alloc) - bytes).unwrap();
                Window::of(&Receiver { rmem_alloc, ..r }).unwrap().unannounced
            };
            prop_assert!(less(to_open) > 0);
            prop_assert!(less(to_open - 1) <= 0);
        }
    }
}
