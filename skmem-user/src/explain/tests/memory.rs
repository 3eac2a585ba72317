//! Memory granted and refused, and the receive side.

use skmem_common::{
    memory::Grant,
    receive::Receiving,
    receive_cause::ReceiveCause,
    receive_ledger::{End, Step},
};

use crate::testing::socket::{SETTING, Socket, article};
use crate::{
    explain::{VerdictContext, receive::HeldBy, window::Window},
    render::{self, Style},
};

#[test]
fn grants_are_told_by_how_they_ended() {
    let mut socket = article(896);
    for grant in Grant::ALL {
        socket.account.scheduled.count(*grant, 4096);
    }
    let v = socket.verdict();
    assert_eq!((v.memory.granted, v.memory.refused), (Some(3), 2));
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
    socket.account.pages.observe(15_376, 0, 1_008, 12);
    assert_eq!(socket.verdict().self_check.pages_close, Some(true));
    socket.account.pages.observe(15_376, 0, 1_000, 12);
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
    socket.stops_reading();
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
    let quick = VerdictContext {
        now_ns: 2_600_000_000,
        ..SETTING
    };
    let r = &mut socket.account.receiving;
    *r = Receiving::default();
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

/// A receive side that a test moves by hand, 1 ms a step.
struct Reader {
    r: Receiving,
    now: u64,
}

impl Reader {
    fn new() -> Self {
        let mut r = Receiving::default();
        r.now.rcvbuf = 80_000;
        r.window_moved(40_000);
        r.start(true, 1_000_000_000);
        Self {
            r,
            now: 1_000_000_000,
        }
    }

    fn end(&mut self, end: End) {
        self.now += 1_000_000;
        self.r.before_reading();
        self.r.ended(end, self.now);
    }

    fn arrives(&mut self, payload: u32) {
        self.r.now.rcv_nxt += payload;
        self.r.now.rmem_alloc += 896 + payload.cast_signed();
        self.end(End::queued(false, 896 + payload, payload));
        self.r.arrived(self.now);
    }

    /// The window falls to 0 with this in the buffer.
    fn shuts(&mut self, unread: i32, held: i32, errors: i32) {
        self.r.window_moved(0);
        self.r.shut.at_ns = self.now;
        self.r.shut.rmem_alloc = self.r.now.rmem_alloc;
        self.r.shut.rcvbuf = self.r.now.rcvbuf;
        (self.r.shut.unread, self.r.shut.held, self.r.shut.errors) = (unread, held, errors);
        self.end(End::of(Step::Outside));
    }
}

#[test]
fn receive_memory_is_named_by_cause() {
    let mut reader = Reader::new();
    reader.arrives(30_000);
    reader.arrives(30_000);
    reader.r.now.copied_seq += 45_000;
    reader.r.now.rmem_alloc -= 30_896;
    reader.end(End::frees(ReceiveCause::Read));
    reader.r.taken(reader.now);
    reader.shuts(15_000, 15_000, 0);
    let mut socket = Socket::with_sndbuf(65_536, 896);
    socket.account.receiving = reader.r;
    let v = socket.verdict();
    let account = v.receive.as_ref().unwrap().account.as_ref().unwrap();
    assert!(account.closes);
    assert_eq!((account.sum, account.payload), (30_896, 60_000));
    assert_eq!(account.of_cause(ReceiveCause::Read), -30_896);
    assert_eq!(account.unattributed_count, 0);
    // Of equals, the reader's part.
    assert_eq!(account.window_shut.unwrap().held_by, HeldBy::Unread);
    let text = render::text(&v, &Style::PLAIN);
    for line in [
        "r by cause since skmem first saw the socket: 30,896 bytes in all",
        "    in-order           +60,000 B  × 2  payload that arrived in sequence",
        "    read               -30,896 B  × 1  freed by reads",
        "  window 0  the last time it fell to 0, r was 30,896 of rb 80,000: unread 15,000 + read but",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    // Most of it was read already: not the reader's pace, but the size of the skb.
    socket.account.receiving.shut.held = 20_000;
    let text = render::text(&socket.verdict(), &Style::PLAIN).replace('\n', " ");
    assert!(
        text.contains("20,000 of r's 30,896 bytes had been read already"),
        "{text}"
    );
}

/// A reader of a socket on which data waits from 1.001 s to 5.000 s, whose window falls to 0; it is
/// inside recv for `inside` ms of that, in all.
fn read_for(inside: u64) -> Socket {
    let mut reader = Reader::new();
    reader.r.inside_kept = 1;
    reader.arrives(60_000);
    assert!(reader.r.reader_enters());
    reader.r.reading_begins(reader.now);
    reader.now += (inside - 1) * 1_000_000;
    reader.r.reader_leaves();
    reader.r.now.copied_seq += 1_000;
    reader.end(End::frees(ReceiveCause::Read));
    reader.shuts(59_000, 1_000, 0);
    let mut socket = Socket::with_sndbuf(65_536, 896);
    socket.account.receiving = reader.r;
    socket
}

#[test]
fn a_reader_that_copies_is_told_from_one_that_is_elsewhere() {
    let said = |socket: &Socket| {
        let v = socket.verdict();
        let account = v.receive.as_ref().unwrap().account.clone().unwrap();
        let text = render::text(&v, &Style::PLAIN).replace('\n', " ");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        (account.data_waits_ns, account.reader_inside_ns, text)
    };
    let inside = "for 3.900 s of the 3.999 s in which there was data a reader was inside recv";
    let elsewhere = "for 3.899 s of the 3.999 s in which there was data no reader was at work";
    let (data, of_it, text) = said(&read_for(3_900));
    assert_eq!((data, of_it), (3_999_000_000, Some(3_900_000_000)));
    assert!(text.contains(inside) && !text.contains(elsewhere), "{text}");
    assert!(
        text.contains("time data waited for 99.0 ms and was being read for 3.900 s; all was read"),
        "{text}"
    );
    let mut socket = read_for(100);
    let (data, of_it, text) = said(&socket);
    assert_eq!((data, of_it), (3_999_000_000, Some(100_000_000)));
    assert!(text.contains(elsewhere) && !text.contains(inside), "{text}");
    // Also where the socket's own fields say why its window is 0.
    let mut v = socket.verdict();
    v.receive.as_mut().unwrap().buffer = Some(Window {
        rcvbuf: 80_000,
        unread: 59_000,
        rmem_alloc: 60_896,
        to_open: 20_000,
        ..Window::default()
    });
    let text = render::text(&v, &Style::PLAIN).replace('\n', " ");
    for part in [elsewhere, "The window is 0"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    // Neither for most of it.
    let (_, of_it, text) = said(&read_for(2_000));
    assert_eq!(of_it, Some(2_000_000_000));
    assert!(!text.contains("in which there was data"), "{text}");
    // On 5.10, and in replay.
    socket.account.receiving.inside_kept = 0;
    let (data, of_it, text) = said(&socket);
    assert_eq!((data, of_it), (3_999_000_000, None));
    assert!(!text.contains("in which there was data"), "{text}");
    assert!(
        text.contains("data waited or was being read for 3.999 s"),
        "{text}"
    );
    // Who splices is not seen to come in.
    let mut socket = read_for(100);
    socket.account.receiving.ledger.total[ReceiveCause::ReadSpliced as usize].count = 1;
    assert_eq!(said(&socket).1, None);
}

#[test]
fn an_error_queue_is_not_the_readers_fault() {
    let mut reader = Reader::new();
    reader.arrives(1_000);
    reader.r.now.copied_seq += 1_000;
    reader.r.now.rmem_alloc = 60_000;
    (reader.r.errors_in, reader.r.errors_in_count) = (60_000, 40);
    reader.end(End::frees(ReceiveCause::Read));
    reader.r.taken(reader.now);
    reader.shuts(0, 0, 60_000);
    let mut socket = Socket::with_sndbuf(65_536, 896);
    socket.account.receiving = reader.r;
    let v = socket.verdict();
    let r = v.receive.as_ref().unwrap();
    assert!(!r.slow && r.is_filled_by_errors());
    assert_eq!(r.rmem_alloc, 60_000);
    assert_eq!(r.account.as_ref().unwrap().error_queue, 60_000);
    let text = render::text(&v, &Style::PLAIN).replace('\n', " ");
    for part in [
        "does not collect its error queue",
        "60,000 bytes of sk_rcvbuf 80,000, not unread data",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_receive_buffer_that_only_a_walk_has_seen_was_never_less_full() {
    let mut socket = Socket::with_sndbuf(65_536, 896);
    let r = &mut socket.account.receiving;
    (r.now.rmem_alloc, r.now.rcvbuf, r.now.rcv_nxt) = (1_896, 131_072, 1_000);
    let v = socket.verdict();
    let r = v.receive.as_ref().unwrap();
    assert_eq!(
        (r.rmem_alloc, r.fullest_rmem_alloc, r.fullest_recv_q),
        (1_896, 1_896, 1_000)
    );
    assert_eq!((r.fullest_rcvbuf, r.fullest_ns), (131_072, SETTING.now_ns));
    let text = render::text(&v, &Style::PLAIN).replace('\n', " ");
    assert!(text.contains("at most 1,896"), "{text}");
}
