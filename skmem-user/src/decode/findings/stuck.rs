//! What a sender waits for: the peer's window, the congestion window, ACKs, its own machine. Timers
//! and their counts tell a peer that lives from one that does not.

use super::{Finding, Reading, alarm, bytes, note};
use crate::{diag::TcpState, explain::numbers::grouped};

const PEER: &str = "waits-for-peer-window";
/// The tag of a window that was taken back.
pub(super) const WITHDRAWN: &str = "window-withdrawn";

/// Whether the peer's window has room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Window {
    /// No segment fits.
    Full,
    /// A segment fits, or the kernel's clock says that the window is not in the way.
    Room,
    /// Not known.
    Unknown,
}

/// Whether the window-probe timer (`ICSK_TIME_PROBE0`) runs: it is named, or `backoff` grows with
/// nothing in flight, which no other timer does (`tcp_send_probe0`).
pub(super) fn persists(reading: &Reading) -> bool {
    match &reading.timer {
        Some(timer) => timer.name == "persist",
        None => {
            reading.info.backoff.is_some_and(|backoff| backoff > 0)
                && reading.info.unacked.unwrap_or(0) == 0
                && !reading.damaged
                && reading.send_payload().is_some_and(|data| data > 0)
                && reading.state != Some(TcpState::SynSent)
        }
    }
}

/// The window, from `snd_wnd`; else from the clock `rwnd_limited`, which runs while the window
/// stops the sender (`TCP_CHRONO_RWND_LIMITED`) and so cannot be shorter than the wait that goes
/// on.
fn window(reading: &Reading) -> Window {
    let info = &reading.info;
    if let Some(window) = info.snd_wnd {
        let mss = info.mss.unwrap_or(1460);
        let needed = reading.in_flight().unwrap_or(0).saturating_add(mss);
        return if needed > window {
            Window::Full
        } else {
            Window::Room
        };
    }
    if info.rwnd_limited_percent.is_some_and(|share| share >= 50.0) {
        return Window::Full;
    }
    let (Some(busy), false) = (info.busy_ms, reading.damaged) else {
        return Window::Unknown;
    };
    let limited = info.rwnd_limited_ms.unwrap_or(0);
    let waited = info.lastsnd_ms.min(info.lastack_ms);
    if limited.saturating_mul(2) >= busy.max(1) {
        Window::Full
    } else if waited.is_some_and(|waited| waited >= 1000 && limited.saturating_mul(2) < waited) {
        Window::Room
    } else {
        Window::Unknown
    }
}

/// What holds the data that waits in TCP: a tag and a sentence.
pub(super) fn held_by(reading: &Reading) -> (&'static str, String) {
    let info = &reading.info;
    if persists(reading) {
        return window_timer(reading);
    }
    // Without Send-Q, what the segments hold at most.
    let estimated = || Some(info.unacked?.saturating_mul(info.mss?));
    let in_flight = reading.in_flight();
    if info.unsent.is_none()
        && let (Some(sent), Some(payload)) = (estimated(), reading.send_payload())
        && payload > sent
    {
        // Up to iproute2 4.5 notsent is not printed.
        let (tag, reason) = unsent_for(reading, sent);
        let unacked = segments(info.unacked.unwrap_or(0));
        let least = bytes(payload - sent);
        return (
            tag,
            format!("At least {least} unsent, {unacked} in flight. {reason}"),
        );
    }
    let (Some(unsent), Some(in_flight)) = (info.unsent, in_flight.or_else(estimated)) else {
        let why = "Sent and not acknowledged, or held back by the peer's window or the congestion window: `ss -i` \
                   shows notsent, snd_wnd and cwnd.";
        return ("waits-in-tcp", why.into());
    };
    if unsent == 0 {
        let why = format!(
            "All of it was sent ({} in flight) and waits for ACKs.",
            bytes(in_flight)
        );
        return ("waits-for-acks", why);
    }
    let flying = match reading.in_flight() {
        Some(in_flight) => bytes(in_flight),
        None => segments(info.unacked.unwrap_or(0)),
    };
    let split = format!("{} unsent, {flying} in flight.", bytes(unsent));
    let (tag, reason) = unsent_for(reading, in_flight);
    (tag, format!("{split} {reason}"))
}

/// The window-probe timer runs: is the window shut, or can nothing leave this machine?
fn window_timer(reading: &Reading) -> (&'static str, String) {
    let sign = match &reading.timer {
        Some(_) => "The timer is `persist`",
        None => "`backoff` grows with nothing in flight, so the timer is `persist`",
    };
    let answers = reading.timer.as_ref().is_some_and(|timer| timer.count == 0)
        || (reading.timer.is_none() && recent_ack(reading));
    match window(reading) {
        Window::Room => {
            let seen = match reading.info.snd_wnd {
                Some(window) => format!("its window has room (snd_wnd {})", grouped(window)),
                None => "its window did not stop the sender meanwhile (rwnd_limited)".into(),
            };
            (
                "cannot-send",
                format!(
                    "{sign}, but the peer is not what it waits for: {seen}. What is sent does not leave this machine \
                     or does not arrive: no route, a packet filter, a full queueing discipline, or a peer that is gone."
                ),
            )
        }
        Window::Full if answers => (
            PEER,
            format!(
                "{sign}: the peer's window has no room, and the peer answers the probes. As a rule its application \
                 does not read."
            ),
        ),
        Window::Full => (
            PEER,
            format!(
                "{sign}: the peer's window has no room. As a rule its application does not read."
            ),
        ),
        Window::Unknown if answers => (
            PEER,
            format!(
                "{sign} and no probe is unanswered: the peer's window has no room. As a rule its application does not \
                 read."
            ),
        ),
        Window::Unknown => (
            PEER,
            format!(
                "{sign}: the peer's window has no room (as a rule its application does not read), or what is sent \
                 does not arrive. `ss -ti` shows which: snd_wnd, rwnd_limited."
            ),
        ),
    }
}

/// An ACK came while the probes went on: the timer's last period is the time since the last answer.
fn recent_ack(reading: &Reading) -> bool {
    let (Some(rto), Some(backoff), Some(lastack)) = (
        reading.info.rto_ms,
        reading.info.backoff,
        reading.info.lastack_ms,
    ) else {
        return false;
    };
    let period = rto.saturating_mul(1 << backoff.clamp(0, 20)).min(120_000);
    lastack <= period.saturating_mul(3) / 2
}

/// Some of it was never sent.
fn unsent_for(reading: &Reading, in_flight: i64) -> (&'static str, String) {
    let info = &reading.info;
    let mss = info.mss.unwrap_or(1460);
    let window_full = window(reading) == Window::Full;
    let cwnd_full = match (info.unacked, info.cwnd) {
        (Some(unacked), Some(cwnd)) => unacked >= cwnd,
        (None, Some(cwnd)) => in_flight >= cwnd.saturating_mul(mss),
        _ => false,
    };
    match (window_full, cwnd_full) {
        (true, true) => (
            PEER,
            "Both the peer's window and the congestion window are full.".to_owned(),
        ),
        (true, false) => match info.snd_wnd {
            Some(window) if in_flight == 0 => (
                PEER,
                format!(
                    "The peer's window ({}) has no room for a segment: its application reads slowly, or not at all.",
                    bytes(window)
                ),
            ),
            Some(window) => (
                PEER,
                format!(
                    "The peer's window ({}) is full: its application reads slowly, or its buffer is small for the path.",
                    bytes(window)
                ),
            ),
            None => (
                PEER,
                "The peer's window stopped it for most of the time (rwnd_limited): its application reads slowly, or \
                 its buffer is small for the path."
                    .to_owned(),
            ),
        },
        (false, true) if timed_out(reading) => (
            "waits-for-acks",
            format!(
                "What was sent had no ACK in time, so the congestion window was cut to {}: the rest waits until an ACK \
                 comes.",
                segments(info.cwnd.unwrap_or(0))
            ),
        ),
        (false, true) => (
            "waits-for-cwnd",
            format!(
                "The congestion window ({} of {}) is full: the network's pace, not the peer.",
                segments(info.cwnd.unwrap_or(0)),
                bytes(mss)
            ),
        ),
        (false, false) if in_flight == 0 && info.snd_wnd.is_some() => (
            "waits-in-tcp",
            "Nothing is in flight though both windows have room: the packets are about to go, or cannot leave this \
             machine."
                .to_owned(),
        ),
        // ss leaves snd_wnd out when it is 0, and older versions always do.
        (false, false) if in_flight == 0 => (
            "waits-in-tcp",
            "Nothing is in flight: the peer's window is shut, or the packets are about to go.".to_owned(),
        ),
        (false, false) => below_or_paced(reading),
    }
}

/// The retransmission timer has fired and cut the congestion window to a segment
/// (`tcp_enter_loss`).
fn timed_out(reading: &Reading) -> bool {
    let info = &reading.info;
    let fired = reading
        .timer
        .as_ref()
        .is_some_and(|timer| timer.name == "on" && timer.count > 0)
        || info.backoff.is_some_and(|backoff| backoff > 0);
    fired && info.cwnd.is_some_and(|cwnd| cwnd <= 1)
}

/// The peer's window is 0 while data is in flight. A window only shuts by what fills it, so the
/// peer has taken back what it had offered.
pub(super) fn withdrawn(reading: &Reading) -> Option<Finding> {
    let in_flight = reading.in_flight().filter(|n| *n > 1)?;
    let retransmits = reading
        .timer
        .as_ref()
        .is_none_or(|timer| timer.name == "on");
    let counts = reading.is_tcp() && !reading.is_mptcp() && reading.is_connection();
    if reading.info.snd_wnd != Some(0) || !retransmits || !counts {
        return None;
    }
    alarm(
        WITHDRAWN,
        "snd_wnd timer",
        format!(
            "The peer has taken back a window that it had offered: it is 0, with {} in flight. Its receive buffer was \
             made smaller (SO_RCVBUF), or it has no memory left; it answers, so it is alive. The retransmission timer \
             backs off meanwhile: when the peer has read, it takes up to that long until something moves.",
            bytes(in_flight)
        ),
    )
}

/// No window is in the way: TCP small queues, or what is not shown.
fn below_or_paced(reading: &Reading) -> (&'static str, String) {
    let allowed = reading.info.pacing_rate.map(|rate| rate / 1024);
    if let (Some(below), Some(allowed)) = (reading.memory.wmem_alloc, allowed)
        && below > allowed
    {
        let text = format!(
            "Neither window is full. t is above {}, a 1,024th of the pacing rate a second, which is about what TCP small \
             queues let wait below TCP: more is sent when the card says that some of t has gone (TX completions).",
            bytes(allowed)
        );
        return ("waits-for-completions", text);
    }
    let text = match (reading.info.snd_wnd, reading.memory.wmem_alloc) {
        (Some(_), Some(_)) => {
            "Neither the windows nor t explain it: pacing, or packets about to go."
        }
        (None, Some(_)) => {
            "Neither the congestion window nor t explain it: pacing, or the peer's window, which is not shown."
        }
        (Some(_), None) => {
            "Both windows have room: pacing, or what is below TCP, which is not shown (`ss -m`)."
        }
        (None, None) => {
            "The congestion window has room: pacing, the peer's window or what is below TCP, which are not shown."
        }
    };
    ("waits-in-tcp", text.to_owned())
}

/// Timeouts of the retransmission timer, window probes without an answer, SYNs without one.
pub(super) fn timeouts(reading: &Reading) -> Option<Finding> {
    if !reading.is_tcp() || reading.listens() {
        return None;
    }
    if reading.state == Some(TcpState::SynSent) {
        return syn(reading);
    }
    let timer = reading.timer.as_ref();
    let silent = match reading.info.lastack_ms {
        Some(ms) if ms >= 1000 => format!(" for {}", duration(ms)),
        _ => String::new(),
    };
    if persists(reading) {
        let unanswered = timer?.count;
        return (unanswered >= 2).then_some(()).and_then(|()| {
            alarm(
                "probes-unanswered",
                "timer",
                format!(
                    "{} window probes in a row have had no answer{silent}: the peer or the path is gone, or they do \
                     not leave this machine.",
                    grouped(unanswered)
                ),
            )
        });
    }
    if let Some(timer) = timer.filter(|timer| timer.name == "keepalive" && timer.count >= 2) {
        return alarm(
            "probes-unanswered",
            "timer",
            format!(
                "{} keepalive probes in a row have had no answer{silent}: the peer or the path is gone.",
                grouped(timer.count)
            ),
        );
    }
    let in_a_row = match timer {
        Some(timer) if timer.name == "on" => timer.count,
        None if reading.info.unacked.unwrap_or(0) > 0 => reading.info.backoff.unwrap_or(0),
        _ => 0,
    };
    if in_a_row >= 2 && reading.send_q? > 0 {
        return alarm(
            "timeouts",
            "timer",
            format!(
                "{} timeouts in a row: nothing has been acknowledged{}. The peer or the path is gone, or the peer drops \
                 what arrives.",
                grouped(in_a_row),
                if silent.is_empty() {
                    " for a while"
                } else {
                    &silent
                }
            ),
        );
    }
    lost(reading)
}

fn lost(reading: &Reading) -> Option<Finding> {
    let lost = reading
        .info
        .lost
        .or(reading.info.retrans)
        .filter(|lost| *lost > 0)?;
    let are = if lost == 1 { "is" } else { "are" };
    note(
        "losses",
        "lost retrans",
        format!("{} {are} lost or being sent again now.", segments(lost)),
    )
}

/// A connection that is not there yet.
fn syn(reading: &Reading) -> Option<Finding> {
    let again = reading
        .timer
        .as_ref()
        .filter(|timer| timer.name == "on")
        .map(|timer| timer.count)
        .or(reading.info.backoff)
        .unwrap_or(0);
    let text = "and has had no answer: a packet filter drops it, the listener's accept queue is full, or nobody is at that \
                address (a closed port refuses at once).";
    match again {
        0 => note(
            "syn-unanswered",
            "State",
            "Its SYN has not been answered yet.".into(),
        ),
        1 => alarm(
            "syn-unanswered",
            "timer",
            format!("Its SYN was sent again once {text}"),
        ),
        n => alarm(
            "syn-unanswered",
            "timer",
            format!("Its SYN was sent again {} times {text}", grouped(n)),
        ),
    }
}

/// A FIN that nobody sends again.
pub(super) fn stuck_close(reading: &Reading) -> Option<Finding> {
    const LONG: i64 = 3_600_000;
    let closing = matches!(
        reading.state?,
        TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck
    );
    let idle = reading.info.lastsnd_ms.filter(|ms| *ms >= LONG)?;
    if !closing || reading.send_q? == 0 || reading.timer.is_some() {
        return None;
    }
    note(
        "stuck-close",
        "State lastsnd",
        format!(
            "Nothing was sent for {}, though its FIN waits for an ACK: while a timer runs, the kernel sends again or \
             gives up within minutes (tcp_orphan_retries). `ss -o` shows whether one runs.",
            duration(idle)
        ),
    )
}

fn segments(n: i64) -> String {
    match n {
        1 => "1 segment".into(),
        n => format!("{} segments", grouped(n)),
    }
}

/// Milliseconds as people say them.
fn duration(ms: i64) -> String {
    match ms {
        ..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        60_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} days", ms / 86_400_000),
    }
}
