//! What has moved between the exit of one function and the entry of the next is booked at the
//! latter by a second tracer. As an account takes for granted that nothing has, both must say the
//! same, cause by cause, to the byte.

use std::{fmt::Write as _, thread, time::Duration};

use skmem_common::{
    account::Account,
    receive::Receiving,
    receive_cause::{RcvbufCause, ReceiveCause},
    record::IDENT_MPTCP_SOCKET,
};

use crate::{bench::Bench, case::TRIES, check::Check};

/// Compares the accounts of both, of the same sockets; nothing where there is no second tracer.
pub fn compare(check: &mut Check, bench: &mut Bench, what: &str, accounts: &[Box<Account>]) {
    if bench.twin_collected().is_none() {
        return;
    }
    for account in accounts.iter().filter(|a| a.receiving.ledger.started != 0) {
        let ports = |a: &Account| {
            let above = a.ident.flags & IDENT_MPTCP_SOCKET;
            (a.ident.netns, a.ident.sport, a.ident.dport, above)
        };
        let is_it = |a: &Account| ports(a) == ports(account);
        let mut both = (String::new(), String::new());
        // A segment may come between the two readings.
        for _ in 0..TRIES {
            let ours = bench.accounts().into_iter().find(|a| is_it(a));
            let theirs = bench.twin_accounts().into_iter().find(|a| is_it(a));
            let said =
                |of: Option<Box<Account>>| of.map_or("no account".into(), |a| sums(&a.receiving));
            both = (said(ours), said(theirs));
            if both.0 == both.1 {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        check.equal(
            format_args!(
                "{what}, port {}: r by cause, by exits and with entries",
                account.ident.sport
            ),
            both.0,
            both.1,
        );
    }
}

/// Bytes by cause where they are not 0, and moves of the limit. Which of them were inferred may
/// differ: a message that comes to the error queue leaves them to the next hook of one, not of the
/// other.
fn sums(r: &Receiving) -> String {
    let mut text = format!("r {}:", r.ledger.r);
    for cause in ReceiveCause::ALL {
        let total = r.total(*cause);
        if total.bytes != 0 {
            let _ = write!(text, " {cause} {}", total.bytes);
        }
    }
    for cause in RcvbufCause::ALL {
        let moved = r.ledger.rcvbuf_moved(*cause);
        if moved.bytes != 0 {
            let _ = write!(text, " {cause} {}", moved.bytes);
        }
    }
    text
}
