//! A row as a selection looks at it. A selection chooses rows; the account is of all sockets in any
//! case.

use std::net::IpAddr;

use super::row::Row;
use crate::{
    diag::TcpState,
    selection::{End, Netns, Port, Subject},
};

impl Subject for Row {
    fn port(&self, end: End) -> Option<Port> {
        Some(Port::Number(match end {
            End::Local => self.sport,
            End::Remote => self.dport,
        }))
    }

    fn address(&self, end: End) -> Option<IpAddr> {
        Some(match end {
            End::Local => self.src,
            End::Remote => self.dst,
        })
    }

    fn is_in(&self, netns: &Netns) -> bool {
        netns.is(self.netns, None)
    }

    fn cgroup(&self) -> Option<&str> {
        self.cgroup.as_deref()
    }

    fn state(&self) -> Option<TcpState> {
        Some(self.state)
    }

    fn is_used_by(&self, wanted: &dyn Fn(u32, &str) -> bool) -> bool {
        self.holders
            .iter()
            .any(|holder| wanted(holder.pid, &holder.comm))
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        diag::TcpState,
        selection::{Cgroup, Netns, Port, Selection},
        snapshot::row::{Holder, Row},
        testing::rows::{mem, socket},
    };

    #[test]
    fn a_row_is_chosen_by_all_that_it_shows() {
        let mut row = Row::new(&socket(TcpState::Established, mem(0, 0, 0, 1)), 5);
        row.holders = vec![Holder {
            pid: 3,
            comm: "a".into(),
            fd: 4,
        }];
        row.cgroup = Some("/x/y".into());
        let all = Selection {
            pids: vec![2, 3],
            comms: vec!["z".into(), "a".into()],
            cgroup: Some(Cgroup::named("/x")),
            netns: Some(Netns::Inode(5)),
            sport: Some(Port::Number(row.sport)),
            dport: Some(Port::Number(80)),
            src: Some(row.src.to_string().parse().unwrap()),
            dst: Some(row.dst.to_string().parse().unwrap()),
            states: vec![TcpState::Established],
            ..Selection::default()
        };
        assert!(all.holds(&row));
        row.netns = 6;
        assert!(!all.holds(&row));
    }
}
