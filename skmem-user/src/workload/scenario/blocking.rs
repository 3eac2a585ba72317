//! One blocking writer, one server that never reads: how far past its limit does the queue grow?
//!
//! `tcp_sendmsg_locked` tests `sk_wmem_queued < sk_sndbuf` before it allocates a new skb, and never
//! before it appends to the last one; these scenarios vary what decides how much one skb may take
//! (`tcp_send_mss`, `tcp_xmit_size_goal`) and how writes meet it.

use anyhow::Result;

use super::{ONE_WRITER, Scenario, Stage, never_reading_server, send};
use crate::workload::{Params, net::Net, proto::Done};

pub(super) const ARTICLE: Scenario = Scenario {
    name: "article",
    summary: "SO_SNDBUF 4096, 1024-byte writes, a peer that never reads: Send-Q beyond 14000",
    provokes: &["new-skb", "first-fill", "tail-append", "tail-refill", "skb-overhead"],
    needs: &[],
    accepts: ONE_WRITER,
    defaults: Params {
        // Largest window 29200, so that half of it, which bounds an skb (tcp_bound_to_half_wnd), is ten
        // segments of an Ethernet's MSS.
        rcvbuf: Some(29_200),
        ..Params::BASE
    },
    play: plain,
};

fn plain(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    never_reading_server(stage, &net, |_| Ok(()), send(stage.params.write_len(), 0))
}
