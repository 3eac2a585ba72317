//! Who holds the sender up, from fields as the kernel would have them.

use skmem_common::{
    output::{CHRONO_RWND, Holder, Output},
    record::IDENT_MPTCP_SOCKET,
};

use crate::explain::{blame_subflows, verdict::BlameFrom};
use crate::testing::socket::{Socket, article};

/// A sender with room everywhere and bytes unsent.
fn output() -> Output {
    Output {
        at_ns: 1,
        pacing_rate: u64::MAX,
        max_pacing_rate: u64::MAX,
        wmem_queued: 140_000,
        sndbuf: 131_072,
        snd_wnd: 1 << 20,
        in_flight: 14_480,
        unsent: 100_000,
        mss: 1448,
        cwnd: 100,
        ssthresh: 0x7fff_ffff,
        srtt_us: 200_000,
        packets_out: 10,
        state: 1,
        ..Output::default()
    }
}

/// An article's socket, which was refused once, with these fields at the end.
fn ends_with(last: Output) -> Socket {
    let mut socket = article(896);
    socket.account.outputs.first = Output {
        at_ns: 1,
        ..Output::default()
    };
    socket.account.outputs.last = last;
    socket
}

/// Who is blamed, by what, and in which words.
fn blamed(socket: &Socket) -> (String, String, String) {
    let blame = socket.verdict().blame.unwrap();
    (
        blame.holder.name().into(),
        blame.from.name().into(),
        blame.sentence,
    )
}

#[test]
fn a_receiver_that_does_not_read_comes_before_all() {
    for (last, words) in [
        (
            Output {
                snd_wnd: 0,
                in_flight: 0,
                ..output()
            },
            "its window is 0, its application does not read",
        ),
        (
            Output {
                snd_wnd: 0,
                in_flight: 0,
                since_sent_ns: 18_020_000_000,
                ..output()
            },
            "its window is 0, and no data was sent for 18.020 s: its application does not read",
        ),
        (
            Output {
                snd_wnd: 0,
                in_flight: 15_928,
                retransmits: 4,
                ..output()
            },
            "it took back window that it had offered (snd_wnd 0, 15,928 bytes in flight)",
        ),
        (
            // Answered 100 ms ago, sent again 200 ms ago.
            Output {
                retransmits: 4,
                rto_ms: 3_200,
                since_sent_ns: 200_000_000,
                since_ack_ns: 100_000_000,
                ..output()
            },
            "it answers, but takes no data (4 retransmission timeouts in a row, the last ACK came \
             100.0 ms ago)",
        ),
    ] {
        let (holder, from, sentence) = blamed(&ends_with(last));
        assert_eq!((holder.as_str(), from.as_str()), ("receiver", "now"));
        assert!(sentence.contains(words), "{sentence}");
        assert!(!sentence.contains("peer is down"), "{sentence}");
    }
}

#[test]
fn only_unanswered_timeouts_mean_that_nobody_is_there() {
    let silent = Output {
        retransmits: 3,
        rto_ms: 1_600,
        since_sent_ns: 300_000_000,
        since_ack_ns: 1_700_000_000,
        ..output()
    };
    let (holder, _, sentence) = blamed(&ends_with(silent));
    assert_eq!(holder, "timeouts");
    assert!(
        sentence.contains("3 retransmission timeouts in a row"),
        "{sentence}"
    );
    assert!(
        sentence.contains("the last ACK came 1.700 s ago"),
        "{sentence}"
    );
}

#[test]
fn after_one_timeout_without_an_answer_it_is_not_the_limit() {
    // All that the limit lets in was sent, and the timer ran out once.
    let once = Output {
        unsent: 0,
        retransmits: 1,
        rto_ms: 408,
        since_sent_ns: 250_000_000,
        since_ack_ns: 460_000_000,
        ..output()
    };
    let (holder, from, sentence) = blamed(&ends_with(once));
    assert_eq!((holder.as_str(), from.as_str()), ("timeouts", "now"));
    assert_eq!(
        sentence,
        "Nothing is acknowledged: 1 retransmission timeout, and the last ACK came 460.0 ms ago. After \
         one timeout, a lost segment and a path that is down look the same."
    );
    // An ACK since then, or one that is not due yet.
    for (since_sent_ns, since_ack_ns) in [(250_000_000, 10_000_000), (150_000_000, 460_000_000)] {
        let other = Output {
            since_sent_ns,
            since_ack_ns,
            ..once
        };
        let blame = ends_with(other).verdict().blame;
        assert!(blame.is_none_or(|b| b.holder != Holder::Timeouts));
    }
}

#[test]
fn clocks_of_half_of_the_time_decide() {
    let clocks = |rwnd: u64, sndbuf: u64| {
        let mut socket = ends_with(Output {
            busy_ns: 1_000_000_000 - rwnd - sndbuf,
            rwnd_limited_ns: rwnd,
            sndbuf_limited_ns: sndbuf,
            ..output()
        });
        socket.account.blocked.holders[Holder::Cwnd as usize] = 7;
        blamed(&socket)
    };
    let (holder, from, sentence) = clocks(970_000_000, 0);
    assert_eq!((holder.as_str(), from.as_str()), ("receiver", "clocks"));
    assert!(
        sentence.contains("for 97 % of the time with data to send"),
        "{sentence}"
    );
    assert_eq!(clocks(0, 600_000_000).0, "limit");
    let (holder, from, _) = clocks(100_000_000, 100_000_000);
    assert_eq!((holder.as_str(), from.as_str()), ("cwnd", "hold-ups"));
}

#[test]
fn most_hold_ups_decide_where_clocks_do_not() {
    let mut socket = ends_with(Output {
        unsent: 0,
        in_flight: 0,
        ..output()
    });
    socket.account.outputs.held = Output {
        cwnd: 10,
        total_retrans: 3,
        ..output()
    };
    socket.account.blocked.holders[Holder::Cwnd as usize] = 7;
    socket.account.blocked.holders[Holder::Receiver as usize] = 2;
    let (_, _, sentence) = blamed(&socket);
    assert_eq!(
        sentence,
        "The congestion window holds the sender up, not the receiver: its 10 segments of 1,448 \
         bytes are in flight, and an ACK takes 200.0 ms; 3 segments were sent again so far."
    );
    let verdict = socket.verdict();
    assert_eq!(verdict.hold_ups[0].holder, Holder::Cwnd);
    let advice = verdict.advice.iter();
    assert!(
        advice
            .clone()
            .all(|a| !a.advice.contains("larger SO_SNDBUF"))
    );
}

#[test]
fn the_kernels_clock_says_which_of_two_windows() {
    let both = Output {
        cwnd: 10,
        snd_wnd: 15_000,
        ..output()
    };
    assert_eq!(both.stopped_by(), Holder::Cwnd);
    let rwnd = Output {
        chrono: CHRONO_RWND,
        ..both
    };
    assert_eq!(rwnd.stopped_by(), Holder::Receiver);
}

#[test]
fn an_mptcp_socket_is_held_up_by_its_fullest_subflow() {
    let mut above = article(896);
    above.account.ident.flags |= IDENT_MPTCP_SOCKET;
    let mut verdict = above.verdict();
    assert_eq!(verdict.blame.as_ref().unwrap().from, BlameFrom::Window);
    let narrow = ends_with(Output {
        cwnd: 10,
        ..output()
    });
    let mut idle = Socket::autotuned(16_384, 896);
    idle.account.outputs.last = Output {
        unsent: 0,
        ..output()
    };
    let beneath = |socket: &Socket| (socket.account, socket.verdict());
    let subflows = [beneath(&narrow), beneath(&idle)];
    let subflows = subflows.each_ref().map(|(a, v)| (a, v.clone()));
    let mut alone = verdict.clone();
    blame_subflows(&mut alone, &subflows[..1]);
    let blame = alone.blame.unwrap();
    assert_eq!(blame.holder, Holder::Cwnd);
    assert!(!blame.sentence.contains("subflow"), "{}", blame.sentence);
    blame_subflows(&mut verdict, &subflows);
    let words = "So it is on the subflow 10.0.0.1 port 40000 → 10.0.0.2 port 5001, which holds the most of 2.";
    let blame = verdict.blame.unwrap();
    assert!(blame.sentence.ends_with(words), "{}", blame.sentence);
}

#[test]
fn without_these_fields_the_window_alone_is_judged() {
    let (holder, from, _) = blamed(&article(896));
    assert_eq!((holder.as_str(), from.as_str()), ("receiver", "window"));
    let mut quiet = Socket::autotuned(16_384, 896);
    quiet.write(100);
    assert!(quiet.verdict().blame.is_none());
}
