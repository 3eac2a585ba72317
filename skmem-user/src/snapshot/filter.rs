//! Which sockets are shown. Filters choose rows; the account is of all sockets in any case.

use std::net::IpAddr;

use skmem_common::filter::Prefix;

use super::row::Row;
use crate::diag::TcpState;

/// All of it must hold; empty lists hold for all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Held by one of these processes.
    pub pids: Vec<u32>,
    /// Held by a process of one of these names.
    pub comms: Vec<String>,
    /// Made in this cgroup or below: path below the hierarchy's root, beginning with `/`.
    pub cgroup: Option<String>,
    /// In this network namespace, by inode.
    pub netns: Option<u64>,
    /// Local port.
    pub sport: Option<u16>,
    /// Remote port.
    pub dport: Option<u16>,
    /// Local address.
    pub src: Option<Prefix>,
    /// Remote address.
    pub dst: Option<Prefix>,
    /// In one of these states.
    pub states: Vec<TcpState>,
}

impl Filter {
    /// Whether it leaves anything out.
    #[must_use]
    pub fn is_set(&self) -> bool {
        *self != Self::default()
    }

    /// Whether a socket is wanted.
    #[must_use]
    pub fn holds(&self, row: &Row) -> bool {
        let by = |wanted: Option<u16>, is: u16| wanted.is_none_or(|wanted| wanted == is);
        let within =
            |net: &Option<Prefix>, ip: IpAddr| net.as_ref().is_none_or(|net| inside(net, ip));
        by(self.sport, row.sport)
            && by(self.dport, row.dport)
            && within(&self.src, row.src)
            && within(&self.dst, row.dst)
            && self.netns.is_none_or(|netns| netns == row.netns)
            && (self.states.is_empty() || self.states.contains(&row.state))
            && (self.pids.is_empty() || row.holders.iter().any(|h| self.pids.contains(&h.pid)))
            && (self.comms.is_empty() || row.holders.iter().any(|h| self.called(&h.comm)))
            && self
                .cgroup
                .as_ref()
                .is_none_or(|wanted| row.cgroup.as_ref().is_some_and(|is| below(is, wanted)))
    }

    fn called(&self, name: &str) -> bool {
        self.comms.iter().any(|comm| comm == name)
    }
}

/// Whether cgroup `path` is `top` or below it.
fn below(path: &str, top: &str) -> bool {
    let top = top.trim_end_matches('/');
    path.strip_prefix(top)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether an address is in a network.
pub(crate) fn inside(net: &Prefix, ip: IpAddr) -> bool {
    let mut bytes = [0; 16];
    let family = match ip {
        IpAddr::V4(ip) => {
            bytes[..4].copy_from_slice(&ip.octets());
            libc::AF_INET
        }
        IpAddr::V6(ip) => {
            bytes = ip.octets();
            libc::AF_INET6
        }
    };
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_ne_bytes(*bytes);
    }
    net.holds(family as u16, &words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::row::{
        Holder,
        tests::{mem, socket},
    };

    #[test]
    fn several_filters_must_all_hold() {
        let mut row = Row::new(&socket(TcpState::Established, mem(0, 0, 0, 1)), 5);
        row.holders = vec![Holder {
            pid: 3,
            comm: "a".into(),
            fd: 4,
        }];
        row.cgroup = Some("/x/y".into());
        assert!(Filter::default().holds(&row));
        let all = Filter {
            pids: vec![2, 3],
            comms: vec!["z".into(), "a".into()],
            cgroup: Some("/x".into()),
            netns: Some(5),
            dport: Some(80),
            states: vec![TcpState::Established],
            ..Filter::default()
        };
        assert!(all.holds(&row));
        for other in [
            Filter {
                pids: vec![9],
                ..all.clone()
            },
            Filter {
                comms: vec!["b".into()],
                ..all.clone()
            },
            Filter {
                cgroup: Some("/x/yy".into()),
                ..all.clone()
            },
            Filter {
                netns: Some(6),
                ..all.clone()
            },
            Filter {
                dport: Some(81),
                ..all.clone()
            },
            Filter {
                states: vec![TcpState::Listen],
                ..all
            },
        ] {
            assert!(!other.holds(&row), "{other:?}");
        }
        assert!(below("/x", "/") && below("/", "/") && !below("/xy", "/x"));
    }
}
