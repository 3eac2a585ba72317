//! Findings on a row: those of `decode` from its values, and those from what only this machine
//! knows: the path below TCP, the memory of all sockets, and fields that `ss` does not print.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Row, account::Marks};
use crate::{
    decode::{
        Finding, Limits, Reading, Weight,
        findings::{WINDOW_SHUT, findings as said},
    },
    diag::{Protocol, UpperLayer},
    explain::numbers::grouped,
};

/// One finding, in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RowFinding {
    /// How much it matters
    pub weight: Weight,
    /// Its name, which does not change
    pub tag: String,
    /// The letters or values that it is about, as `ss` prints them
    pub about: String,
    /// What it says
    pub text: String,
}

impl From<Finding> for RowFinding {
    fn from(finding: Finding) -> Self {
        Self {
            weight: finding.weight,
            tag: finding.tag.into(),
            about: finding.about.into(),
            text: finding.text,
        }
    }
}

/// What is around a socket.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// Sysctls of its namespace.
    pub limits: &'a Limits,
    /// `tcp_mem`, and how far away it is.
    pub tcp_mem: Option<Marks>,
}

/// Sets the findings of each row, for JSON. `limits` are the sysctls of namespaces.
pub fn set(rows: &mut [Row], limits: &HashMap<u64, Limits>, tcp_mem: Option<Marks>) {
    for row in rows {
        let around = Around {
            limits: limits.get(&row.netns).unwrap_or(&Limits::DEFAULT),
            tcp_mem,
        };
        row.findings = findings(row, &around)
            .into_iter()
            .map(RowFinding::from)
            .collect();
    }
}

/// What stands out, alarms first.
#[must_use]
pub fn findings(row: &Row, around: &Around) -> Vec<Finding> {
    let mut found = said(&Reading::from(row), around.limits);
    dropped_by_peer(row, &mut found);
    window_open(row, &mut found);
    pressure(row, around, &mut found);
    open_record(row, &mut found);
    receiving(row, &mut found);
    repair(row, &mut found);
    found.extend(below(row));
    found.sort_by_key(|finding| std::cmp::Reverse(finding.weight));
    found
}

fn bytes(n: impl Into<i64>) -> String {
    format!("{} bytes", grouped(n.into()))
}

fn counted(packets: u32) -> String {
    match packets {
        1 => "1 packet".to_owned(),
        n => format!("{} packets", grouped(n.into())),
    }
}

/// Timeouts of a peer that may be alive.
fn dropped_by_peer(row: &Row, found: &mut [Finding]) {
    // Older kernels keep the window, and drop what arrives: the same from here as a dead path.
    for finding in found.iter_mut().filter(|f| f.tag == "timeouts") {
        finding.text = format!(
            "{} timeouts in a row: nothing has been acknowledged for a while. The path or the peer is gone, or the peer \
             drops what arrives: its receive buffer is full of other data, or was made smaller (see its r, rb and d).",
            row.timeouts
        );
    }
}

/// r is at rb, and the window that we offer is open all the same: small packets, for which an
/// unlocked rb grows.
fn window_open(row: &Row, found: &mut [Finding]) {
    let Some(flow) = row.flow else { return };
    let Some(window) = flow.rcv_wnd.filter(|window| *window >= 2 * flow.mss.max(1)) else {
        return;
    };
    for finding in found.iter_mut().filter(|f| f.tag == "slow-reader") {
        finding.text = finding.text.replace(
            WINDOW_SHUT,
            &format!("; the window that we offer is still {}.", bytes(window)),
        );
    }
}

/// Findings from the socket's own receive buffer take the place of what r and Recv-Q only
/// suggest.
fn receiving(row: &Row, found: &mut Vec<Finding>) {
    let Some(window) = &row.window else { return };
    let Some(text) = window.says() else { return };
    let weight = match window.is_shut() {
        true => Weight::Alarm,
        false => Weight::Note,
    };
    found.retain(|finding| !OF_RECEIVING.contains(&finding.tag));
    found.push(Finding {
        weight,
        tag: "receive-window",
        about: "r rb",
        text,
    });
}

/// Findings from r, rb and Recv-Q alone.
const OF_RECEIVING: [&str; 3] = ["slow-reader", "held-not-readable", "small-packets"];

/// The memory of all TCP sockets is short: that is why.
fn pressure(row: &Row, around: &Around, found: &mut Vec<Finding>) {
    let Some(marks) = around.tcp_mem.filter(|marks| marks.to_pressure <= 0) else {
        return;
    };
    let pages = |n: u64| grouped(i64::try_from(n).unwrap_or(i64::MAX));
    if row.protocol == Protocol::Udp || row.listens() {
        return;
    }
    for finding in found.iter_mut().filter(|f| f.tag == "limit") {
        if row.limit == super::row::Limit::LockedOrShrunk {
            finding.text = "tb is below what a socket begins with: under memory pressure, which there is now, the kernel \
                            halves it down to w / 2, unless the application set SO_SNDBUF."
                .into();
        }
    }
    if marks.to_high > 0 || row.bytes(|m| m.wmem_queued) == 0 {
        return;
    }
    found.push(Finding {
        weight: Weight::Alarm,
        tag: "tcp-mem",
        about: "w",
        text: format!(
            "TCP's memory is past net.ipv4.tcp_mem[2] ({} pages), so no socket is given more: a writer sleeps in send() \
             (sk_stream_wait_memory) or gets EAGAIN though w is below tb, and what arrives is dropped. The cause is the \
             sum of all sockets, not this one.",
            pages(marks.high)
        ),
    });
}

/// What a program puts into queues in repair mode counts as sent.
fn repair(row: &Row, found: &mut Vec<Finding>) {
    if row.repair != Some(true) {
        return;
    }
    found.retain(|f| !f.tag.starts_with("waits-"));
    found.push(Finding {
        weight: Weight::Alarm,
        tag: "repair",
        about: "Send-Q",
        text: "It is in repair mode (TCP_REPAIR): a program fills its queues by hand, as CRIU does when it restores a \
               connection. What it writes counts as in flight without having been sent; only the retransmission timer \
               sends it, until the program ends repair mode."
            .into(),
    });
}

/// f below 0 where the socket has TLS.
fn open_record(row: &Row, found: &mut [Finding]) {
    if row.upper_layer != Some(UpperLayer::Tls) {
        return;
    }
    for finding in found.iter_mut() {
        if finding.tag == "forward-alloc" && row.bytes(|m| m.forward_alloc) < 0 {
            finding.text = format!(
                "f is {}: a TLS record is open. Its plaintext and its ciphertext are charged, and pages were scheduled for \
                 the ciphertext only. It stays so until the record is full or its sender ends it (no MSG_MORE).",
                grouped(row.bytes(|m| m.forward_alloc))
            );
        }
    }
}

/// Packets on this machine that t does not count, or counts for all sockets together.
fn below(row: &Row) -> Option<Finding> {
    let path = row.path.as_ref()?;
    let netem = path.qdiscs.iter().find(|qdisc| qdisc.kind == "netem");
    if let Some(netem) = netem {
        let large = i64::from(netem.backlog_bytes) >= 16 << 10;
        let holds = match netem.backlog_packets {
            0 => "it holds no packet now. netem takes what it delays out of t, so t says nothing of it.".to_owned(),
            packets => format!(
                "it holds {} in {} now, of all sockets together. netem takes what it delays out of t: for TCP \
                 these packets are in flight, and they are still on this machine.",
                bytes(netem.backlog_bytes),
                counted(packets)
            ),
        };
        return Some(Finding {
            weight: if large { Weight::Alarm } else { Weight::Note },
            tag: "netem",
            about: "t",
            text: format!(
                "Packets to the peer leave by {}, which has netem: {holds}",
                path.device
            ),
        });
    }
    let fullest = path.qdiscs.iter().max_by_key(|q| q.backlog_bytes)?;
    (fullest.backlog_bytes >= 16 << 10).then(|| Finding {
        weight: Weight::Note,
        tag: "qdisc-backlog",
        about: "t",
        text: format!(
            "Packets to the peer leave by {}, whose {} holds {} in {} now, of all sockets together.",
            path.device,
            fullest.kind,
            bytes(fullest.backlog_bytes),
            counted(fullest.backlog_packets)
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diag::{TcpState, Timer},
        snapshot::row::{Flow, PathBelow, PathQdisc},
        testing::rows::{mem, socket},
    };

    fn row(w: i32, send_q: u32) -> Row {
        let mut one = socket(TcpState::Established, mem(w, 0, 0, 65_536));
        one.send_q = send_q;
        let mut row = Row::new(&one, 1);
        row.flow = Some(Flow {
            mss: 1448,
            cwnd: 10,
            ..Flow::default()
        });
        row
    }

    fn found(row: &Row, tcp_mem: Option<Marks>) -> Vec<Finding> {
        let around = Around {
            limits: &Limits::DEFAULT,
            tcp_mem,
        };
        findings(row, &around)
    }

    fn text<'a>(found: &'a [Finding], tag: &str) -> Option<&'a str> {
        let one = found.iter().find(|finding| finding.tag == tag)?;
        Some(&one.text)
    }

    #[test]
    fn a_window_of_nothing_with_data_in_flight_was_taken_back() {
        let mut one = row(40_000, 30_000);
        (one.unsent, one.in_flight) = (Some(14_000), Some(16_000));
        (one.timer, one.timeouts) = (Some(Timer::Retransmit), 4);
        let gone = found(&one, None);
        assert!(
            text(&gone, "timeouts")
                .unwrap()
                .contains("or the peer drops what arrives")
        );
        one.flow.as_mut().unwrap().snd_wnd = Some(0);
        let taken = found(&one, None);
        assert!(text(&taken, "timeouts").is_none(), "{taken:?}");
        assert!(
            text(&taken, "window-withdrawn")
                .unwrap()
                .contains("16,000 bytes in flight")
        );
        assert!(!taken.iter().any(|f| f.text.contains("gone")), "{taken:?}");
    }

    #[test]
    fn past_the_hard_limit_no_socket_is_blamed() {
        let marks = |to_high| Marks {
            low: 1,
            pressure: 5,
            high: 10,
            to_pressure: -1,
            to_high,
        };
        let one = row(12_288, 11_000);
        assert!(
            text(&found(&one, Some(marks(0))), "tcp-mem")
                .unwrap()
                .contains("10 pages")
        );
        assert!(text(&found(&one, Some(marks(3))), "tcp-mem").is_none());
        assert!(text(&found(&row(0, 0), Some(marks(0))), "tcp-mem").is_none());
    }

    #[test]
    fn netem_on_the_way_is_named() {
        let mut one = row(2_000_000, 1_900_000);
        (one.unsent, one.in_flight) = (Some(0), Some(1_900_000));
        one.path = Some(Box::new(PathBelow {
            device: "eth0".into(),
            qdiscs: vec![PathQdisc {
                kind: "netem".into(),
                backlog_bytes: 2_037_844,
                backlog_packets: 706,
            }],
        }));
        let all = found(&one, None);
        let netem = text(&all, "netem").unwrap();
        assert!(netem.contains("2,037,844 bytes in 706 packets"), "{netem}");
        let said: Vec<_> = all.iter().map(|f| f.text.as_str()).collect();
        assert!(
            !said
                .iter()
                .any(|t| t.contains("nothing is in the queueing")),
            "{said:?}"
        );
    }

    #[test]
    fn an_open_record_is_no_moment() {
        let mut one = Row::new(&socket(TcpState::Established, mem(0, 0, -7837, 1)), 1);
        let plain = found(&one, None);
        assert!(
            text(&plain, "forward-alloc")
                .unwrap()
                .contains("kTLS record")
        );
        one.upper_layer = Some(UpperLayer::Tls);
        let tls = found(&one, None);
        assert!(
            text(&tls, "forward-alloc")
                .unwrap()
                .contains("a TLS record is open")
        );
    }

    #[test]
    fn an_open_window_is_not_called_shut() {
        let mut one = socket(TcpState::Established, mem(0, 120_000, 0, 1));
        one.recv_q = 100_000;
        one.mem.as_mut().unwrap().rcvbuf = 131_072;
        let mut one = Row::new(&one, 1);
        let slow = |row: &Row| {
            text(&found(row, None), "slow-reader")
                .map(str::to_owned)
                .unwrap()
        };
        assert!(slow(&one).contains("shut or nearly so"), "{}", slow(&one));
        one.flow = Some(Flow {
            mss: 1448,
            rcv_wnd: Some(65_280),
            ..Flow::default()
        });
        assert!(
            slow(&one).contains("is still 65,280 bytes"),
            "{}",
            slow(&one)
        );
        assert!(!slow(&one).contains("shut"), "{}", slow(&one));
    }
}
