//! Copies of one good capture in which something other than spaces and line ends parts rows and
//! columns. All of it is read.

use super::{
    super::*,
    damage::{capture, each, facts, lost},
};

fn joined(line: &str, sign: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(sign)
}

fn quoted(line: &str, sign: &str) -> String {
    let cells = line
        .split_whitespace()
        .map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
    cells.collect::<Vec<_>>().join(sign)
}

/// Six sockets, the last one first.
fn backwards(text: &str) -> String {
    let lines: Vec<&str> = text.lines().rev().collect();
    lines.join("\n")
}

#[test]
fn rows_that_other_signs_part_are_read() {
    let good = capture();
    let right = facts(&parse(&good));
    let flat = good.replace("\n\t", " ");
    let mut copies: Vec<(String, String)> = Vec::new();
    for sign in [";", ",", "|", " | ", " │ "] {
        copies.push((
            format!("{sign:?}"),
            each(&good, |_, line| joined(line, sign)),
        ));
        copies.push((
            format!("{sign:?}, a line each"),
            each(&flat, |_, line| joined(line, sign)),
        ));
    }
    for sign in [";", ",", "\t", " "] {
        copies.push((
            format!("quoted, {sign:?}"),
            each(&flat, |_, line| quoted(line, sign)),
        ));
    }
    let named = |at: usize, line: &str| {
        let sign = if line.starts_with('\t') { '-' } else { ':' };
        format!("incident.txt{sign}{}{sign}{line}", at + 1)
    };
    copies.extend([
        ("echo $(ss)".to_owned(), joined(&good, " ")),
        ("grep -Hn -A1".to_owned(), each(&good, named)),
        ("the newest line first".to_owned(), backwards(&good)),
        (
            "logfmt".to_owned(),
            each(&good, |_, line| {
                format!("level=info msg={} pod=a", serde_json::json!(line))
            }),
        ),
        (
            "JSON lines of a log store".to_owned(),
            each(&good, |_, line| {
                serde_json::json!({"ts": "1", "line": line, "labels": {"pod": "web-7"}}).to_string()
            }),
        ),
        (
            "a list of Python".to_owned(),
            format!(
                "['{}']",
                good.trim_end().replace('\t', "\\t").replace('\n', "', '")
            ),
        ),
    ]);
    for (name, text) in copies {
        let read = parse(&text);
        assert_eq!(read.unread, [], "{name}");
        let found = facts(&read);
        assert_eq!(lost(&right, &found), None, "{name}");
    }
}

/// Nothing of a row that cannot be read goes to the socket above it.
#[test]
fn a_row_whose_beginning_is_not_understood_is_named() {
    let text = "ESTAB 0 0 192.0.2.1:1 192.0.2.2:2 ino:7\n\t ts sack rto:204\n\
                ESTAB zero nine 192.0.2.3:3 192.0.2.4:4 users:((\"a\",pid=1,fd=3)) timer:(persist,1sec,5)\n\
                \t ts sack rto:300 notsent:9\n";
    let read = parse(text);
    assert_eq!(
        (read.sockets[0].timer.as_ref(), read.sockets[0].info.rto_ms),
        (None, Some(204))
    );
    assert_eq!(read.unread[0].line, 3, "{read:?}");
}

/// A table of a version that prints `snd_wnd` of one socket has it for all: where it is missing it
/// is 0.
#[test]
fn a_window_that_is_not_printed_is_shut_where_others_are() {
    let row = |port: u16, more: &str| {
        format!(
            "ESTAB 0 3000 192.0.2.1:{port} 192.0.2.2:2\n\t cubic rto:204 mss:1448 cwnd:10 unacked:1 {more}\n"
        )
    };
    let open = row(1, "minrtt:1 snd_wnd:65536");
    let shut = row(3, "notsent:1000 minrtt:1");
    let windows = |text: &str| -> Vec<Option<i64>> {
        parse(text)
            .sockets
            .iter()
            .map(|socket| socket.info.snd_wnd)
            .collect()
    };
    assert_eq!(windows(&format!("{open}{shut}")), [Some(65_536), Some(0)]);
    assert_eq!(windows(&shut), [None]);
    assert_eq!(
        windows(&row(3, "notsent:1000 minrtt:1 rcv_wnd:64000")),
        [Some(0)]
    );
    assert_eq!(
        windows(&format!("{open}{}", row(3, ""))),
        [Some(65_536), None]
    );
    // With 2,000 bytes in flight the peer has taken the window back.
    let taken = parse(&format!("{open}{shut}"));
    let tags: Vec<_> = findings(&taken.sockets[1], &Limits::DEFAULT)
        .into_iter()
        .map(|finding| finding.tag)
        .collect();
    assert_eq!(tags, ["window-withdrawn"]);
}

/// ss names the link on one side of a link-local connection, and writes IPv4 as IPv6 on a socket of
/// IPv6.
#[test]
fn both_ends_are_known_by_address_and_port() {
    let text = "ESTAB 0 0 [fe80::1]%eth0:1 [fe80::2]:2\nESTAB 7 0 [fe80::2]%eth0:2 [fe80::1]:1\n\
                ESTAB 0 0 127.0.0.1:3 127.0.0.1:4\nESTAB 8 0 [::ffff:127.0.0.1]:4 [::ffff:127.0.0.1]:3\n";
    let read = parse(text);
    let several = several::Several::of(&read.sockets);
    let peers: Vec<_> = read
        .sockets
        .iter()
        .map(|socket| several.peer(socket).map(|peer| peer.line))
        .collect();
    assert_eq!(peers, [Some(2), Some(1), Some(4), Some(3)]);
}

#[test]
fn rates_are_read_as_ss_rounds_them() {
    let rate = |text: &str| {
        let row =
            format!("ESTAB 0 0 192.0.2.1:1 192.0.2.2:2 cubic rto:204 pacing_rate {text} minrtt:1");
        parse(&row).sockets[0].info.pacing_rate
    };
    assert_eq!(rate("544kbps"), Some(68_000));
    assert_eq!(rate("1e+03Mbps"), Some(125_000_000));
    assert_eq!(rate("624Gbps/1Gbps"), Some(78_000_000_000));
    assert_eq!(rate("1.25Tbps"), Some(156_250_000_000));
}
