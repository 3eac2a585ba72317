//! The corpus of real output in `tests/ss`, printed by `ss` of these versions on this kernel, the
//! questions that people ask, and bytes that mean nothing.

use std::{fs, path::PathBuf};

use proptest::prelude::*;

use super::*;
use crate::diag::TcpState;

mod cost;
mod damage;
mod parted;
mod pastes;
mod wrapped;

fn corpus() -> Vec<(String, String)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/ss");
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn one(text: &str) -> Reading {
    let decoded = parse(text);
    assert_eq!(decoded.unread, [], "{text}");
    assert_eq!(decoded.sockets.len(), 1, "{text}");
    decoded.sockets.into_iter().next().unwrap()
}

fn said(text: &str) -> String {
    let all: Vec<_> = findings(&one(text), &Limits::DEFAULT)
        .into_iter()
        .map(|finding| finding.text)
        .collect();
    all.join("\n")
}

#[test]
fn every_version_in_the_corpus_is_read_whole() {
    let files = corpus();
    assert!(files.len() >= 15);
    for (name, text) in files {
        let decoded = parse(&text);
        assert_eq!(decoded.unread, [], "{name}");
        let printed = text.matches("mem:(").count();
        let read = decoded.sockets.iter().filter(|s| !s.is_bare()).count();
        assert_eq!(read, printed, "{name}");
        assert!(read >= 9, "{name}");
        for socket in &decoded.sockets {
            assert!(
                socket.local.is_some() && socket.remote.is_some(),
                "{name} {socket}"
            );
            // Of one state that the command asked for the rows do not show it; not every file has
            // the command.
            let shown = socket.state.is_some() || name.ends_with("-state.txt");
            assert!(shown, "{name} {socket}");
            assert_eq!(
                socket.old_form && !socket.is_bare(),
                name.starts_with("2.6.39") && !socket.is_bare()
            );
            // Each of the sockets that were made for it is there, with the same memory under each
            // version.
            if socket.memory.sndbuf == Some(131_072) {
                assert_eq!(socket.memory.wmem_queued, Some(35_736), "{name}");
                assert_eq!(socket.send_q, Some(34_904), "{name}");
            }
        }
        if name.contains('p')
            && !name.contains("state")
            && !name.contains("udp")
            && !name.contains("tos")
        {
            let owned = decoded.sockets.iter().flat_map(|s| &s.users);
            assert!(owned.clone().count() >= 9, "{name}");
            assert!(
                owned
                    .clone()
                    .all(|user| user.comm == "python3" && user.pid > 0 && user.fd > Some(2))
            );
        }
    }
}

#[test]
fn letters_come_with_their_versions() {
    let count = |name: &str| {
        let (_, text) = corpus().into_iter().find(|(n, _)| n == name).unwrap();
        let sockets = parse(&text).sockets;
        sockets
            .iter()
            .map(|s| s.memory.values().count())
            .max()
            .unwrap()
    };
    assert_eq!(count("2.6.39-tam.txt"), 4);
    assert_eq!(count("3.4.0-tmnpieo.txt"), 7);
    assert_eq!(count("3.6.0-tam.txt"), 8);
    assert_eq!(count("4.9.0-tmnpieo.txt"), 9);
}

#[test]
fn details_of_one_socket_are_read_from_all_their_places() {
    let socket = one(
        "tcp   ESTAB 0      3782144 10.0.0.1%eth0:54896 10.0.0.2:http users:((\"my (w) app\",pid=7,fd=8),(\"b\",pid=9,fd=1)) \
         timer:(persist,032ms,3) uid:33 ino:207043 sk:3685 cgroup:/a/b <-> skmem:(r0,rb131072,t0,tb4194304,\
         f4294963200,w3847872,o0,bl0,d4294967295,zz7) ts sack bbr wscale:10,10 rtt:4.492/8.96 mss:47616 cwnd:16 send \
         1.36Gbps busy:424ms rwnd_limited:420ms(99.1%) unacked:3 retrans:1/2 notsent:3782144 minrtt:0.003 tcp-ulp-tls",
    );
    assert_eq!(socket.users.len(), 2);
    assert_eq!(socket.users[0].comm, "my (w) app");
    assert_eq!(
        (socket.inode, socket.cgroup.as_deref()),
        (Some(207_043), Some("/a/b"))
    );
    assert_eq!(socket.memory.forward_alloc, Some(-4096));
    assert_eq!(socket.memory.drops, Some(4_294_967_295));
    assert_eq!(
        (socket.info.unsent, socket.in_flight()),
        (Some(3_782_144), Some(0))
    );
    assert_eq!(
        (socket.info.retrans, socket.info.total_retrans),
        (Some(1), Some(2))
    );
    assert_eq!(socket.info.rtt_ms, Some(4.492));
    assert_eq!(socket.timer.as_ref().map(|t| t.count), Some(3));
    assert_eq!(socket.upper_layer.as_deref(), Some("tls"));
    assert_eq!(
        socket.to_string(),
        "tcp ESTABLISHED 10.0.0.1%eth0:54896 → 10.0.0.2:http"
    );
}

#[test]
fn what_is_left_of_a_paste_is_read_too() {
    // Addresses cut out, no indent, the memory alone, a prompt, kinds that do not matter.
    let text =
        "$ sudo ss -inm 'src *:50000'\nESTAB      0      0\nmem:(r0,w0,f0,t0) sack rto:204\n";
    assert!(one(text).old_form);
    assert_eq!(
        one("skmem:(r1,rb2,t3,tb4,f5,w6,o7)")
            .memory
            .values()
            .count(),
        7
    );
    let mixed = parse(
        "u_str ESTAB 0 0 * 1 * 2\n\t skmem:(r0,rb1,t0,tb1,f0,w0,o0)\ntcp ESTAB 0 0 a:1 b:2\n",
    );
    assert_eq!(
        (mixed.others, mixed.sockets.len(), mixed.unread.len()),
        (1, 1, 0)
    );
    let wrapped =
        "ESTAB 0 0 10.0.0.1:1\n      10.0.0.2:2\nusers:((\"x\",pid=1,fd=2))\n\tskmem:(r0,rb9,t0)\n";
    assert_eq!(one(wrapped).users.len(), 1);
}

#[test]
fn what_cannot_be_read_is_named_with_its_line_and_the_rest_is_read() {
    let decoded = parse(
        "hello world\nESTAB 0 0 a:1 b:2\n\t skmem:(r0,rbx,t0)\n\ttimer:(on)\nESTAB 0 0 c:1 d:2\n",
    );
    let lines: Vec<_> = decoded
        .unread
        .iter()
        .map(|u| (u.line, u.text.as_str()))
        .collect();
    assert_eq!(lines, [(3, "skmem:(r0,rbx,t0)"), (4, "timer:(on)")]);
    assert_eq!(decoded.sockets.len(), 2);
    assert_eq!(
        decoded.passed,
        [Passed {
            line: 1,
            lines: 1,
            what: "no output of ss"
        }]
    );
}

/// "ss -m command output: what do r, w, f, t mean?" and all zero: nothing stands out.
#[test]
fn a_quiet_socket_has_nothing_that_stands_out() {
    assert_eq!(
        said("ESTAB 0 0 192.0.2.1:55266 192.0.2.9:imap2\n mem:(r0,w0,f0,t0)"),
        ""
    );
    assert_eq!(
        said("ESTAB 0 0 a:1 b:2\n skmem:(r0,rb131072,t0,tb87040,f0,w0,o0,bl0,d0)"),
        ""
    );
}

/// "is data waiting in the socket, the qdisc or the NIC?"
#[test]
fn t_zero_with_w_large_waits_in_tcp() {
    let memory = "skmem:(r0,rb131072,t0,tb4194304,f2368,w3847872,o0,bl0,d0)";
    let head = "ESTAB 0 3782144 a:1 b:2";
    assert!(said(&format!("{head}\n {memory}")).contains("everything waits in TCP"));
    let shut = said(&format!(
        "{head} timer:(persist,032ms,0)\n {memory} notsent:3782144"
    ));
    assert!(shut.contains("its application does not read"), "{shut}");
    let window = said(&format!(
        "{head}\n {memory} mss:1448 cwnd:90 snd_wnd:64000 notsent:3718144 minrtt:1"
    ));
    assert!(
        window.contains("peer's window (64,000 bytes) is full"),
        "{window}"
    );
    let network = said(&format!(
        "{head}\n {memory} mss:1448 cwnd:10 unacked:10 snd_wnd:900000 notsent:3767664"
    ));
    assert!(
        network.contains("congestion window (10 segments of 1,448 bytes) is full"),
        "{network}"
    );
    let acks = said(&format!("{head}\n {memory} mss:1448 cwnd:4000 minrtt:0.1"));
    assert!(acks.contains("waits for ACKs"), "{acks}");
    let card = said(
        "ESTAB 0 3000000 a:1 b:2\n skmem:(r0,rb131072,t2500000,tb4194304,f0,w3100000,o0,bl0,d0)",
    );
    assert!(
        card.contains("tc -s qdisc") && !card.contains("waits in TCP"),
        "{card}"
    );
}

/// "SO_SNDBUF is 4096, why is Send-Q 14480?"
#[test]
fn w_past_tb_says_why_it_may_be() {
    let text = said("ESTAB 0 14480 a:1 b:2\n skmem:(r0,rb131072,t0,tb8192,f1072,w15312,o0,bl0,d0)");
    assert!(text.contains("7,120 bytes over tb (186 %)"), "{text}");
    assert!(text.contains("below the default tcp_wmem[1]"), "{text}");
}

/// "did my SO_SNDBUF stop autotuning?"
#[test]
fn a_limit_is_called_locked_only_where_it_must_be() {
    let read = Limits {
        read: true,
        ..Limits::DEFAULT
    };
    assert_eq!(origin(8_388_608, &read).state, LimitState::Locked);
    assert_eq!(
        origin(8_388_608, &Limits::DEFAULT).state,
        LimitState::Unknown
    );
    assert_eq!(origin(46_081, &read).state, LimitState::Autotuned);
    assert_eq!(origin(8_192, &read).state, LimitState::LockedOrShrunk);
    assert_eq!(origin(2_626_560, &read).state, LimitState::Unknown);
    assert!(
        origin(425_984, &read)
            .evidence
            .contains("net.core.wmem_max")
    );
}

/// "do they not read fast enough?"
#[test]
fn r_at_rb_is_a_slow_reader() {
    let text =
        said("ESTAB 128512 0 a:1 b:2\n skmem:(r131840,rb131072,t0,tb87040,f3328,w0,o0,bl0,d1)");
    assert!(text.contains("the reader is slow. 128,512 bytes"), "{text}");
    assert!(text.contains("1 packet (not bytes)"), "{text}");
    let hole = said("ESTAB 0 0 a:1 b:2\n skmem:(r60000,rb131072,t0,tb87040,f0,w0,o0,bl0,d0)");
    assert!(hole.contains("out-of-order"), "{hole}");
}

#[test]
fn a_listener_counts_connections() {
    let text = said(
        "LISTEN 129 128 0.0.0.0:80 0.0.0.0:*\n skmem:(r0,rb131072,t0,tb16384,f0,w0,o0,bl0,d55)",
    );
    assert!(text.contains("accept queue is full (129 of 128)"), "{text}");
    assert!(text.contains("found its queue full"), "{text}");
}

#[test]
fn data_of_a_closed_application_is_an_orphan() {
    let socket = one(
        "FIN-WAIT-1 0 2649 a:1 b:2 timer:(on,5sec,4) ino:0 sk:1\n skmem:(r0,rb1,t0,tb87040,f0,w3500,o0,bl0,d0)",
    );
    assert_eq!(
        (socket.state, socket.send_payload()),
        (Some(TcpState::FinWait1), Some(2648))
    );
    let text = findings(&socket, &Limits::DEFAULT);
    assert!(text.iter().any(|f| f.text.contains("tcp_orphan_retries")));
    assert!(text[0].text.contains("4 timeouts in a row"));
}

/// A table without Netid is of one kind: what one row must be, all are; else both are said.
#[test]
fn udp_without_a_netid_is_not_taken_for_tcp() {
    let header = "State Recv-Q Send-Q Local Address:Port Peer Address:Port\n";
    let row =
        "UNCONN 0 0 0.0.0.0:68 0.0.0.0:*\n\t skmem:(r0,rb212992,t0,tb212992,f0,w0,o0,bl0,d3)\n";
    let unknown = parse(&format!("{header}{row}"));
    assert_eq!(unknown.sockets[0].kind, None);
    let text = &findings(&unknown.sockets[0], &Limits::DEFAULT)[0].text;
    assert!(
        text.contains("of TCP mostly") && text.contains("of UDP data"),
        "{text}"
    );
    let full = "ESTAB 0 213000 10.0.0.1:5000 10.0.0.2:5001\n\t skmem:(r0,rb212992,t213000,tb212992,f0,w0,o0,bl0,d0)\n";
    let known = parse(&format!("{header}{row}{full}"));
    assert!(known.sockets.iter().all(Reading::is_udp));
    let said = findings(&known.sockets[1], &Limits::DEFAULT);
    assert_eq!(said[0].tag, "udp-send-limit");
    let tcp = parse(&format!("{header}{row}LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\n"));
    assert!(tcp.sockets.iter().all(Reading::is_tcp));
}

/// A timer's count is of what had no answer; `backoff` is not.
#[test]
fn a_live_peer_is_not_called_dead() {
    let tags = |text: &str| -> Vec<&'static str> {
        findings(&one(text), &Limits::DEFAULT)
            .iter()
            .map(|finding| finding.tag)
            .collect()
    };
    let head = "ESTAB 0 3000000 10.0.0.1:1 10.0.0.2:2";
    let shut = tags(&format!(
        "{head} timer:(persist,26sec,0)\n backoff:9 notsent:3000000 minrtt:1"
    ));
    assert_eq!(shut, ["waits-for-peer-window"]);
    let gone = tags(&format!(
        "{head} timer:(persist,26sec,4)\n backoff:9 notsent:3000000 minrtt:1"
    ));
    assert_eq!(gone, ["waits-for-peer-window", "probes-unanswered"]);
    let no_route = tags(&format!(
        "{head} timer:(persist,26sec,4)\n mss:1448 snd_wnd:75776 notsent:3000000 minrtt:1"
    ));
    assert_eq!(no_route, ["cannot-send", "probes-unanswered"]);
    // Without -o: backoff with nothing in flight is of window probes, with data in flight of
    // timeouts.
    let probing = tags(&format!(
        "{head}\n rto:204 backoff:4 mss:1448 cwnd:10 lastack:1000 notsent:3000000 minrtt:1"
    ));
    assert_eq!(probing, ["waits-for-peer-window"]);
    let timeouts = tags(&format!(
        "{head}\n rto:204 backoff:4 mss:1448 cwnd:10 unacked:1 notsent:2998552 minrtt:1"
    ));
    assert!(timeouts.contains(&"timeouts"), "{timeouts:?}");
    let quiet = tags("ESTAB 0 0 10.0.0.1:1 10.0.0.2:2 timer:(keepalive,9sec,3)");
    assert_eq!(quiet, ["probes-unanswered"]);
}

#[test]
fn other_programs_are_refused_by_name_and_sockets_beside_them_are_read() {
    let text = "$ conntrack -L\n\
        tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=40000 dport=443 src=10.0.0.2 dst=10.0.0.1\n\
        $ ss -tn\nESTAB 0 36 10.0.0.1:22 10.0.0.2:4000\n\
        sockets: used 9\nTCP: inuse 2 orphan 0 tw 0 alloc 3 mem 0\n\
        tcp 0 0 0.0.0.0/0 0.0.0.0/0 tcp dpt:22\n\
        tcp4 0 0 192.168.1.2.51000 1.2.3.4.443 ESTABLISHED\n";
    let read = parse(text);
    assert_eq!((read.sockets.len(), read.unread.len()), (1, 0));
    let whose: Vec<_> = read.passed.iter().map(|passed| passed.what).collect();
    assert_eq!(
        whose,
        [
            "conntrack",
            "/proc/net/sockstat",
            "iptables",
            "netstat of BSD or macOS"
        ]
    );
}

#[test]
fn threads_are_not_descriptors_and_queues_may_be_missing() {
    let threads = one(
        "ESTAB 0 0 10.0.0.1:1 10.0.0.2:2 users:((\"a\",pid=100,tid=101,fd=7),(\"a\",pid=100,tid=100,fd=7))",
    );
    assert_eq!(threads.users.len(), 1);
    assert_eq!(threads.users[0].fd, Some(7));
    let bare = one(
        "State Local Address:Port Peer Address:Port\nESTAB 10.0.0.1:22 10.0.0.2:4000\n\t skmem:(r0,rb1,t0,tb2,f0,w0,o0,bl0,d0)",
    );
    assert_eq!((bare.recv_q, bare.memory.sndbuf), (None, Some(2)));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,300}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_damage_to_real_output_makes_it_panic(file in 0usize..23, at in 0usize..9000, with in ".{0,3}", cut in 0usize..9000) {
        let files = corpus();
        let (_, text) = &files[file % files.len()];
        let mut text: Vec<char> = text.chars().take(9000).collect();
        let at = at.min(text.len());
        text.splice(at..(at + 1).min(text.len()), with.chars());
        text.truncate(cut);
        let text: String = text.into_iter().collect();
        for socket in parse(&text).sockets {
            let _ = (findings(&socket, &Limits::DEFAULT), socket.to_string());
        }
    }

    #[test]
    fn no_numbers_make_it_panic(values in proptest::collection::vec(-(1_i64 << 50)..1 << 50, 12), info: bool) {
        let mut socket = one("ESTAB 0 0 a:1 b:2\n skmem:(r0,rb0,t0,tb0,f0,w0,o0,bl0,d0)");
        let m = &mut socket.memory;
        for (place, value) in ["r", "rb", "t", "tb", "f", "w", "o", "bl", "d"].iter().zip(&values) {
            *m.place(place).unwrap() = Some(*value);
        }
        (socket.recv_q, socket.send_q) = (Some(values[9]), Some(values[10]));
        if info {
            socket.info.unsent = Some(values[11]);
            (socket.info.cwnd, socket.info.mss, socket.info.snd_wnd) = (Some(values[0]), Some(values[1]), Some(values[2]));
            (socket.info.busy_ms, socket.info.rwnd_limited_ms) = (Some(values[3]), Some(values[4]));
        }
        let _ = findings(&socket, &Limits::DEFAULT);
    }
}
