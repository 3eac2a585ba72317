//! Both ends of a connection as text.

use super::{
    identity::{ends, owner, pod},
    layout::{hang, row, title},
    memory, receive_account,
    style::{Role, Style},
    units::{bytes, span},
};
use crate::explain::{
    numbers::grouped,
    pair::{JoinedBy, Pair, Place, Way},
    verdict::{Receive, Verdict},
};

/// Columns of labels.
const LABEL: usize = 10;

/// One connection. Ends with a newline.
#[must_use]
pub fn pair(pair: &Pair, style: &Style) -> String {
    let mut out = String::new();
    let [first, second] = &pair.ends;
    let Some(way) = pair.ways.first() else {
        return out;
    };
    hang(
        &mut out,
        "",
        0,
        &answer(way, first, second),
        Some(Role::Title),
        style,
    );
    out.push('\n');
    row(&mut out, "sender", LABEL, &who(first), style);
    row(&mut out, "receiver", LABEL, &who(second), style);
    if pair.joined_by == JoinedBy::SequenceNumbers {
        let text = "by sequence numbers: the addresses differ, as NAT makes them";
        row(&mut out, "joined", LABEL, text, style);
    }
    flow(&mut out, way, first, second, style);
    out.push('\n');
    // Where it is the receiver, its own row says why: the sender knows no more than the window.
    let at_receiver = matches!(
        way.held_at,
        Place::Reader | Place::ErrorQueue | Place::ReceiveBuffer
    );
    if let Some(blame) = first.blame.as_ref().filter(|_| !at_receiver) {
        row(&mut out, "sender", LABEL, &blame.sentence, style);
    }
    if let Some(receive) = &second.receive {
        row(&mut out, "receiver", LABEL, &memory::answer(receive), style);
    }
    if let Some(back) = pair.ways.get(1) {
        let text = format!(
            "{} written since skmem saw it, {} outstanding{}",
            bytes(back.taken),
            bytes(back.outstanding),
            match back.held_at.holds() {
                true => format!("; {}", place(back, second, first)),
                false => String::new(),
            }
        );
        row(&mut out, "way back", LABEL, &text, style);
    }
    out
}

/// One line of a list of connections.
#[must_use]
pub fn pair_line(pair: &Pair) -> String {
    let [first, second] = &pair.ends;
    let Some(way) = pair.ways.first() else {
        return String::new();
    };
    format!(
        "{}  {} → {}  {} outstanding; {}\n",
        ends(&first.socket),
        owner(&first.socket),
        owner(&second.socket),
        bytes(way.outstanding),
        place(way, first, second)
    )
}

/// Where it is held up, first.
fn answer(way: &Way, from: &Verdict, to: &Verdict) -> String {
    let text = place(way, from, to);
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

fn place(way: &Way, from: &Verdict, to: &Verdict) -> String {
    let (sender, receiver) = (owner(&from.socket), owner(&to.socket));
    let receive = to.receive.as_ref();
    match way.held_at {
        Place::Writer => format!(
            "nothing is held up: {receiver} has read all that {sender} wrote{}",
            receive.map_or(String::new(), waits)
        ),
        Place::SendLimit => format!(
            "the sender's limit holds it up: {sender} may queue no more (sndbuf {})",
            grouped(from.sndbuf)
        ),
        Place::Pacing => {
            format!("pacing of the sender's socket holds it up: {sender} may send no faster")
        }
        Place::Qdisc => format!(
            "the sender's queueing discipline or device holds it up: {} of {sender} wait there",
            bytes(from.wmem_alloc)
        ),
        Place::Network => {
            format!("the path between them holds it up, neither {sender} nor {receiver}")
        }
        Place::Reader if receive.is_none_or(|r| r.reads == 0) => {
            format!("the reader holds it up: {receiver} has not read since skmem saw its socket")
        }
        Place::Reader => format!(
            "the reader holds it up: {receiver} reads more slowly than {sender} writes{}",
            receive.map_or(String::new(), read)
        ),
        Place::ErrorQueue => format!(
            "the receiver's error queue holds it up: {receiver} does not collect it (MSG_ERRQUEUE), and it fills the \
             receive buffer"
        ),
        Place::ReceiveBuffer => format!(
            "the receive buffer of {receiver} holds it up, not its reading: it is small for this path, or full of what is \
             no unread data"
        ),
        Place::Memory => {
            format!("lack of kernel memory holds it up, between {sender} and {receiver}")
        }
        Place::Nowhere if way.not_sent == 0 && way.on_the_way <= 0 => format!(
            "nobody is held up: {} wait for {receiver} to read them, and its window has room",
            bytes(way.not_read)
        ),
        Place::Nowhere => format!(
            "nothing shows that {sender} or {receiver} holds it up: {} are under way",
            bytes(way.outstanding)
        ),
    }
}

fn waits(r: &Receive) -> String {
    match &r.account {
        Some(a) if a.reader_waits_ns > a.data_waits_ns => format!(
            "; a reader slept in recv for {}, {}",
            span(a.reader_waits_ns),
            receive_account::waited(a)
        ),
        _ => String::new(),
    }
}

fn read(r: &Receive) -> String {
    match &r.account {
        Some(a) if a.data_waits_ns != 0 => format!("; {}", receive_account::waited(a)),
        _ => String::new(),
    }
}

fn who(v: &Verdict) -> String {
    let netns = match &v.socket.netns_name {
        Some(name) => format!(", netns {name}"),
        None => String::new(),
    };
    let of = pod(&v.socket);
    let of = of.as_ref().or(v.socket.container.as_ref());
    let of = of.or(v.socket.unit.as_ref());
    let of = of.map_or(String::new(), |name| format!(", {name}"));
    format!("{}  {}{of}{netns}", owner(&v.socket), ends(&v.socket))
}

/// Where the bytes are, from `send()` to `recv()`.
fn flow(out: &mut String, way: &Way, from: &Verdict, to: &Verdict, style: &Style) {
    if from.socket.closed || to.socket.closed {
        let text = format!(
            "an end is closed; {} were written and {} arrived since skmem saw it",
            bytes(way.taken),
            bytes(way.arrived)
        );
        row(out, "bytes", LABEL, &text, style);
        return;
    }
    title(out, "From send() to recv(), at the end of the watch", style);
    let rows = [
        (way.not_sent, "written, not sent yet (write_seq - snd_nxt)"),
        (
            way.on_the_way,
            match way.on_the_way < 0 {
                true => "the receiver was read later than the sender (snd_nxt - rcv_nxt)",
                false => "sent, not received in sequence (snd_nxt - rcv_nxt)",
            },
        ),
        (
            way.not_read,
            "received, not read yet (rcv_nxt - copied_seq)",
        ),
        (
            way.outstanding,
            "= written and not read (write_seq - copied_seq)",
        ),
    ];
    let widest = rows
        .iter()
        .map(|(n, _)| grouped(*n).len())
        .max()
        .unwrap_or(0);
    for (n, text) in rows {
        let head = format!("  {:>widest$} B  ", grouped(n));
        let columns = head.chars().count();
        hang(out, &head, columns, text, None, style);
    }
    let text = format!(
        "sender w {} of sndbuf {}; receiver r {} of rb {}, window {}",
        grouped(way.wmem_queued),
        grouped(from.sndbuf),
        grouped(way.rmem_alloc),
        grouped(way.rcvbuf),
        grouped(way.window)
    );
    row(out, "memory", LABEL, &text, style);
}
