//! A row of `sock_diag` and an account of the same socket, where the account does not know the
//! socket's cookie (before 5.12).

use std::net::IpAddr;

use skmem_common::record::Ident;

use crate::{explain::address, snapshot::Row};

/// Which connection, in which network namespace.
pub type Ends = (u64, IpAddr, u16, IpAddr, u16);

/// Of a row.
pub fn ends(row: &Row) -> Ends {
    (row.netns, row.src, row.sport, row.dst, row.dport)
}

/// Of an account.
pub fn ends_of(ident: &Ident) -> Option<Ends> {
    let ip = |bytes| address(ident.family, bytes).parse().ok();
    Some((
        ident.netns.into(),
        ip(ident.saddr)?,
        ident.sport,
        ip(ident.daddr)?,
        ident.dport,
    ))
}
