//! Sockets as sock_diag shows them.

use std::net::Ipv4Addr;

use crate::diag::{DiagSocket, Family, MemInfo, Protocol, TcpState};

pub(crate) fn socket(state: TcpState, mem: MemInfo) -> DiagSocket {
    DiagSocket {
        protocol: Protocol::Tcp,
        family: Family::Ipv4,
        state,
        time_wait: false,
        src: Ipv4Addr::new(10, 0, 0, 1).into(),
        sport: 1,
        dst: Ipv4Addr::new(10, 0, 0, 2).into(),
        dport: 80,
        cookie: 1,
        timer: None,
        retrans: 0,
        recv_q: 0,
        send_q: 0,
        uid: 0,
        inode: 7,
        mem: Some(mem),
        tcp: None,
        mptcp: None,
        subflow_token: None,
        cgroup: None,
        upper_layer: None,
        privileged: true,
    }
}

pub(crate) fn mem(w: i32, r: i32, f: i32, sndbuf: i32) -> MemInfo {
    let mut bytes = [0; 36];
    for (at, value) in [(0, r), (12, sndbuf), (16, f), (20, w)] {
        bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    MemInfo::parse(&bytes).unwrap()
}
