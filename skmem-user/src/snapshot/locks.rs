//! Whether the application locked limits: from the limit's value, or by asking the socket, which
//! also shows repair mode.

use std::{collections::HashMap, os::fd::AsFd};

use super::row::{Limit, Owner, Row};
use crate::{
    decode::{Limits, origin},
    diag::{self, Protocol, owners},
    explain::numbers::grouped,
};

/// `SO_BUF_LOCK`: reads `sk_userlocks` (5.14).
const SO_BUF_LOCK: i32 = 72;
/// `SOCK_SNDBUF_LOCK`
const SNDBUF: i32 = 1;
/// `SOCK_RCVBUF_LOCK`
const RCVBUF: i32 = 2;
/// `TCP_REPAIR`: `tp->repair`, in no message of `sock_diag`.
const TCP_REPAIR: i32 = 19;

/// What the values prove, with each namespace's sysctls.
pub(super) fn judge(rows: &mut [Row], limits: &HashMap<u64, Limits>) {
    for row in rows {
        let (Some(memory), Some(limits)) = (&row.memory, limits.get(&row.netns)) else {
            continue;
        };
        // UDP has no autotuning, an MPTCP socket follows its subflows.
        if row.protocol == Protocol::Tcp && !row.listens() {
            row.limit = origin(i64::from(memory.sndbuf), limits).state.into();
        }
    }
}

/// Asks each socket through a descriptor that is borrowed from its holder for the moment.
pub(super) fn ask(rows: &mut [Row], notes: &mut Vec<String>) {
    let (mut failed, mut reason) = (0_i64, None);
    for row in rows.iter_mut().filter(|row| row.owner == Owner::Process) {
        let mut repairs = None;
        let answers = row.holders.iter().map(|holder| {
            let file = owners::borrow(owners::Descriptor {
                pid: holder.pid,
                fd: holder.fd,
            })?;
            // The descriptor may be another file by now.
            let cookie = diag::socket_cookie(file.as_fd())?;
            if cookie != row.cookie {
                return anyhow::Ok(None);
            }
            if row.protocol == Protocol::Tcp {
                let repair =
                    diag::get_int(file.as_fd(), libc::IPPROTO_TCP, TCP_REPAIR, "TCP_REPAIR");
                repairs = repair.ok().map(|repair| repair != 0);
            }
            let locks = diag::get_int(file.as_fd(), libc::SOL_SOCKET, SO_BUF_LOCK, "SO_BUF_LOCK")?;
            Ok(Some(locks))
        });
        let answer = answers.into_iter().find_map(Result::transpose);
        row.repair = repairs;
        match answer {
            Some(Ok(locks)) => {
                let of = |lock: i32| match locks & lock {
                    0 => Limit::Autotuned,
                    _ => Limit::Locked,
                };
                row.limit = of(SNDBUF);
                row.rcvbuf_limit = Some(of(RCVBUF));
            }
            Some(Err(error)) => {
                failed += 1;
                reason.get_or_insert(error);
            }
            None => failed += 1,
        }
    }
    if failed > 0 {
        let reason = reason.map_or("closed meanwhile".into(), |e| format!("{e:#}"));
        notes.push(format!(
            "whether the limits of {} sockets are locked: {reason} (SO_BUF_LOCK needs Linux 5.14 and the right to trace \
             the owner)",
            grouped(failed)
        ));
    }
}
