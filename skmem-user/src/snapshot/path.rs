//! What waits below TCP on the way to a socket's peer: the device that its packets leave by, and
//! what the queueing disciplines there hold.

use std::{collections::HashMap, net::IpAddr, path::Path};

use super::row::{PathBelow, PathQdisc, Row};
use crate::diag::{Protocol, netns, path};

/// Less than this in w is a send in passing, bytes.
const SMALL: i32 = 16 << 10;
/// Addresses that are asked for at most in one namespace: one question each.
const MOST: usize = 1024;

/// Sets, in rows with a queue, what is below TCP. `ways` lead into namespaces; ours needs none.
pub(super) fn set(rows: &mut [Row], ways: &HashMap<u64, std::path::PathBuf>, ours: u64) {
    let mut wanted: HashMap<u64, Vec<IpAddr>> = HashMap::new();
    for row in rows.iter().filter(|row| has_queue(row)) {
        let addresses = wanted.entry(row.netns).or_default();
        if addresses.len() < MOST && !addresses.contains(&row.dst) {
            addresses.push(row.dst);
        }
    }
    let mut found: HashMap<(u64, IpAddr), PathBelow> = HashMap::new();
    for (netns, addresses) in wanted {
        let ask = || below(&addresses);
        let below = match ways.get(&netns) {
            _ if netns == ours => ask(),
            Some(way) => inside(way, ask),
            None => continue,
        };
        found.extend(below.into_iter().map(|(to, path)| ((netns, to), path)));
    }
    for row in rows.iter_mut().filter(|row| has_queue(row)) {
        let path = found.get(&(row.netns, row.dst)).cloned();
        row.path = path.map(Box::new);
    }
}

fn inside<T: Send + Default>(way: &Path, ask: impl FnOnce() -> T + Send) -> T {
    netns::inside(way, ask).unwrap_or_default()
}

fn has_queue(row: &Row) -> bool {
    row.protocol == Protocol::Tcp
        && !row.listens()
        && row.memory.is_some_and(|memory| memory.wmem_queued >= SMALL)
}

/// In the calling thread's namespace. What rtnetlink does not tell is left out.
fn below(addresses: &[IpAddr]) -> Vec<(IpAddr, PathBelow)> {
    let qdiscs = path::qdiscs().unwrap_or_default();
    let mut found = Vec::new();
    for to in addresses {
        let Ok(Some(device)) = path::device_towards(*to) else {
            continue;
        };
        let on_it = qdiscs.iter().filter(|qdisc| qdisc.device == device);
        let path = PathBelow {
            device: path::device_name(device),
            qdiscs: on_it
                .map(|qdisc| PathQdisc {
                    kind: qdisc.kind.clone(),
                    backlog_bytes: qdisc.backlog_bytes,
                    backlog_packets: qdisc.backlog_packets,
                })
                .collect(),
        };
        found.push((*to, path));
    }
    found
}
