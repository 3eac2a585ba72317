//! Congestion controls, by the names that `ss -i` prints.

use super::{Field, said};

/// One that the kernel has.
const fn control(name: &'static str, source: &'static str, meaning: &'static str) -> Field {
    Field {
        aliases: &[],
        unit: "name",
        moved_by: "net.ipv4.tcp_congestion_control, TCP_CONGESTION, the route",
        traps: &[],
        ..said(name, Some(name), source, meaning)
    }
}

/// One that is not in the kernel's own tree.
const fn foreign(name: &'static str, meaning: &'static str) -> Field {
    Field {
        traps: &["Not in kernel.org's tree (as of 7.2): a kernel that was patched, or a module."],
        ..control(name, "-", meaning)
    }
}

pub(super) const FIELDS: &[Field] = &[
    control(
        "bic",
        "net/ipv4/tcp_bic.c",
        "a congestion control that searches for the last loss's window by halves; cubic took its place",
    ),
    control(
        "cdg",
        "net/ipv4/tcp_cdg.c",
        "a congestion control that goes by changes of the round-trip time (CAIA delay gradient)",
    ),
    control(
        "highspeed",
        "net/ipv4/tcp_highspeed.c",
        "a congestion control that takes larger steps the larger the window is (RFC 3649)",
    ),
    control(
        "htcp",
        "net/ipv4/tcp_htcp.c",
        "a congestion control that grows faster the longer the last loss is ago (H-TCP)",
    ),
    control(
        "hybla",
        "net/ipv4/tcp_hybla.c",
        "a congestion control for long round trips, as over satellites",
    ),
    control(
        "illinois",
        "net/ipv4/tcp_illinois.c",
        "a congestion control that cuts at losses and chooses its steps by the delay",
    ),
    control(
        "lp",
        "net/ipv4/tcp_lp.c",
        "a congestion control of low priority, which gives way to other traffic (TCP-LP)",
    ),
    control(
        "nv",
        "net/ipv4/tcp_nv.c",
        "a congestion control for data centres that goes by delay and rate (New Vegas)",
    ),
    control(
        "scalable",
        "net/ipv4/tcp_scalable.c",
        "a congestion control that grows by a fixed share of the window and cuts an eighth at a loss",
    ),
    control(
        "vegas",
        "net/ipv4/tcp_vegas.c",
        "a congestion control that slows down when the round-trip time grows, before packets are lost",
    ),
    control(
        "veno",
        "net/ipv4/tcp_veno.c",
        "a congestion control that uses the delay to distinguish losses of radio links from congestion",
    ),
    control(
        "westwood",
        "net/ipv4/tcp_westwood.c",
        "a congestion control that sets the window after a loss by the rate at which ACKs came",
    ),
    control(
        "yeah",
        "net/ipv4/tcp_yeah.c",
        "a congestion control that is fast while the path's queue is short, and like reno else",
    ),
    foreign(
        "bbr2",
        "a successor of BBR that also looks at losses and ECN marks",
    ),
    foreign("bbr3", "a successor of BBR v2"),
    foreign(
        "prague",
        "a congestion control for L4S (RFC 9330), which goes by the share of ECN marks as DCTCP does",
    ),
    Field {
        aliases: &["bw", "mrtt", "pacing_gain", "cwnd_gain"],
        unit: "bits per second; ms; factors",
        moved_by: "bbr_main, each ACK",
        traps: &[
            "bw is what the path gave lately, at most; while the application or the window limits the sender, it says little.",
        ],
        ..said(
            "bbr_info",
            Some("bbr:"),
            "struct tcp_bbr_info (bbr_get_info)",
            "what BBR knows of the path: highest recent rate (bw), least round-trip time (mrtt), and by how much it now paces and opens the window beyond them",
        )
    },
    Field {
        aliases: &["ce_state", "alpha", "ab_ecn", "ab_tot", "fallback_mode"],
        unit: "flag; 1,024ths; bytes",
        moved_by: "dctcp_in_ack_event, once in a round trip",
        traps: &["`dctcp:fallback_mode`: the peer did not agree to ECN, so it does as reno does."],
        ..said(
            "dctcp_info",
            Some("dctcp:"),
            "struct tcp_dctcp_info (dctcp_get_info)",
            "what DCTCP knows of the path: whether the last packet was marked (ce_state), the share of marked data (alpha), and marked and all bytes acknowledged in this round trip (ab_ecn, ab_tot)",
        )
    },
];
