//! One blocking writer, one server that never reads: how far past its limit does the queue grow?
//!
//! `tcp_sendmsg_locked` tests `sk_wmem_queued < sk_sndbuf` before it allocates a new skb, and never
//! before it appends to the last one; these scenarios vary what decides how much one skb may take
//! (`tcp_send_mss`, `tcp_xmit_size_goal`) and how writes meet it.

use std::{os::fd::AsFd, thread, time::Duration};

use anyhow::Result;

use super::{
    NEVER_READING, ONE_WRITER, Scenario, Stage, WRITER, client_setup, drain, never_reading_server,
    pace, server_setup, write,
};
use crate::{
    diag::TcpInfo,
    workload::{
        Params,
        net::{Net, set_sysctl},
        protocol::Done,
        settle::settle,
        writer::Writer,
    },
};

pub(super) const ARTICLE: Scenario = Scenario {
    name: "article",
    summary: "SO_SNDBUF 4096, 1024-byte writes, a peer that never reads: Send-Q beyond 14000",
    provokes: &["new-skb", "first-fill", "tail-append"],
    needs: &[],
    accepts: NEVER_READING,
    defaults: Params {
        // Largest window 29200, so that half of it, which bounds an skb (tcp_bound_to_half_wnd), is
        // ten segments of an Ethernet's MSS.
        rcvbuf: Some(29_200),
        // Slow enough that the first zero-window probe (after 200 ms) goes out while the last skb
        // still has room: the probe takes what is left of the window, and the writer fills
        // the skb up again. A faster writer sleeps by then, and the queue rests at whatever
        // the probe left of it.
        interval: Duration::from_millis(30),
        ..Params::BASE
    },
    play: plain,
};

pub(super) const SMALL_WRITES_NODELAY: Scenario = Scenario {
    name: "small-writes-nodelay",
    summary: "100-byte writes with TCP_NODELAY: many short skbs, each with its overhead",
    provokes: &["new-skb", "first-fill"],
    needs: &[],
    accepts: NEVER_READING,
    defaults: Params {
        write_size: 100,
        rcvbuf: Some(29_200),
        nodelay: true,
        ..Params::BASE
    },
    play: plain,
};

pub(super) const ONE_LARGE_WRITE: Scenario = Scenario {
    name: "one-large-write",
    summary: "one blocking write of 1 MiB against SO_SNDBUF 4096",
    provokes: &["new-skb", "first-fill", "tail-refill"],
    needs: &[],
    accepts: NEVER_READING,
    defaults: Params {
        write_size: 1 << 20,
        bytes: Some(1 << 20),
        ..Params::BASE
    },
    play: plain,
};

pub(super) const BLOCKING_WRITER: Scenario = Scenario {
    name: "blocking-writer",
    summary: "SO_SNDBUF 65536, 16 KiB writes, default receiver: an everyday sender that blocks",
    provokes: &["new-skb", "first-fill", "tail-append"],
    needs: &[],
    accepts: NEVER_READING,
    defaults: Params {
        sndbuf: Some(65_536),
        write_size: 16 << 10,
        ..Params::BASE
    },
    play: plain,
};

pub(super) const EOR: Scenario = Scenario {
    name: "eor",
    summary: "every write ends a record (MSG_EOR): no skb is ever appended to",
    provokes: &["new-skb", "first-fill"],
    needs: &[],
    accepts: NEVER_READING,
    defaults: Params {
        rcvbuf: Some(29_200),
        // As in the article: a few records must outlast the first zero-window probe.
        interval: Duration::from_millis(50),
        eor: true,
        ..Params::BASE
    },
    play: plain,
};

pub(super) const MORE: Scenario = Scenario {
    name: "more",
    summary: "every write announces more (MSG_MORE, as under TCP_CORK)",
    provokes: &["new-skb", "first-fill", "tail-append"],
    needs: &[],
    accepts: NEVER_READING,
    defaults: Params {
        rcvbuf: Some(29_200),
        ..Params::BASE
    },
    play: |stage| flagged(stage, libc::MSG_MORE),
};

pub(super) const GSO_OFF: Scenario = Scenario {
    name: "gso-off",
    summary: "the article with GSO and TSO off on the link, which is said to help",
    provokes: ARTICLE.provokes,
    needs: &[],
    accepts: NEVER_READING,
    defaults: Params {
        gso_off: true,
        ..ARTICLE.defaults
    },
    play: plain,
};

pub(super) const GSO_MAX_SEGS: Scenario = Scenario {
    name: "gso-max-segs",
    summary: "gso_max_segs 10 on the link bounds each skb, whatever the peer's window",
    provokes: ARTICLE.provokes,
    needs: &[],
    accepts: NEVER_READING,
    defaults: Params {
        gso_max_segs: Some(10),
        rcvbuf: None,
        ..ARTICLE.defaults
    },
    play: plain,
};

pub(super) const BIG_TCP: Scenario = Scenario {
    name: "big-tcp",
    summary: "gso_max_size 200000 (BIG TCP) and a wide window: one skb takes 198 kB, against SO_SNDBUF 4096",
    provokes: &["new-skb", "first-fill"],
    needs: &[],
    accepts: &[
        "interval",
        "sndbuf",
        "no-sndbuf",
        "write-size",
        "mtu",
        "gso-max-segs",
        "gso-max-size",
        "nodelay",
        "notsent-lowat",
        "eor",
        "reader",
    ],
    defaults: Params {
        write_size: 1 << 20,
        gso_max_size: Some(200_000),
        // Before 6.3 BIG TCP is for IPv6 alone.
        ipv6: true,
        ..Params::BASE
    },
    play: big_tcp,
};

pub(super) const LOOPBACK: Scenario = Scenario {
    name: "loopback",
    summary: "the article over a loopback with its 64 KiB MTU",
    provokes: &["new-skb", "first-fill", "tail-append"],
    needs: &[],
    accepts: &[
        "interval",
        "sndbuf",
        "no-sndbuf",
        "rcvbuf",
        "write-size",
        "mtu",
        "nodelay",
        "notsent-lowat",
        "eor",
        "reader",
    ],
    defaults: Params {
        mtu: None,
        ..Params::BASE
    },
    play: |stage| {
        let net = Net::loopback(&stage.params)?;
        never_reading_server(stage, &net, |_| Ok(()), write(stage, 0))
    },
};

pub(super) const ACKS_BLACKHOLED: Scenario = Scenario {
    name: "acks-blackholed",
    summary: "no ACK comes back: the tail is cut, sent and refilled, untested, again and again",
    provokes: &["tail-refill", "tso-split"],
    needs: &[],
    accepts: NEVER_READING,
    defaults: Params {
        write_size: 100,
        ..Params::BASE
    },
    play: acks_blackholed,
};

pub(super) const DATA_BLACKHOLED: Scenario = Scenario {
    name: "data-blackholed",
    summary: "no segment arrives: short skbs are sent again as one, and merged for that",
    provokes: &["retransmit-collapse", "new-skb", "first-fill"],
    needs: &[],
    accepts: ONE_WRITER,
    defaults: Params {
        write_size: 100,
        // Each write is a segment of its own, so that there are several to merge.
        nodelay: true,
        ..Params::BASE
    },
    play: data_blackholed,
};

fn plain(stage: &Stage) -> Result<Done> {
    flagged(stage, 0)
}

fn flagged(stage: &Stage, flags: libc::c_int) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    never_reading_server(stage, &net, |_| Ok(()), write(stage, flags))
}

/// The receive buffer is large from the start, so that the window grows to more than twice the
/// largest skb: half of it bounds an skb (`tcp_bound_to_half_wnd`). Set by the sysctl, because
/// `SO_RCVBUF` is clamped to `rmem_max`.
fn big_tcp(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    set_sysctl(&net.server, "ipv4/tcp_rmem", "4096 4194304 6291456")?;
    never_reading_server(stage, &net, |_| Ok(()), write(stage, 0))
}

fn acks_blackholed(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    // After a timeout the window is one segment, and the tail no longer cut.
    net.retransmit_late()?;
    // Where this is killed before it mends the way back, the socket is soon given up.
    set_sysctl(&net.client, "ipv4/tcp_orphan_retries", "1")?;
    // A tail loss probe sends the tail as it is, some 8 ms after the last segment; where the writer
    // stood still for that long with the limit reached, it finds no tail to fill up, and stays
    // within.
    set_sysctl(&net.client, "ipv4/tcp_early_retrans", "0")?;
    super::never_reading_server_until(
        stage,
        &net,
        |_| net.blackhole_acks(),
        write(stage, 0),
        || net.restore_acks(),
    )
}

/// An skb is merged into another one only while nobody else holds it (`tcp_can_collapse`:
/// `skb_cloned`), so it must not lie unread in the receiver's queue.
fn data_blackholed(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    // Several writes are to be sent before the first of them is sent again.
    net.retransmit_late()?;
    // As above.
    set_sysctl(&net.client, "ipv4/tcp_orphan_retries", "1")?;
    stage.ready(&net.client, &[])?;
    let listener = net.listen(server_setup(stage))?;
    let (sender, server) = net.connect(&listener, client_setup(stage))?;
    net.blackhole_data()?;
    let mut writers = [Writer::spawn(
        WRITER,
        &sender,
        pace(stage),
        write(stage, 0),
    )?];
    while TcpInfo::read(sender.socket.as_fd())?.retransmits == 0 {
        thread::sleep(Duration::from_millis(5));
    }
    let senders = [sender];
    let reason = settle(&senders, &mut writers)?;
    stage.settled(&net.client, reason, &senders)?;
    net.restore_data()?;
    drain(stage, &net.client, &senders, &mut writers, &[server])
}
