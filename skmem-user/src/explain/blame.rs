//! Who holds the sender up, before how the queue came about: from the fields
//! that `tcp_write_xmit` looks at, and from the kernel's own clocks.

use skmem_common::{
    account::Account,
    output::{Holder, OUTPUT_THROTTLED, Output},
};

use super::{
    numbers::{grouped, span},
    verdict::{Blame, BlameFrom, CaState, Clocks, Held, OutputState, Outputs, Pacing, Verdict},
};
use crate::model::timeline::WaitReason;

/// States of the kernel's `tcp_states.h` without a window to speak of.
const TCP_SYN_SENT: u8 = 2;
const TCP_CLOSE: u8 = 7;

/// `TCP_INFINITE_SSTHRESH` (include/net/tcp.h).
const INFINITE_SSTHRESH: u32 = 0x7fff_ffff;

/// Less than this is too short for clocks that count jiffies, in ns.
const SHORT: u64 = 100_000_000;

/// A sender that never pauses sends something within this time, in ns.
const LONG: u64 = 1_000_000_000;

/// Who it is, and by which fields.
struct Found<'a> {
    holder: Holder,
    from: BlameFrom,
    /// None: no fields were read.
    output: Option<&'a Output>,
}

impl Blame {
    /// None where nothing held the sender up, or nothing says what.
    pub(super) fn of(account: &Account, verdict: &Verdict) -> Option<Self> {
        if !verdict.over_limit && verdict.blocked.is_none() {
            return None;
        }
        let found = find(account, verdict)?;
        Some(Self {
            holder: found.holder,
            from: found.from,
            sentence: sentence(&found, verdict),
        })
    }
}

/// The fields of a subflow, and what is said of it.
pub(crate) type Subflow<'a> = (&'a Account, Verdict);

/// Blames an MPTCP socket's subflows where its sender is held up: they have the
/// fields, and send its bytes.
pub(crate) fn blame_subflows(above: &mut Verdict, subflows: &[Subflow<'_>]) {
    let held_up = above.over_limit || above.blocked.is_some();
    let knows = above
        .blame
        .as_ref()
        .is_some_and(|b| b.from != BlameFrom::Window);
    if !held_up || knows {
        return;
    }
    let found = subflows
        .iter()
        .filter_map(|(account, v)| Some((find(account, v)?, v)));
    let Some((found, v)) = found.max_by_key(|(_, v)| v.send_q) else {
        return;
    };
    let mut sentence = sentence(&found, v);
    if subflows.len() > 1 {
        let s = &v.socket;
        sentence.push_str(&format!(
            " So it is on the subflow {} port {} → {} port {}, which holds the most of {}.",
            s.src,
            s.sport,
            s.dst,
            s.dport,
            subflows.len()
        ));
    }
    above.blame = Some(Blame {
        holder: found.holder,
        from: found.from,
        sentence,
    });
}

fn find<'a>(account: &'a Account, verdict: &Verdict) -> Option<Found<'a>> {
    let outputs = &account.outputs;
    let known = |output: &'a Output| output.known().then_some(output);
    let found = |holder, from, output| {
        Some(Found {
            holder,
            from,
            output,
        })
    };
    let (last, held) = (known(&outputs.last), known(&outputs.held));
    let on = verdict.blocked.map(|b| b.on);
    if on == Some(WaitReason::Memory) {
        return found(Holder::Memory, BlameFrom::HoldUps, held);
    }
    if let Some(last) = last.filter(|_| !verdict.socket.closed)
        && let Some(holder) = stuck(last)
    {
        return found(holder, BlameFrom::Now, Some(last));
    }
    if on == Some(WaitReason::NotsentLowat) {
        return found(Holder::Lowat, BlameFrom::HoldUps, held);
    }
    if let Some(holder) = verdict.clocks.as_ref().and_then(by_clocks) {
        return found(holder, BlameFrom::Clocks, held.or(last));
    }
    let most = verdict.hold_ups.first();
    if let Some(Held { holder, .. }) = most {
        let holder = held.map_or(*holder, |held| refined(*holder, held));
        return found(holder, BlameFrom::HoldUps, held);
    }
    let instants = [
        (known(&outputs.worst), BlameFrom::Worst),
        (last, BlameFrom::Last),
    ];
    for (output, from) in instants {
        if let Some(output) = output
            && let holder = refined(output.stopped_by(), output)
            && holder != Holder::Nobody
        {
            return found(holder, from, Some(output));
        }
    }
    (verdict.peer_window.closed && last.is_none()).then_some(Found {
        holder: Holder::Receiver,
        from: BlameFrom::Window,
        output: None,
    })
}

/// Who holds bytes up that will not move by themselves soon: a window of 0, or
/// timeouts in a row, or one to which no ACK has come though it is due.
fn stuck(output: &Output) -> Option<Holder> {
    if matches!(output.state, TCP_SYN_SENT | TCP_CLOSE) {
        return None;
    }
    if unanswered_once(output) {
        return Some(Holder::Timeouts);
    }
    match refined(output.stopped_by(), output) {
        Holder::Timeouts => Some(Holder::Timeouts),
        Holder::Receiver
            if output.retransmits >= 2
                || output.snd_wnd == 0
                || output.taken_back()
                || output.backoff != 0 =>
        {
            Some(Holder::Receiver)
        }
        _ => None,
    }
}

/// The retransmission timer ran out once, and since then no ACK came for longer
/// than one takes.
fn unanswered_once(o: &Output) -> bool {
    o.retransmits == 1
        && o.in_flight != 0
        && !o.taken_back()
        && o.since_ack_ns > o.since_sent_ns
        && o.since_sent_ns > u64::from(o.srtt_us) * 1000
}

/// A peer that answers what is sent again is there, and takes nothing.
fn refined(holder: Holder, output: &Output) -> Holder {
    if holder == Holder::Timeouts && (output.taken_back() || output.answered()) {
        return Holder::Receiver;
    }
    holder
}

/// By what the kernel's clocks say of more than half of the time.
fn by_clocks(clocks: &Clocks) -> Option<Holder> {
    let all = clocks.busy_ns;
    if all < SHORT {
        return None;
    }
    if clocks.rwnd_limited_ns >= all / 2 {
        Some(Holder::Receiver)
    } else if clocks.sndbuf_limited_ns >= all / 2 {
        Some(Holder::Limit)
    } else {
        None
    }
}

fn bytes(n: impl Into<i64>) -> String {
    match n.into() {
        1 => "1 byte".to_owned(),
        n => format!("{} bytes", grouped(n)),
    }
}

fn percent(part: u64, all: u64) -> u64 {
    part.saturating_mul(100) / all.max(1)
}

fn sentence(found: &Found<'_>, v: &Verdict) -> String {
    // Of the instant, if its fields show the same holder.
    let shown = found
        .output
        .filter(|o| refined(o.stopped_by(), o) == found.holder);
    match found.holder {
        Holder::Receiver => receiver(shown, found.from, v),
        Holder::Timeouts => timeouts(found.output),
        Holder::Cwnd => cwnd(found.output, shown.is_some()),
        Holder::Pacing => pacing(found.output),
        Holder::Qdisc => qdisc(found.output),
        Holder::Limit => limit(found.output, found.from, v),
        Holder::Memory => format!(
            "Lack of memory holds the sender up, not the limit: {} of {} bytes are queued, and the \
             kernel refuses more.",
            grouped(found.output.map_or(v.wmem_queued, |o| o.wmem_queued.into())),
            grouped(found.output.map_or(v.sndbuf, |o| o.sndbuf.into()))
        ),
        Holder::Lowat => lowat(found.output, v),
        Holder::Nobody => String::new(),
    }
}

fn receiver(shown: Option<&Output>, from: BlameFrom, v: &Verdict) -> String {
    const WHO: &str = "The receiver holds the sender up";
    const SLOW: &str = "its application reads slowly, or its buffer is small for this path";
    let clock = v.clocks.filter(|_| from == BlameFrom::Clocks);
    let share = clock.map(|c| percent(c.rwnd_limited_ns, c.busy_ns));
    let Some(o) = shown else {
        return match share {
            Some(share) => format!(
                "{WHO}: its window stopped the sender for {share} % of the time with data to \
                 send; {SLOW}."
            ),
            None if from == BlameFrom::Window => window_alone(v),
            None => format!("{WHO}: its window was full; {SLOW}."),
        };
    };
    let (window, flight) = (bytes(o.snd_wnd), grouped(o.in_flight.into()));
    if o.taken_back() {
        return format!(
            "{WHO}: it took back window that it had offered (snd_wnd {}, {flight} bytes in \
             flight); its receive buffer has no room for them.",
            grouped(o.snd_wnd.into())
        );
    }
    if o.retransmits >= 2 {
        return format!(
            "{WHO}: it answers, but takes no data ({} retransmission timeouts in a row, the last \
             ACK came {} ago); its receive buffer has no room, or data is lost on the way.",
            o.retransmits,
            span(o.since_ack_ns)
        );
    }
    if o.snd_wnd == 0 && o.in_flight == 0 && o.since_sent_ns >= LONG {
        return format!(
            "{WHO}: its window is 0, and no data was sent for {}: its application does not read.",
            span(o.since_sent_ns)
        );
    }
    if o.snd_wnd == 0 {
        return format!("{WHO}: its window is 0, its application does not read.");
    }
    if o.in_flight == 0 {
        return format!(
            "{WHO}: its window ({window}) has no room for one more segment, its application does \
             not read."
        );
    }
    let share = share.map_or(String::new(), |share| {
        format!(" for {share} % of the time with data to send")
    });
    format!("{WHO}: its window ({window}) is full{share}; {SLOW}.")
}

/// By the peer's window alone, at the last record.
fn window_alone(v: &Verdict) -> String {
    let window = &v.peer_window;
    match (window.last_bytes, window.last_in_flight) {
        (0, 0) => {
            "The receiver holds the sender up: its window is 0, its application does not read."
                .to_owned()
        }
        // An MPTCP socket sends no segments itself.
        (bytes_left, in_flight) if v.is_mptcp() => format!(
            "The receiver holds the sender up: its window ({}, {} in flight) has no room.",
            bytes(bytes_left),
            grouped(in_flight)
        ),
        (bytes_left, in_flight) => format!(
            "The receiver holds the sender up: its window ({}, {} in flight) has no room for one \
             more segment.",
            bytes(bytes_left),
            grouped(in_flight)
        ),
    }
}

fn timeouts(output: Option<&Output>) -> String {
    let ago = span(output.map_or(0, |o| o.since_ack_ns));
    match output.map_or(0, |o| o.retransmits) {
        0 => "Nothing is acknowledged: the sender waits for retransmission timeouts.".to_owned(),
        1 => format!(
            "Nothing is acknowledged: 1 retransmission timeout, and the last ACK came {ago} ago. After \
             one timeout, a lost segment and a path that is down look the same."
        ),
        n => format!(
            "Nothing is acknowledged: {n} retransmission timeouts in a row, and the last ACK came \
             {ago} ago. The path or the peer is down."
        ),
    }
}

fn cwnd(output: Option<&Output>, full: bool) -> String {
    const WHO: &str = "The congestion window holds the sender up, not the receiver";
    let Some(o) = output else {
        return format!("{WHO}.");
    };
    let segments = format!("{} segments of {}", grouped(o.cwnd.into()), bytes(o.mss));
    let srtt = span(u64::from(o.srtt_us) * 1000);
    let mut text = if full {
        format!("{WHO}: its {segments} are in flight, and an ACK takes {srtt}")
    } else {
        format!("{WHO}: it was {segments} when that was last seen, and an ACK took {srtt}")
    };
    if o.total_retrans != 0 {
        text.push_str(&format!(
            "; {} segments were sent again so far",
            grouped(o.total_retrans.into())
        ));
    }
    text.push('.');
    text
}

fn pacing(output: Option<&Output>) -> String {
    let mut text = "Pacing holds the sender up".to_owned();
    if let Some(o) = output {
        let rate = i64::try_from(o.pacing_rate).unwrap_or(i64::MAX);
        text.push_str(&format!(
            ": {} a second may leave (sk_pacing_rate, {})",
            bytes(rate),
            if rate_set(o) {
                "by SO_MAX_PACING_RATE"
            } else {
                "by congestion control"
            }
        ));
    }
    text.push('.');
    text
}

/// Whether the socket's own rate is what bounds it.
fn rate_set(o: &Output) -> bool {
    unlimited(o.max_pacing_rate).is_some() && o.pacing_rate >= o.max_pacing_rate
}

/// None: all ones, in 32 or 64 bits.
fn unlimited(rate: u64) -> Option<u64> {
    (rate != 0 && rate != u64::MAX && rate != u64::from(u32::MAX)).then_some(rate)
}

fn qdisc(output: Option<&Output>) -> String {
    let mut text = "The queueing discipline or the device holds the sender up".to_owned();
    if let Some(o) = output.filter(|o| throttled(o) || o.mostly_below()) {
        text.push_str(&format!(
            ": packets of this socket that use {} of memory have not left it",
            bytes(o.wmem_alloc)
        ));
        if throttled(o) {
            text.push_str(", and TCP adds none until some do (TSQ)");
        }
    }
    text.push('.');
    text
}

fn throttled(o: &Output) -> bool {
    o.flags & OUTPUT_THROTTLED != 0
}

fn limit(output: Option<&Output>, from: BlameFrom, v: &Verdict) -> String {
    const WHO: &str = "The limit itself holds the sender up";
    if let Some(clocks) = v.clocks.filter(|_| from == BlameFrom::Clocks) {
        return format!(
            "{WHO}: for {} % of the time with data to send, all that it let in was in flight and \
             both windows had room (sndbuf_limited).",
            percent(clocks.sndbuf_limited_ns, clocks.busy_ns)
        );
    }
    match output.filter(|o| o.stopped_by() == Holder::Nobody) {
        Some(o) => format!(
            "{WHO}: what it lets in is in flight ({}), and both the congestion window and the \
             receiver's window have room.",
            bytes(o.in_flight)
        ),
        None => format!("{WHO}."),
    }
}

fn lowat(output: Option<&Output>, v: &Verdict) -> String {
    let which = v.blocked.map_or("TCP_NOTSENT_LOWAT", |b| b.lowat());
    let mut text =
        format!("{which} holds the sender up, not the limit: unsent bytes have reached it");
    let behind = output.map(|o| refined(o.stopped_by(), o));
    let behind = match behind {
        Some(Holder::Receiver) => ", and wait for the receiver's window",
        Some(Holder::Timeouts) => ", and wait for ACKs that do not come",
        Some(Holder::Cwnd) => ", and wait for the congestion window",
        Some(Holder::Pacing) => ", and wait for pacing",
        Some(Holder::Qdisc) => ", and wait for the queueing discipline or the device",
        _ => "",
    };
    text.push_str(behind);
    text.push('.');
    text
}

impl Clocks {
    /// Since skmem saw the socket; None where they were not read, or there was
    /// nothing to send.
    pub(super) fn of(account: &Account) -> Option<Self> {
        let outputs = &account.outputs;
        let latest = [&outputs.last, &outputs.held, &outputs.worst];
        let latest = latest.into_iter().max_by_key(|o| o.at_ns)?;
        let first = &outputs.first;
        if !latest.known() || !first.known() {
            return None;
        }
        let rwnd_limited_ns = latest.rwnd_limited_ns.saturating_sub(first.rwnd_limited_ns);
        let sndbuf_limited_ns = latest
            .sndbuf_limited_ns
            .saturating_sub(first.sndbuf_limited_ns);
        let alone = latest.busy_ns.saturating_sub(first.busy_ns);
        let busy_ns = alone
            .saturating_add(rwnd_limited_ns)
            .saturating_add(sndbuf_limited_ns);
        (busy_ns != 0).then_some(Self {
            busy_ns,
            rwnd_limited_ns,
            sndbuf_limited_ns,
        })
    }
}

impl Held {
    /// Those that were, the most frequent first.
    pub(super) fn list(account: &Account) -> Vec<Self> {
        let of = |holder: &Holder| Self {
            holder: *holder,
            count: account.blocked.holders[*holder as usize].into(),
        };
        let named = Holder::ALL.iter().filter(|h| **h != Holder::Nobody);
        let mut list: Vec<_> = named.map(of).filter(|h| h.count != 0).collect();
        list.sort_by_key(|h| std::cmp::Reverse(h.count));
        list
    }
}

impl Outputs {
    pub(super) fn of(account: &Account) -> Self {
        let outputs = &account.outputs;
        Self {
            worst: OutputState::of(&outputs.worst),
            held: OutputState::of(&outputs.held),
            last: OutputState::of(&outputs.last),
        }
    }
}

impl OutputState {
    fn of(o: &Output) -> Option<Self> {
        o.known().then(|| Self {
            at_ns: o.at_ns,
            stopped_by: refined(o.stopped_by(), o),
            unsent: o.unsent.into(),
            in_flight: o.in_flight.into(),
            snd_wnd: o.snd_wnd.into(),
            mss: o.mss.into(),
            cwnd: o.cwnd.into(),
            ssthresh: (o.ssthresh < INFINITE_SSTHRESH).then_some(o.ssthresh.into()),
            packets_in_flight: o.packets_in_flight().into(),
            lost_out: o.lost_out.into(),
            retrans_out: o.retrans_out.into(),
            total_retrans: o.total_retrans.into(),
            srtt_ns: u64::from(o.srtt_us) * 1000,
            since_ack_ns: o.since_ack_ns,
            since_sent_ns: o.since_sent_ns,
            rto_ns: u64::from(o.rto_ms) * 1_000_000,
            retransmits: o.retransmits.into(),
            backoff: o.backoff.into(),
            probes_out: o.probes_out.into(),
            ca_state: CaState::of(o.ca_state),
            pacing: Pacing::of(o.pacing),
            pacing_rate: unlimited(o.pacing_rate),
            max_pacing_rate: unlimited(o.max_pacing_rate),
            pacing_wait_ns: o.pacing_wait_ns,
            tsq_throttled: throttled(o),
            wmem_alloc: o.wmem_alloc.into(),
        })
    }
}
