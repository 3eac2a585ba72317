//! Events as lines and as JSON.

use skmem_common::{
    cause::{Cause, LimitCause, Tier},
    hook::Hook,
    memory::Grant,
    record::{
        Before, Event, FLAG_ENTRY, FLAG_LOCKLESS, FLAG_STEP, FLAG_TASK, OP_ADMIT, OP_BOOK,
        OP_LIMIT, Op, View,
    },
};

use crate::{
    render::{
        Column, EventLines, LineBuffer, Names, Style, Times, event_header, event_json,
        event_json_line, event_line, event_task,
    },
    testing::socket::ident,
};

pub(super) fn event(hook: Hook) -> Event {
    let mut event = Event {
        time_ns: 1_000_002_500,
        socket: 17,
        event_no: 9,
        slot: 3,
        pid: 123,
        tid: 124,
        before: Before {
            wmem_queued: 1920,
            sndbuf: 8192,
            forward_alloc: 2176,
            write_seq: 2024,
            snd_una: 1000,
            reserved: 0,
        },
        view: View {
            wmem_queued: 2944,
            sndbuf: 8192,
            forward_alloc: 1152,
            write_seq: 3048,
            snd_una: 1000,
            snd_nxt: 1000,
            mss: 1448,
            gso_segs: 10,
            state: 1,
            ..View::default()
        },
        arg: 1024,
        ret: 1024,
        ..Event::default()
    };
    event.header.hook = hook as u8;
    event.header.cpu = 1;
    event.header.flags = FLAG_TASK | FLAG_ENTRY;
    event.header.ops = 1;
    event.ops[0] = op(OP_BOOK, Cause::TailAppend as u8, Tier::Observed, 1024);
    event
}

fn op(kind: u8, cause: u8, tier: Tier, value: i32) -> Op {
    Op {
        kind,
        cause,
        tier: tier as u8,
        reserved: 0,
        value,
    }
}

const STYLE: Style = Style {
    zero_ns: 1_000_000_000,
    ..Style::PLAIN
};

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn a_line_has_a_word_for_each_column() {
    let line = event_line(&event(Hook::SendmsgLocked), Some(&ident()), &STYLE);
    println!("{}\n{line}", event_header());
    assert_eq!(
        words(&line),
        [
            "0.000002",
            "1",
            "client/123:124",
            "10.0.0.1:40000>10.0.0.2:5001",
            "tcp_sendmsg_locked",
            "1920→2944",
            "8192",
            "1152",
            "2048",
            "1024",
            "bytes",
            "tail-append",
            "+1024",
        ]
    );
    let column = |text: &str, word: &str| {
        text.split(word)
            .next()
            .map(|s| s.chars().count() + word.chars().count())
    };
    let header = event_header();
    assert_eq!(column(&header, "send_q"), column(&line, " 2048"));
    assert_eq!(column(&header, "wmem_queued"), column(&line, "1920→2944"));
}

#[test]
fn lines_fit_a_terminal() {
    let mut e = event(Hook::SendmsgLocked);
    e.view.wmem_queued = 1_064_512;
    for width in [60, 80, 100, 120, 160, 200] {
        let style = Style { width, ..STYLE };
        for times in [Times::Relative, Times::Wall, Times::Delta] {
            let mut lines = EventLines::of_terminal(&style, times).with_clock(0, 0);
            let mut line = LineBuffer::default();
            let names = Names {
                ends: Some("10.0.0.1:40000>10.0.0.2:5001"),
                task: "client",
            };
            lines.write_event(&mut line, &e, names);
            let line = String::from_utf8(line.as_bytes().to_vec()).unwrap();
            println!("{}\n{line}", lines.header());
            assert!(line.chars().count() <= width && lines.header().chars().count() <= width);
            assert!(line.contains("1,063,488→1,064,512"), "{line}");
            assert!(line.contains("tail-append +1,024"), "{line}");
            if width >= 200 {
                assert!(line.ends_with("tail-append +1,024  1,024 bytes"));
                assert!(line.contains("10.0.0.1:40000>10.0.0.2:5001"));
            } else if width >= 120 {
                assert!(line.contains(" :40000>:5001 "), "{line}");
            }
        }
    }
}

#[test]
fn times_are_of_three_kinds_and_columns_are_chosen() {
    let style = Style { width: 80, ..STYLE };
    let print = |times| {
        let mut lines = EventLines::of_terminal(&style, times)
            .with_columns(&[
                Column::Time,
                Column::Ports,
                Column::Window,
                Column::WmemAlloc,
            ])
            .with_clock(1_000_000_000, 1_795_835_545_000_000_000);
        let mut e = event(Hook::Ack);
        e.view.snd_wnd = 29_200;
        let mut out = Vec::new();
        for time in [1_000_002_000, 1_000_005_000, 3_500_000_000] {
            e.time_ns = time;
            let mut line = LineBuffer::default();
            lines.write_event(&mut line, &e, Names::default());
            let line = String::from_utf8(line.as_bytes().to_vec()).unwrap();
            out.push(line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        assert_eq!(lines.began().unwrap(), "2026-11-28 03:12:25.000 UTC");
        out
    };
    let rest = "0x11 29,200 0";
    let with = |times: [&str; 3]| times.map(|time| format!("{time} {rest}"));
    assert_eq!(
        print(Times::Relative),
        with(["0.000000", "0.000003", "2.499998"])
    );
    assert_eq!(
        print(Times::Delta),
        with(["0.000000", "0.000003", "2.499995"])
    );
    let wall = ["03:12:25.000002", "03:12:25.000005", "03:12:27.500000"];
    assert_eq!(print(Times::Wall), with(wall));
    assert_eq!(Column::named("w"), Some(Column::WmemQueued));
    assert_eq!(Column::named("nothing"), None);
}

/// What a call did before an inner one made a record is part of that record.
#[test]
fn the_arrow_is_the_sum_of_the_causes_beside_it() {
    let mut e = event(Hook::WriteXmit);
    // The function itself took bytes away; the line also shows what its caller had put in.
    e.before.wmem_queued = 65_408;
    e.view.wmem_queued = 64_512;
    e.header.ops = 3;
    e.ops[0] = op(OP_BOOK, Cause::NewSkb as u8, Tier::Observed, 896);
    e.ops[1] = op(OP_BOOK, Cause::FirstFill as u8, Tier::Observed, 8192);
    e.ops[2] = op(OP_BOOK, Cause::TailMerge as u8, Tier::Observed, -896);
    let line = event_line(&e, Some(&ident()), &STYLE);
    assert_eq!(words(&line)[5], "56320→64512");
    e.header.ops = 0;
    assert_eq!(words(&event_line(&e, Some(&ident()), &STYLE))[5], "64512");
}

#[test]
fn softirq_lockless_and_unknown_sockets() {
    let mut e = event(Hook::Ack);
    e.header.flags = FLAG_ENTRY;
    let line = event_line(&e, None, &STYLE);
    assert_eq!(words(&line)[2..5], ["softirq", "0x11", "tcp_ack"]);
    e = event(Hook::Setsockopt);
    e.header.flags |= FLAG_LOCKLESS;
    e.header.ops = 0;
    e.before = Before::default();
    e.arg = 4096;
    let line = event_line(&e, Some(&ident()), &STYLE);
    assert_eq!(
        words(&line)[5..],
        [
            "2944",
            "8192",
            "1152",
            "2048",
            "SO_SNDBUF=4096",
            "(lockless)"
        ]
    );
    e.time_ns = 999_000_000;
    assert_eq!(words(&event_line(&e, None, &STYLE))[0], "-0.001000");
}

#[test]
fn calls_say_what_they_were_asked_and_what_they_answered() {
    let tail = |e: &Event| {
        let line = event_line(e, Some(&ident()), &STYLE);
        words(&line)[9..].join(" ")
    };
    let mut e = event(Hook::SendmsgLocked);
    e.ret = -11;
    e.header.ops = 0;
    assert_eq!(tail(&e), "1024 bytes: EAGAIN");
    e.ret = 100;
    assert_eq!(tail(&e), "100 of 1024 bytes");
    e = event(Hook::AllocSkb);
    (e.truesize, e.kind, e.ret, e.header.ops) = (896, 1, 1, 0);
    assert_eq!(tail(&e), "truesize 896 forced");
    e = event(Hook::MemSchedule);
    (e.ret, e.header.ops) = (0, 0);
    assert_eq!(tail(&e), "1024 bytes REFUSED over tcp_mem: fwd 2176→1152");
    for (grant, word) in [
        (Grant::Granted, "granted"),
        (Grant::GrantedOverTcpMem, "granted over tcp_mem"),
        (Grant::GrantedOverMemcg, "granted over the cgroup's limit"),
        (Grant::Refused, "REFUSED"),
    ] {
        e.ret = grant as i32;
        assert_eq!(tail(&e), format!("1024 bytes {word}: fwd 2176→1152"));
    }
    e.kind = 1;
    assert!(tail(&e).starts_with("receive: 1024 bytes"));
    e = event(Hook::WaitMemory);
    (e.arg, e.kind, e.header.ops) = (0, 1, 0);
    assert_eq!(tail(&e), "sleeps: limit");
    (e.arg, e.kind, e.ret) = (2, 0, -11);
    assert_eq!(tail(&e), "held up: notsent_lowat; EAGAIN");
    e = event(Hook::SetState);
    (e.kind, e.arg, e.header.ops) = (2, 1, 0);
    assert_eq!(tail(&e), "SYN-SENT→ESTAB");
    e = event(Hook::Ack);
    e.header.flags |= FLAG_STEP;
    e.header.ops = 3;
    e.ops[0] = op(OP_BOOK, Cause::Ack as u8, Tier::Inferred, -896);
    e.ops[1] = op(OP_ADMIT, 0, Tier::Observed, 8192);
    e.ops[2] = op(
        OP_LIMIT,
        LimitCause::AutotunedUp as u8,
        Tier::Observed,
        46_080,
    );
    assert_eq!(
        tail(&e),
        "so far: ack ~-896 admitted below 8192 limit 46080 (autotuned-up)"
    );
}

#[test]
fn bytes_from_outside_never_panic() {
    let mut e = event(Hook::Ack);
    e.header.hook = 200;
    e.header.ops = 255;
    e.header.flags = 255;
    e.ops = [op(77, 200, Tier::Inferred, i32::MIN); 8];
    e.view.gso_segs = u16::MAX;
    e.view.mss = u32::MAX;
    assert!(event_line(&e, None, &Style::PLAIN).contains("op77/200 -2147483648"));
    assert_eq!(
        event_json(&e, None, None)["ops"].as_array().unwrap().len(),
        8
    );
    assert_eq!(event_json(&e, None, None)["hook"], "unknown");
}

#[test]
fn a_task_name_cannot_reach_the_terminal() {
    let mut comm = [0; 16];
    comm[..4].copy_from_slice(b"\x1b[2J");
    assert_eq!(event_task(&comm), "\\u{1b}[2J");
    let mut who = ident();
    who.comm = comm;
    let line = event_line(&event(Hook::Ack), Some(&who), &STYLE);
    assert!(
        !line.contains('\x1b') && line.contains("\\u{1b}[2J/123"),
        "{line}"
    );
}

#[test]
fn json_has_every_field_under_the_kernels_name() {
    let mut e = event(Hook::SendmsgLocked);
    e.header.ops = 3;
    e.ops[1] = op(OP_ADMIT, 0, Tier::Observed, 8192);
    e.ops[2] = op(
        OP_LIMIT,
        LimitCause::AutotunedUp as u8,
        Tier::Inferred,
        46_080,
    );
    let json = event_json(&e, Some(&ident()), Some("worker"));
    assert_eq!(json["comm"], "worker");
    assert_eq!(json["flags"], serde_json::json!(["task", "entry"]));
    assert_eq!(json["socket"]["cookie"], 17);
    assert_eq!(json["socket"]["dport"], 5001);
    assert_eq!(json["before"]["wmem_queued"], 1920);
    assert_eq!(json["wmem_queued"], 2944);
    assert_eq!(json["send_q"], 2048);
    assert_eq!(json["size_goal"], 14_480);
    assert_eq!(
        json["ops"],
        serde_json::json!([
            {"op": "book", "cause": "tail-append", "bytes": 1024, "tier": "observed"},
            {"op": "admit", "sndbuf": 8192},
            {"op": "limit", "cause": "autotuned-up", "sndbuf": 46_080, "tier": "inferred"},
        ])
    );
    let line = event_json_line(&e, Some(&ident()), Some("worker"));
    assert!(
        line.starts_with(r#"{"schema":1,"type":"event","time_ns":1000002500,"#),
        "{line}"
    );
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&line).unwrap(),
        json
    );
    // In softirq the current task has nothing to do with the event.
    e.header.flags = FLAG_ENTRY | FLAG_LOCKLESS;
    let json = event_json(&e, None, Some("worker"));
    for key in ["comm", "pid", "tid", "before"] {
        assert!(json[key].is_null(), "{key}");
    }
    let doc = include_str!("../../../../docs/json.md");
    for key in json.as_object().unwrap().keys() {
        assert!(
            doc.contains(&format!("`{key}`")),
            "{key} is not in docs/json.md"
        );
    }
}
