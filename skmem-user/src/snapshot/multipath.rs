//! MPTCP sockets and their subflows: which belongs to which, and that they stand together.
//!
//! The application holds the MPTCP socket; the kernel opens TCP sockets beneath it, the subflows.
//! What is in flight is charged twice: to the MPTCP socket, which keeps it until the peer's MPTCP
//! acknowledges it, and to the subflow that carries it.

use std::collections::HashMap;

use super::row::Row;
use crate::diag::{Protocol, UpperLayer};

/// Gives each subflow its MPTCP socket: by token, and where the kernel does not show tokens, by the
/// connection's ends, which are those of the first subflow.
pub fn link(rows: &mut [Row]) {
    let mut by_token = HashMap::new();
    let mut by_ends = HashMap::new();
    for row in rows.iter().filter(|row| row.protocol == Protocol::Mptcp) {
        if let Some(token) = row.mptcp_token.filter(|token| *token != 0) {
            by_token.insert((row.netns, token), row.cookie);
        }
        by_ends.insert(ends(row), row.cookie);
    }
    if by_ends.is_empty() {
        return;
    }
    for row in rows.iter_mut().filter(|row| row.protocol == Protocol::Tcp) {
        if row.upper_layer == Some(UpperLayer::Mptcp) || row.upper_layer.is_none() {
            let token = row.mptcp_token.map(|token| (row.netns, token));
            row.mptcp_socket = match token {
                Some(token) => by_token.get(&token).copied(),
                None => by_ends.get(&ends(row)).copied(),
            };
        }
    }
}

fn ends(row: &Row) -> impl Eq + std::hash::Hash + use<> {
    let (src, dst) = (row.src.to_canonical(), row.dst.to_canonical());
    (row.netns, src, row.sport, dst, row.dport)
}

/// Puts subflows behind their MPTCP socket, in the order that they have among themselves.
pub fn nest(rows: &mut Vec<Row>) {
    let parents: HashMap<u64, usize> = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.protocol == Protocol::Mptcp)
        .map(|(at, row)| (row.cookie, at))
        .collect();
    if parents.is_empty() {
        return;
    }
    let mut placed: Vec<((usize, usize), Row)> = std::mem::take(rows)
        .into_iter()
        .enumerate()
        .map(|(at, row)| {
            let parent = row
                .mptcp_socket
                .and_then(|cookie| parents.get(&cookie).copied());
            (parent.map_or((at, 0), |parent| (parent, at + 1)), row)
        })
        .collect();
    placed.sort_by_key(|(place, _)| *place);
    rows.extend(placed.into_iter().map(|(_, row)| row));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diag::{DiagSocket, MptcpInfo, TcpState},
        testing::rows::{mem, socket},
    };

    fn tcp(cookie: u64, sport: u16) -> DiagSocket {
        let mut one = socket(TcpState::Established, mem(897, 0, 0, 131_072));
        (one.cookie, one.sport) = (cookie, sport);
        one
    }

    fn subflow(cookie: u64, sport: u16, token: Option<u32>) -> Row {
        let mut one = tcp(cookie, sport);
        one.upper_layer = token.map(|_| UpperLayer::Mptcp);
        one.subflow_token = token;
        Row::new(&one, 1)
    }

    fn msk(cookie: u64, sport: u16, token: u32) -> Row {
        let mut one = tcp(cookie, sport);
        one.protocol = Protocol::Mptcp;
        one.mptcp = Some(MptcpInfo {
            token,
            send_q: 800,
            fallback: false,
        });
        Row::new(&one, 1)
    }

    fn order(mut rows: Vec<Row>) -> Vec<(u64, Option<u64>)> {
        link(&mut rows);
        nest(&mut rows);
        let pairs = rows.iter().map(|row| (row.cookie, row.mptcp_socket));
        pairs.collect()
    }

    #[test]
    fn subflows_stand_beneath_the_socket_that_their_token_names() {
        let rows = vec![
            subflow(1, 10, Some(7)),
            Row::new(&tcp(2, 20), 1),
            msk(3, 30, 7),
            subflow(4, 40, Some(7)),
            msk(5, 50, 8),
        ];
        let expected = [(2, None), (3, None), (1, Some(3)), (4, Some(3)), (5, None)];
        assert_eq!(order(rows), expected);
    }

    #[test]
    fn without_rights_the_first_subflow_is_known_by_its_ends() {
        let rows = vec![subflow(1, 10, None), subflow(2, 20, None), msk(3, 20, 7)];
        assert_eq!(order(rows), [(1, None), (3, None), (2, Some(3))]);
    }

    #[test]
    fn a_socket_of_mptcp_tells_its_data_by_its_own_sequence_numbers() {
        let row = msk(1, 1, 2);
        assert_eq!(
            (row.send_q, row.payload, row.skb_overhead),
            (800, Some(800), Some(97))
        );
    }
}
