//! What reading costs grows with the text, and no faster.

use rustix::time::{ClockId, clock_gettime};

use crate::{
    decode::{Reading, parse, several::Several},
    render::{
        Style,
        snapshot::{Decoding, decoded},
    },
};

/// Of the calling thread, in ns.
fn this_thread() -> i64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// In ns on a processor: a busy machine does not lengthen it.
fn cost(text: &str) -> i64 {
    let run = || {
        let start = this_thread();
        let read = parse(text);
        let said = decoded(&Decoding::of(&read), &Style::PLAIN);
        let spent = this_thread() - start;
        assert!(!said.is_empty() || read.sockets.is_empty());
        spent
    };
    (0..3).map(|_| run()).min().unwrap()
}

/// Four times the lines cost about four times as much; where each line looks at all lines before
/// it, sixteen times.
#[test]
fn broken_lines_cost_no_more_the_more_there_are() {
    type Make = fn(usize) -> String;
    let kinds: [(&str, Make); 6] = [
        ("one socket again and again", |_| {
            "ESTAB 0 1 192.0.2.1:1 192.0.2.2:2".into()
        }),
        ("one value again and again", |n| {
            format!("\t ts sack cubic rto:201 notsent:{n}")
        }),
        ("both ends of a connection", |n| match n % 2 {
            0 => "ESTAB 0 1 192.0.2.1:1 192.0.2.2:2".into(),
            _ => "ESTAB 0 1 192.0.2.2:2 192.0.2.1:1".into(),
        }),
        ("brackets never closed", |n| {
            format!("ESTAB 0 1 192.0.2.1:{n} users:((\"a")
        }),
        ("values that are not numbers", |n| {
            format!("ESTAB 0 1 192.0.2.1:{n} 192.0.2.2:1 notsent:abc rto:z")
        }),
        ("no line of ss", |n| format!("line {n} of a log")),
    ];
    for (name, line) in kinds {
        let text = |lines: usize| (0..lines).map(|n| line(n) + "\n").collect::<String>();
        let (few, many) = (cost(&text(250)), cost(&text(1000)));
        assert!(
            many < few * 9,
            "{name}: {few} ns, of four times as many lines {many} ns"
        );
    }
}

/// A socket that comes again and again is compared with its last look, without a walk over all of
/// them.
#[test]
fn looks_cost_no_more_the_more_there_are() {
    let row = "ESTAB 0 1 192.0.2.1:1 192.0.2.2:2\nESTAB 0 1 192.0.2.2:2 192.0.2.1:1\n";
    let ends = parse(row).sockets;
    let looks = |count: usize| -> Vec<Reading> {
        let look = |run| ends.iter().map(move |end| Reading { run, ..end.clone() });
        (1..=count).flat_map(look).collect()
    };
    let cost = |count| {
        let sockets = looks(count);
        let several = Several::of(&sockets);
        let start = this_thread();
        let found = sockets
            .iter()
            .filter(|socket| several.since(socket).is_some() && several.peer(socket).is_some());
        assert_eq!(found.count(), 2 * (count - 1));
        this_thread() - start
    };
    let (few, many) = (cost(2_000), cost(8_000));
    assert!(
        many < few * 9,
        "{few} ns, of four times as many looks {many} ns"
    );
}
