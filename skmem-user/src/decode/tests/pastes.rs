//! What people paste, in `tests/pastes`: public questions and reports (addresses and names
//! replaced) and captures made for it. Beside each stands what is read of it: every value, the
//! findings by name, what is not read. Each was judged by eye; a change of reading changes the
//! file.

use std::{fmt::Write as _, fs, path::PathBuf};

use super::super::*;
use crate::decode::several::Several;

/// What is read of a text, a line for each thing.
pub(super) fn reading(text: &str) -> String {
    let read = parse(text);
    let several = Several::of(&read.sockets);
    let mut out = String::new();
    for socket in &read.sockets {
        let _ = writeln!(
            out,
            "line {} run {}: {}",
            socket.line,
            socket.run,
            head(socket)
        );
        let values: Vec<String> = values(socket)
            .into_iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        let _ = writeln!(out, "  {}", values.join(", "));
        for finding in findings(socket, &Limits::DEFAULT) {
            let page = crate::glossary::find(finding.tag);
            assert!(page.is_some(), "`skmem fields {}`", finding.tag);
            let mark = if finding.weight == Weight::Alarm {
                "!"
            } else {
                "-"
            };
            let _ = writeln!(out, "  {mark} {}", finding.tag);
        }
        if let Some(peer) = several.peer(socket) {
            let _ = writeln!(out, "  other end on line {}", peer.line);
        }
        if let Some(since) = several.since(socket) {
            let changes: Vec<String> = since
                .changes
                .iter()
                .map(|change| format!("{} {:+}", change.name, change.by))
                .collect();
            let _ = writeln!(out, "  since line {}: {}", since.line, changes.join(", "));
        }
    }
    if read.others > 0 {
        let _ = writeln!(out, "others {}", read.others);
    }
    for unread in &read.unread {
        let _ = writeln!(out, "unread line {}: {}", unread.line, unread.text);
    }
    for passed in &read.passed {
        let _ = writeln!(
            out,
            "passed over {} from line {}: {}",
            passed.lines, passed.line, passed.what
        );
    }
    out
}

fn head(socket: &Reading) -> String {
    let kind = socket
        .kind
        .map_or("?".into(), |kind| format!("{kind:?}").to_lowercase());
    let state = socket.state.map_or("?", reading::state_name);
    let end = |end: &Option<String>| end.clone().unwrap_or_else(|| "?".into());
    let damaged = if socket.damaged { " (damaged)" } else { "" };
    format!(
        "{kind} {state} {} {}{damaged}",
        end(&socket.local),
        end(&socket.remote)
    )
}

/// Every number of a socket by its name in `ss`.
pub(super) fn values(socket: &Reading) -> Vec<(String, String)> {
    let mut values = Vec::new();
    let mut put = |name: &str, value: Option<i64>| {
        values.extend(value.map(|value| (name.to_owned(), value.to_string())));
    };
    put("Recv-Q", socket.recv_q);
    put("Send-Q", socket.send_q);
    for (letter, _, value) in socket.memory.values() {
        put(letter, Some(value));
    }
    let i = &socket.info;
    for (name, value) in [
        ("mss", i.mss),
        ("cwnd", i.cwnd),
        ("unacked", i.unacked),
        ("notsent", i.unsent),
        ("snd_wnd", i.snd_wnd),
        ("busy", i.busy_ms),
        ("rwnd_limited", i.rwnd_limited_ms),
        ("sndbuf_limited", i.sndbuf_limited_ms),
        ("retrans now", i.retrans),
        ("retrans", i.total_retrans),
        ("lost", i.lost),
        ("backoff", i.backoff),
        ("rto", i.rto_ms),
        ("lastsnd", i.lastsnd_ms),
        ("lastrcv", i.lastrcv_ms),
        ("lastack", i.lastack_ms),
        ("pacing_rate", i.pacing_rate),
        ("rcv_ssthresh", i.rcv_ssthresh),
        ("rcv_wnd", i.rcv_wnd),
        ("bytes_acked", i.bytes_acked),
        ("bytes_received", i.bytes_received),
        ("ino", socket.inode),
    ] {
        put(name, value);
    }
    if let Some(rtt) = i.rtt_ms {
        values.push(("rtt".into(), rtt.to_string()));
    }
    if let Some(timer) = &socket.timer {
        values.push((
            "timer".into(),
            format!("{} {} {}", timer.name, timer.left, timer.count),
        ));
    }
    for user in &socket.users {
        let fd = user.fd.map_or("?".into(), |fd| fd.to_string());
        values.push(("user".into(), format!("{} {} {fd}", user.comm, user.pid)));
    }
    if let Some(cgroup) = &socket.cgroup {
        values.push(("cgroup".into(), cgroup.clone()));
    }
    values
}

#[test]
fn each_paste_is_read_as_was_judged() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/pastes");
    let mut wrong = String::new();
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        count += 1;
        let pasted = text(&fs::read(&path).unwrap()).unwrap();
        let read = reading(&pasted);
        let judged = fs::read_to_string(path.with_extension("read")).unwrap_or_default();
        let judged: String = judged
            .lines()
            .filter(|line| !line.starts_with('#'))
            .fold(String::new(), |all, line| all + line + "\n");
        if read != judged {
            let _ = writeln!(wrong, "=== {}\n{read}", path.display());
        }
    }
    assert!(count >= 40, "{count}");
    assert!(wrong.is_empty(), "read otherwise:\n{wrong}");
}
