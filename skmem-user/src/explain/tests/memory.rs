//! Memory granted and refused, and the receive side.

use skmem_common::memory::Grant;

use super::socket::{SETTING, Socket, article};
use crate::{
    explain::Setting,
    render::{self, Style},
};

#[test]
fn grants_are_told_by_how_they_ended() {
    let mut socket = article(896);
    for grant in Grant::ALL {
        socket.account.scheduled.count(*grant, 4096);
    }
    let v = socket.verdict();
    assert_eq!((v.memory.granted, v.memory.refused), (3, 2));
    assert_eq!(v.memory.granted_over_tcp_mem, 1);
    let names: Vec<_> = v.memory.named().into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "granted",
            "granted-over-tcp_mem",
            "granted-over-memcg",
            "refused"
        ]
    );
    for name in names {
        assert!(crate::explain::pages::find(name).is_ok(), "{name}");
    }
    let text = render::text(&v, &Style::PLAIN);
    assert!(text.contains("1 of them over tcp_mem[2]"), "{text}");
}

#[test]
fn pages_that_do_not_close_are_said() {
    let mut socket = article(896);
    socket.account.pages.look(15_376, 0, 1_008, 12);
    assert_eq!(socket.verdict().self_check.pages_close, Some(true));
    socket.account.pages.look(15_376, 0, 1_000, 12);
    let v = socket.verdict();
    assert_eq!(v.self_check.pages_close, Some(false));
    assert!(v.incomplete_because[0].contains("4088 bytes over"), "{v:?}");
    socket.account.pages.exempt = 1;
    assert_eq!(socket.verdict().self_check.pages_close, None);
}

#[test]
fn a_reader_that_does_not_read_is_named_on_its_own_side() {
    let mut socket = Socket::with_sndbuf(65_536, 896);
    assert_eq!(socket.verdict().receive, None);
    let r = &mut socket.account.receiving;
    r.window_moved(64_000);
    (r.now.rmem_alloc, r.now.rcvbuf, r.now.rcv_nxt) = (2_304, 131_072, 1_000);
    r.arrived(2_000_000_000);
    r.window_moved(0);
    (r.now.rmem_alloc, r.now.rcv_nxt) = (131_072, 65_160);
    r.arrived(2_500_000_000);
    let v = socket.verdict();
    let r = v.receive.as_ref().unwrap();
    assert_eq!((r.recv_q, r.window, r.zero_windows), (65_160, 0, 1));
    assert_eq!(
        (r.unread_ns, r.longest_unread_ns),
        (3_000_000_000, 3_000_000_000)
    );
    assert!(r.slow);
    let text = render::text(&v, &Style::PLAIN);
    let answer = "does not read as fast as its peer sends: 65,160 bytes wait unread for 3.000 s";
    assert!(text.replace('\n', " ").contains(answer), "{text}");
    // A window that something else shut: the reader is not blamed alone.
    let r = &mut socket.account.receiving;
    r.now.copied_seq = 65_000;
    r.fullest = r.now;
    let text = render::text(&socket.verdict(), &Style::PLAIN).replace('\n', " ");
    assert!(
        text.contains("holds its peer up, and not by unread data alone"),
        "{text}"
    );
    assert!(
        text.contains("messages on the error queue") && !text.contains("not the network"),
        "{text}"
    );
    // Read at once, it is nobody's fault.
    let quick = Setting {
        now_ns: 2_600_000_000,
        ..SETTING
    };
    let r = &mut socket.account.receiving;
    *r = skmem_common::receive::Receiving::default();
    r.window_moved(64_000);
    r.now.rcv_nxt = 1_000;
    r.arrived(2_000_000_000);
    r.now.copied_seq = 1_000;
    r.taken(2_000_100_000);
    let v = socket.verdict_in(&quick);
    // Nothing was sent: the page is about receiving.
    let text = render::text(&v, &Style::PLAIN);
    assert!(text.contains("only receives: data waited up to"), "{text}");
    assert!(!text.contains("From SO_SNDBUF"), "{text}");
    assert!(text.contains("\nsent      nothing; 0 of "), "{text}");
    let r = v.receive.unwrap();
    assert!(!r.slow);
    assert_eq!(
        (r.recv_q, r.unread_ns, r.longest_unread_ns),
        (0, 0, 100_000)
    );
}
