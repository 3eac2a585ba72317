//! Memory that the socket was granted, and its receive side.

use super::{
    headline::is_of_receiving,
    layout::{hang, row, title},
    receive_account,
    style::{Role, Style},
    units::{bytes, counted, signed, span},
};
use crate::explain::{
    Verdict,
    numbers::grouped,
    verdict::{Memory, Receive},
    window::Window,
};

/// Columns of labels.
const LABEL: usize = 10;

/// What `__sk_mem_schedule` said, and which hooks counted.
pub(super) fn granted(out: &mut String, v: &Verdict, style: &Style) {
    let mut text = scheduled(&v.memory);
    if v.memory.messages != 0 {
        text.push(format!(
            "{} charged by the layer above (kTLS) before it is queued, up to {} each",
            counted(signed(v.memory.messages), "message"),
            bytes(signed(v.memory.largest_message))
        ));
    }
    if !text.is_empty() {
        row(out, "memory", LABEL, &text.join("; "), style);
    }
}

fn scheduled(m: &Memory) -> Vec<String> {
    let mut text = Vec::new();
    let times = |n: u64| counted(signed(n), "time");
    let counted = m.granted.is_some();
    if let (Some(granted @ 1..), Some(ahead)) = (m.granted, m.granted_bytes) {
        text.push(format!(
            "__sk_mem_schedule granted {}, {} ahead of use",
            times(granted),
            bytes(signed(ahead))
        ));
    }
    // Where the others are not counted there is nothing that these are a part of.
    let part = |n: u64| match counted {
        true => format!("{} of them", grouped(signed(n))),
        false => format!("__sk_mem_schedule granted {}", times(n)),
    };
    if m.granted_over_tcp_mem != 0 {
        let granted = part(m.granted_over_tcp_mem);
        text.push(format!(
            "{granted} over tcp_mem[2], the sender being at its limit"
        ));
    }
    if m.granted_over_memcg != 0 {
        let granted = part(m.granted_over_memcg);
        text.push(format!(
            "{granted} over the cgroup's limit, sk_sndbuf being cut for it"
        ));
    }
    if m.refused != 0 {
        let who = if text.is_empty() {
            "__sk_mem_schedule "
        } else {
            ""
        };
        text.push(format!(
            "{who}refused {}, {} of them over tcp_mem[2]",
            times(m.refused),
            grouped(signed(m.refused_over_tcp_mem))
        ));
    }
    text
}

/// What arrived and was not read.
pub(super) fn receive(out: &mut String, v: &Verdict, style: &Style) {
    let Some(r) = &v.receive else { return };
    title(out, "Receive side", style);
    if !is_of_receiving(v) {
        let role = r.slow.then_some(Role::Alarm);
        hang(out, "  ", 2, &answer(r), role, style);
    }
    let (unread, held, window) = if v.is_mptcp() {
        (
            "received and not read",
            "memory of all packets held, unread or not",
            "promised on all subflows together (rcv_wnd_sent), and not taken in yet",
        )
    } else {
        (
            "rcv_nxt - copied_seq: received and not read",
            "memory of all packets held, unread or not, and of the error queue",
            "what the peer may still send",
        )
    };
    let mut lines = vec![
        ("Recv-Q", r.recv_q, unread.to_owned()),
        (
            "rmem_alloc",
            r.rmem_alloc,
            format!(
                "{held}; r in ss -m; at most {}",
                grouped(r.fullest_rmem_alloc)
            ),
        ),
        ("sk_rcvbuf", r.rcvbuf, "its limit; rb in ss -m".to_owned()),
        (
            "window",
            r.window,
            format!(
                "{window}; fell to 0 {}",
                counted(signed(r.zero_windows), "time")
            ),
        ),
    ];
    // No packet waits for the owner of an MPTCP socket: those of its subflows wait there.
    if !v.is_mptcp() {
        lines.push((
            "backlog",
            r.backlog,
            "waits for the socket's owner; bl in ss -m".to_owned(),
        ));
    }
    let number = |n: i64| format!("{} B", grouped(n));
    let width = lines.iter().map(|l| number(l.1).len()).max().unwrap_or(0);
    for (label, n, text) in &lines {
        let head = format!("  {label:<12}{:>width$}  ", number(*n));
        hang(out, &head, head.len(), text, None, style);
    }
    if let Some(window) = &r.buffer {
        hang(out, "  ", 4, &window.sum(), None, style);
    }
    if let Some(account) = &r.account {
        receive_account::write(out, account, style);
        // What fills a subflow's buffer does not shut its window.
        if let Some(shut) = account.window_shut.as_ref().filter(|_| !r.subflow) {
            receive_account::write_shut(out, shut, style);
        }
    }
}

/// In place of a send side on which nothing happened.
pub(super) fn nothing_sent(out: &mut String, v: &Verdict, style: &Style) {
    let text = format!(
        "nothing; 0 of {} bytes of send memory in use",
        grouped(v.sndbuf)
    );
    out.push('\n');
    row(out, "sent", LABEL, &text, style);
}

/// Whether the reader keeps up.
pub(in crate::render) fn answer(r: &Receive) -> String {
    if r.subflow {
        return taken_by_mptcp(r);
    }
    let read = match (r.reads, r.since_read_ns) {
        (0, _) | (_, None) => "the application has not read from this socket".to_owned(),
        (n, Some(since)) => format!(
            "the application has read {}, the last time {} ago",
            counted(signed(n), "time"),
            span(since)
        ),
    };
    let waits = if r.recv_q > 0 {
        format!(
            "{} wait unread{}, ",
            bytes(r.recv_q),
            if r.unread_ns > 0 {
                format!(" for {}", span(r.unread_ns))
            } else {
                String::new()
            }
        )
    } else if r.longest_unread_ns > 0 {
        format!(
            "data waited up to {} for a read, ",
            span(r.longest_unread_ns)
        )
    } else {
        String::new()
    };
    let account = r.account.as_ref();
    // Of a reader that has not read there is no more to be said.
    let reading = account.filter(|_| r.slow && r.reads != 0);
    let reading = reading.and_then(receive_account::reading);
    let reading = reading.map_or(String::new(), |text| format!("; {text}"));
    // The socket's own fields say more than what the trace saw of it.
    let shut = r.buffer.filter(Window::is_shut);
    if let Some(why) = shut.and_then(|window| window.says()) {
        return format!("{waits}{read}{reading}. {why}");
    }
    if r.is_filled_by_errors() {
        return format!("{waits}{read}; {}.", receive_account::filled_by_errors(r));
    }
    let shut = account.and_then(|account| account.window_shut.as_ref());
    if let Some(why) = shut.and_then(receive_account::held_by) {
        return format!("{waits}{read}{reading}; {why}.");
    }
    let so = match (r.slow, is_mostly_data(r)) {
        (false, _) => "",
        (true, true) => ": the reader holds the peer up, not the network",
        (true, false) => {
            "; most of what filled the receive buffer was not unread data: small packets, packets that were read in \
             part, out-of-order data, or messages on the error queue (MSG_ERRQUEUE), which shut the window as well"
        }
    };
    format!("{waits}{read}{so}{reading}.")
}

/// Of a subflow: its window and its reader are those of the MPTCP socket.
fn taken_by_mptcp(r: &Receive) -> String {
    let taken = match (r.reads, r.since_read_ns) {
        (0, _) | (_, None) => "MPTCP has taken no data from this subflow".to_owned(),
        (n, Some(since)) => format!(
            "MPTCP has taken the data of this subflow {}, the last time {} ago",
            counted(signed(n), "time"),
            span(since)
        ),
    };
    let waits = match r.recv_q {
        ..=0 => String::new(),
        n => format!("; {} wait for it", bytes(n)),
    };
    format!("{taken}{waits}. Reader and window are those of the MPTCP socket.")
}

/// Whether unread data made up what the receive buffer held when it was fullest. r is truesize: a
/// packet stays in it until its last byte is read, and the error queue counts.
pub(super) fn is_mostly_data(r: &Receive) -> bool {
    r.fullest_recv_q.saturating_mul(4) >= r.fullest_rmem_alloc
}
