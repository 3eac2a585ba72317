//! What is said of an MPTCP socket and of its subflows.

use skmem_common::{
    cause::Cause,
    record::{IDENT_MPTCP, IDENT_MPTCP_SOCKET},
};

use super::verdicts::says;
use crate::testing::socket::Socket;

/// An MPTCP socket whose writer is asleep, 12,320 bytes past its limit.
fn stalled() -> Socket {
    let mut socket = Socket::with_sndbuf(65_536, 0);
    let account = &mut socket.account;
    account.ident.flags |= IDENT_MPTCP_SOCKET;
    account.token = 0x4f08_89df;
    account.mptcp = account.ident.id;
    let before = [(Cause::MptcpData, 110_784), (Cause::MptcpFragHeader, 160)];
    let since = [(Cause::MptcpData, 32_408), (Cause::MptcpFragHeader, 40)];
    for (cause, bytes) in before {
        account.ledger.book(cause as u8, 0, bytes, 2_000_000_000);
    }
    account.ledger.admit(131_072, 2_000_000_000);
    for (cause, bytes) in since {
        account.ledger.book(cause as u8, 0, bytes, 2_000_000_000);
    }
    account.blocked.asleep = 1;
    account.blocked.reasons[0] = 1;
    account.blocked.since_ns = 3_000_000_000;
    let view = &mut account.ledger.worst_view;
    *view = account.last;
    view.wmem_queued = 143_392;
    view.write_seq = view.snd_una + 143_192;
    view.snd_nxt = view.snd_una + 65_536;
    view.snd_wnd = 65_536;
    view.mss = 0;
    view.gso_segs = 0;
    account.last = *view;
    account.write_seq = view.write_seq;
    account.ledger.view_wanted = 0;
    socket
}

#[test]
fn the_mptcp_socket_is_told_of_in_fragments_and_not_in_skbs() {
    let verdict = stalled().verdict();
    assert!(verdict.is_mptcp() && verdict.self_check.holds());
    assert_eq!(verdict.excess, 12_320);
    assert!(verdict.peer_window.closed);
    says(
        &verdict,
        &[
            "Send-Q is 143,192 bytes, 2.2 × the SO_SNDBUF of 65,536 that client (pid 123) asked for: \
             mptcp_sendmsg tests the limit and then fills a page fragment; the last test that was \
             seen passed at 110,944 of 131,072, then 32,448 bytes went in (32,408 of payload",
            "MPTCP 10.0.0.1:40000 → 10.0.0.2:5001",
            "token 4f0889df",
            "data fragments with their headers",
            "write_seq - snd_una of the connection",
            "77,656 of it not given to a subflow yet",
            "asleep now for 2.000 s",
            "shut, so the sender waits for the receiver to read",
            "mptcp-data",
            "[mptcp-data] Make the receiver read.",
        ],
    );
    let text = crate::render::text(&verdict, &crate::render::Style::PLAIN);
    for wrong in ["skb", "size_goal", "MSS", "segment"] {
        // The advice to make the receiver read speaks of TCP in general.
        let account = text.split("What can be done").next().unwrap();
        assert!(!account.contains(wrong), "{wrong}: {text}");
    }
}

#[test]
fn a_queue_that_fell_while_it_was_pushed_was_at_its_limit() {
    let mut socket = stalled();
    socket.account.blocked.reasons = [0, 1, 0];
    assert_eq!(socket.verdict().blocked.unwrap().on.name(), "limit");
    socket.account.scheduled.refused = 1;
    assert_eq!(socket.verdict().blocked.unwrap().on.name(), "memory");
}

#[test]
fn a_subflow_names_its_mptcp_socket() {
    let mut socket = Socket::autotuned(131_072, 896);
    socket.account.mptcp = 77;
    let verdict = socket.verdict();
    assert_eq!(verdict.socket.mptcp_socket, Some(77));
    says(&verdict, &["a subflow of the MPTCP socket with cookie 77"]);
}

/// One that has received 1,000 bytes, has read 300 of them at once, and whose window is 0.
fn receiver(kind: u32) -> Socket {
    let mut socket = Socket::autotuned(131_072, 0);
    socket.account.ident.flags |= kind;
    let r = &mut socket.account.receiving;
    r.now.rcvbuf = 131_072;
    r.now.state = 1;
    r.window_moved(60_000);
    r.start(false, 1_000_000_000);
    r.now.rmem_alloc = 2_304;
    r.now.rcv_nxt = 1_000;
    r.arrived(2_000_000_000);
    r.now.copied_seq = 300;
    r.taken(2_000_000_000);
    r.window_moved(0);
    socket
}

#[test]
fn an_mptcp_socket_has_a_reader_and_a_window() {
    let verdict = receiver(IDENT_MPTCP_SOCKET).verdict();
    let r = verdict.receive.clone().unwrap();
    assert!(r.slow && !r.subflow, "{r:?}");
    says(
        &verdict,
        &[
            "700 bytes wait unread",
            "the application has read 1 time",
            "promised on all subflows together (rcv_wnd_sent), and not taken in yet; fell to 0 1 time",
        ],
    );
    let text = crate::render::text(&verdict, &crate::render::Style::PLAIN);
    for wrong in ["backlog", "error queue", "copied_seq"] {
        assert!(!text.contains(wrong), "{wrong}: {text}");
    }
}

#[test]
fn a_subflow_has_neither() {
    let verdict = receiver(IDENT_MPTCP).verdict();
    let r = verdict.receive.clone().unwrap();
    assert!(r.subflow && !r.slow, "{r:?}");
    says(
        &verdict,
        &[
            "MPTCP has taken the data of this subflow 1 time",
            "700 bytes wait for it. Reader and window are those of the MPTCP socket.",
        ],
    );
    let text = crate::render::text(&verdict, &crate::render::Style::PLAIN);
    assert!(!text.contains("the application has read"), "{text}");
}
