//! Verdicts as text.

use skmem_common::record::{IDENT_INHERITED, IDENT_MPTCP, IDENT_V_SEEN};

use crate::{
    explain::{Verdict, VerdictContext},
    render::{Style, brief, brief_of_many, json, overview, text},
    testing::socket::{SETTING, Socket, article},
};

/// The text; every line of it keeps to its width.
fn plain(verdict: &Verdict) -> String {
    for width in [60, 80, 100] {
        let narrow = Style {
            width,
            ..Style::PLAIN
        };
        for line in text(verdict, &narrow).lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
            assert_eq!(line.trim_end(), line);
        }
    }
    text(verdict, &Style::PLAIN)
}

/// On one line, so that a search is not stopped by a line's end.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn says(verdict: &Verdict, sentences: &[&str]) {
    let text = plain(verdict);
    let flat = flat(&text);
    for sentence in sentences {
        assert!(flat.contains(sentence), "no {sentence:?} in\n{text}");
    }
}

#[test]
fn the_article_is_answered_in_its_first_sentences() {
    let text = plain(&article(896).verdict());
    println!("{text}");
    assert!(flat(&text).starts_with(
        "The receiver holds the sender up: its window is 0, its application does not \
         read. Send-Q is 14,480 bytes, 3.5 × the SO_SNDBUF of 4,096 that client (pid 123) asked for: \
         the limit is tested only before a new skb; the last one passed at 0 of 8,192, then \
         15,376 bytes went in (13,456 appended by later writes, 1,920 other)."
    ));
    for line in [
        "  SO_SNDBUF    4,096 B  what the application passed to setsockopt",
        "  sk_sndbuf    8,192 B  the kernel's limit: doubled, to leave room for overhead",
        "    payload   14,480 B  bytes of data in them: 10 × MSS 1,448",
        "    overhead     896 B  1 skb × 896, the truesize (memory charged) of an empty one",
    ] {
        assert!(text.lines().any(|l| l == line), "no {line:?} in\n{text}");
    }
    says(
        &article(1280).verdict(),
        &[
            "How wmem_queued got 7,568 bytes over sk_sndbuf",
            "tail-append +13,456 14 +",
            "= wmem_queued - sk_sndbuf +7,568 unattributed 0, lost 0",
            "ack -64,512 = wmem_queued 15,760",
            "got EAGAIN 1 time: wmem_queued had reached sk_sndbuf",
            "What can be done 1. [tail-append] Make the receiver read.",
            "Price:",
        ],
    );
}

#[test]
fn the_table_adds_up() {
    let text = plain(&article(896).verdict());
    let table = text
        .split("over sk_sndbuf, since the last admission (new skb let in)\n")
        .nth(1)
        .unwrap();
    let mut rows = Vec::new();
    let mut sum = None;
    for line in table.lines().skip(1) {
        let number = |word: &str| word.replace(',', "").parse::<i64>().ok();
        let signed = |word: &&str| word.starts_with(['+', '-']) && number(word).is_some();
        let Some(bytes) = line.split_whitespace().find(signed).and_then(number) else {
            continue;
        };
        if line.starts_with("  =") {
            sum = Some(bytes);
            break;
        }
        rows.push(bytes);
    }
    assert_eq!(rows, [-8192, 896, 1024, 13_456]);
    assert_eq!(sum, Some(rows.iter().sum()));
}

#[test]
fn never_over() {
    let mut socket = Socket::with_sndbuf(65_536, 896);
    socket.write(10_000);
    says(
        &socket.verdict(),
        &[
            "client (pid 123) never went over its limit: 10,896 of 131,072 bytes of send memory \
             in use, Send-Q 10,000 bytes.",
            "How wmem_queued stays 120,176 bytes under sk_sndbuf",
            "blocked never",
        ],
    );
}

#[test]
fn autotuned() {
    let mut socket = Socket::autotuned(16_384, 896);
    socket.write(10_000);
    socket.limit(46_080);
    while socket.write(10_000) {}
    says(
        &socket.verdict(),
        &[
            "48 over the limit of 46,080 that the kernel tunes (no SO_SNDBUF was set)",
            "SO_SNDBUF - not set: the kernel tunes the limit",
        ],
    );
}

#[test]
fn older_than_skmem() {
    says(
        &Socket::older(4096, 896, 15_376, 14_480).verdict(),
        &[
            "15,376 bytes were queued before skmem first saw the socket, and nothing has moved \
             since.",
            "INCOMPLETE: the socket is older",
            "already over +7,184 when first seen: 15,376 queued, limit 8,192",
            "may be 8,192 - 1 + 896 (an empty skb) + 14,480 (size_goal) = 23,567; 15,376 is \
             within that: one skb past the limit is enough",
            "not known which calls",
            "blocked not since skmem first saw the socket",
        ],
    );
}

#[test]
fn lowered_below_the_queue() {
    let mut socket = Socket::with_sndbuf(65_536, 896);
    socket.write(14_480);
    socket.account.ident.so_sndbuf = 4096;
    socket.limit(8192);
    says(
        &socket.verdict(),
        &[
            "the application lowered the limit by 122,880 bytes, below what was queued already.",
            "lowered-below-queue +122,880 1 +2.0 µs limit 131,072 → 8,192",
        ],
    );
}

#[test]
fn within_the_limit_again() {
    let mut socket = article(896);
    socket.view.snd_wnd = 29_200;
    socket.transmit();
    socket.ack(14_480, 1);
    let at_end = VerdictContext {
        at_end: true,
        ..SETTING
    };
    says(
        &socket.verdict_in(&at_end),
        &[
            "is within its limit: 0 of 8,192 bytes",
            "The worst was 7,184 bytes over it.",
        ],
    );
}

#[test]
fn a_sleeper() {
    let mut socket = article(896);
    let b = &mut socket.account.blocked;
    (b.refusals, b.asleep, b.since_ns) = (0, 1, 3_000_000_000);
    says(
        &socket.verdict(),
        &["blocked asleep now for 2.000 s: wmem_queued had reached sk_sndbuf"],
    );
}

#[test]
fn an_inferred_value_and_an_unusual_limit_are_marked() {
    let mut socket = article(896);
    socket.account.ident.flags &= !IDENT_V_SEEN;
    says(
        &socket.verdict(),
        &["4,096 B inferred: half of the limit, which is locked"],
    );
    socket.account.ident.flags |= IDENT_INHERITED;
    says(
        &socket.verdict(),
        &[
            "the SO_SNDBUF of 4,096 that client (pid 123) has from its listener:",
            "set on the listener; inferred: half of the limit",
            "the kernel's limit: doubled 8,192, inherited-from-listener",
        ],
    );
    socket.account.ident.flags &= !IDENT_INHERITED;
    socket.account.ident.flags |= IDENT_MPTCP;
    says(
        &socket.verdict(),
        &[
            "that the MPTCP socket of client (pid 123) was given:",
            "doubled 8,192, mptcp-sync",
        ],
    );
    let mut socket = Socket::with_sndbuf(2304, 896);
    socket.account.ident.so_sndbuf = 1000;
    says(
        &socket.verdict(),
        &["the kernel's limit: doubled 2,000, raised-to-minimum 4,608"],
    );
    while socket.write(1024) {}
    says(
        &socket.verdict(),
        &[
            "client (pid 123) holds 15,376 bytes of send memory, 10,768 over its limit of 4,608 \
             (SO_SNDBUF 1,000, raised to the kernel's minimum), for a Send-Q of 14,480 bytes:",
        ],
    );
    let mut socket = Socket::with_sndbuf(212_992, 896);
    socket.account.ident.so_sndbuf = 1_000_000;
    says(
        &socket.verdict(),
        &["clamped-to-wmem_max 212,992, doubled 425,984"],
    );
    socket.account.ident.so_sndbuf = 1000;
    says(&socket.verdict(), &["raised-to-minimum 425,984"]);
}

#[test]
fn what_was_acknowledged_meanwhile_is_said() {
    let mut socket = Socket::with_sndbuf(4096, 896);
    socket.write(1024);
    socket.transmit();
    socket.write(1024);
    socket.ack(1024, 1);
    while socket.write(1024) {}
    says(
        &socket.verdict(),
        &[
            "the last one passed at 1,920 of 8,192, then 15,376 bytes went in (13,456 appended by \
             later writes, 1,920 other), and 1,920 were acknowledged.",
            "each row is a sum, in the order of first times: +15,376 added, -1,920 freed (of these \
             bytes, or of those queued before)",
        ],
    );
}

#[test]
fn payload_within_the_limit_is_not_blamed_for_its_overhead() {
    let mut socket = Socket::with_sndbuf(4096, 896);
    socket.view.gso_segs = 1;
    socket.view.mss = 100;
    while socket.write(100) {}
    says(
        &socket.verdict(),
        &[
            "client (pid 123) holds 8,964 bytes of send memory, 772 over its limit of 8,192 \
             (SO_SNDBUF 4,096, doubled), for a Send-Q of 900 bytes: the limit is tested only \
             before a new skb; the last one passed at 7,968 of 8,192, then 996 bytes went in (896 \
             skb overhead, 100 other).",
        ],
    );
}

#[test]
fn a_queue_of_a_socket_that_nobody_was_seen_to_use() {
    let mut socket = Socket::older(4096, 896, 60_000, 50_000);
    socket.account.ident.pid = 0;
    socket.account.ident.comm = [0; 16];
    socket.view.gso_segs = 0;
    socket.account.last.gso_segs = 0;
    socket.account.ledger.worst_view.gso_segs = 0;
    let v = socket.verdict();
    says(
        &v,
        &[
            "that the socket 10.0.0.1:40000 → 10.0.0.2:5001 asked for",
            "10,000 (an empty skb) + 65,536 (the largest size_goal)",
            "when first seen",
        ],
    );
    let text = plain(&v);
    assert!(!text.contains("\nwho "), "{text}");
}

#[test]
fn a_broken_account_is_the_first_thing_said() {
    let mut account = article(896).account;
    account.ledger.now.total[5].bytes += 1;
    account.ledger.worst.total[5].bytes += 1;
    let text = plain(&Verdict::of(&account, &SETTING));
    assert!(text.starts_with("THE ACCOUNT DOES NOT CLOSE"), "{text}");
    assert!(flat(&text).contains("IS NOT wmem_queued"), "{text}");
}

#[test]
fn names_from_the_kernel_are_escaped_and_ipv6_is_bracketed() {
    let mut socket = article(896);
    socket.account.ident.comm = *b"\x1b[2Jevil\nname\xff\0\0";
    socket.account.ident.family = 10;
    let mut address = [0; 16];
    (address[0], address[1], address[15]) = (0xfd, 0x00, 1);
    socket.account.ident.saddr = address;
    let v = socket.verdict();
    let text = plain(&v);
    assert!(
        !text.contains('\x1b') && text.contains("\\u{1b}[2Jevil\\nname?"),
        "{text}"
    );
    assert!(text.contains("[fd00::1]:40000 → "), "{text}");
    assert_eq!(v.socket.src, "fd00::1");
    assert_eq!(v.socket.family, "inet6");
}

#[test]
fn colour_is_only_where_it_is_wanted() {
    let v = article(896).verdict();
    assert!(!text(&v, &Style::PLAIN).contains('\x1b'));
    let colour = Style {
        colour: true,
        ..Style::PLAIN
    };
    let painted = text(&v, &colour);
    assert!(painted.contains("\x1b[1m"));
    let mut stripped = String::new();
    let mut inside = false;
    for c in painted.chars() {
        match c {
            '\x1b' => inside = true,
            'm' if inside => inside = false,
            _ if !inside => stripped.push(c),
            _ => {}
        }
    }
    let trim = |text: &str| {
        text.lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(trim(&stripped), trim(&text(&v, &Style::PLAIN)));
}

#[test]
fn many_sockets_are_a_line_each_the_worst_first() {
    let mut quiet = Socket::with_sndbuf(65_536, 896);
    quiet.write(10_000);
    let list = [
        quiet.verdict(),
        article(896).verdict(),
        Socket::older(4096, 896, 9000, 8104).verdict(),
    ];
    let text = overview(&list, &Style::PLAIN);
    println!("{text}");
    let lines: Vec<_> = text.lines().map(flat).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(
        lines[0],
        "over Send-Q wmem_queued sk_sndbuf main cause task, socket"
    );
    assert_eq!(
        lines[1],
        "7,184 14,480 15,376 8,192 tail-append client/123 10.0.0.1:40000>10.0.0.2:5001"
    );
    assert!(lines[2].starts_with("808 ") && lines[2].ends_with("INCOMPLETE"));
    assert!(lines[3].starts_with("-120,176 "));
    let quiet = text.lines().filter(|l| !l.contains("INCOMPLETE"));
    assert!(quiet.into_iter().all(|l| l.chars().count() <= 100));
}

#[test]
fn receivers_that_hold_their_peers_up_have_columns_of_their_own() {
    let mut reader = Socket::with_sndbuf(65_536, 896);
    reader.stops_reading();
    let mut quiet = Socket::with_sndbuf(65_536, 896);
    quiet.write(10_000);
    let list = [quiet.verdict(), reader.verdict(), article(896).verdict()];
    let text = overview(&list, &Style::PLAIN);
    let lines: Vec<_> = text.lines().map(flat).collect();
    assert_eq!(
        lines[0],
        "over Send-Q Recv-Q rmem_alloc main cause task, socket"
    );
    assert!(
        lines[1].starts_with("7,184 14,480 - - tail-append "),
        "{text}"
    );
    assert!(lines[2].contains(" 65,160 131,072 slow reader "), "{text}");
    assert!(lines[3].starts_with("-120,176 "), "{text}");

    let some = brief_of_many(&list[..2], &Style::PLAIN, 60, "more");
    let sum = "none over its limit, 1 receiver holds its peer up; the worst:";
    assert!(some.contains(sum), "{some}");
}

#[test]
fn a_sender_over_its_limit_that_does_not_read_is_told_both() {
    let mut socket = article(896);
    let screen = |socket: &Socket| flat(&brief(&socket.verdict(), &Style::PLAIN, 40, "more"));
    let before = screen(&socket);
    assert!(!before.contains("wait unread"), "{before}");
    socket.stops_reading();
    let text = screen(&socket);
    assert!(text.contains("Send-Q is 14,480 bytes"), "{text}");
    let reads = " receive 65,160 bytes wait unread for 3.000 s";
    assert!(text.contains(reads), "{text}");
}

#[test]
fn json_is_one_line_in_the_contracts_order() {
    let line = json(&article(896).verdict()).unwrap();
    assert!(!line.contains('\n'));
    assert!(
        line.starts_with(r#"{"schema":1,"kernel":"6.12.48-cloud-amd64","socket":{"cookie":17,"#)
    );
}
