//! The lean set of hooks against the full one: two tracers of the same sockets in the same run say
//! the same, cause by cause, to the byte.

use std::fmt::Write as _;

use skmem_common::{
    account::Account,
    cause::{CAUSES, Cause, LimitCause},
    ledger::{Balance, Ledger, MOVES},
    record::IDENT_MPTCP_SOCKET,
};

use crate::{bench::Bench, check::Check, sums};

/// Compares both tracers' accounts, where the kernel has run all of their programs since it had
/// skipped `skipped` runs: what a skipped run leaves behind is booked by the next hook that runs,
/// and that is another in each set. `older`: the sockets are older than the accounts.
pub fn check(
    check: &mut Check,
    when: &str,
    bench: &Bench,
    all: &[Box<Account>],
    lean: &[Box<Account>],
    skipped: u64,
    older: bool,
) {
    let skipped = bench.skipped_runs() - skipped;
    let Some(collected) = bench.twin_collected() else {
        return;
    };
    for story in &collected.suspects {
        check.fails(format!(
            "lean set: events around bytes that nothing names:\n{story}"
        ));
    }
    for account in lean {
        sums::check(check, account);
        sums::replay(
            check,
            &format!("lean set, {when}"),
            &collected.replay,
            account,
        );
    }
    for account in all {
        let who = &account.ident;
        let ports = |a: &Account| {
            (
                a.ident.netns,
                a.ident.sport,
                a.ident.dport,
                a.ident.flags & IDENT_MPTCP_SOCKET,
            )
        };
        let Some(other) = lean.iter().find(|a| ports(a) == ports(account)) else {
            check.fails(format!(
                "lean set, {when}: no account of :{}→:{}",
                who.sport, who.dport
            ));
            continue;
        };
        let name = format!("{}, {when}", sums::name(account));
        let (full, few) = (&account.ledger, &other.ledger);
        check.equal(
            format_args!("{name}: w and sndbuf, all hooks and the lean set"),
            (full.now.w, full.now.sndbuf),
            (few.now.w, few.now.sndbuf),
        );
        if skipped != 0 {
            eprintln!("tests: {name}: {skipped} skipped runs, causes are not compared");
            continue;
        }
        // The two are let in on a process one after the other: a call of one that sends all the
        // while may come between.
        if older && full.now.admission.count != few.now.admission.count {
            eprintln!("tests: {name}: the two began at different calls, causes are not compared");
            continue;
        }
        let (said, few_say) = (causes(&full.now, Totals), causes(&few.now, Totals));
        check.that(said == few_say, || {
            format!(
                "{name}: bytes by cause: all hooks {said}, the lean set {few_say}\n{}",
                collected.story(other.ident.id)
            )
        });
        check.equal(
            format_args!("{name}: the worst instant, all hooks and the lean set"),
            worst(full),
            worst(few),
        );
        check.equal(
            format_args!("{name}: limit moves, all hooks and the lean set"),
            moves(full),
            moves(few),
        );
        let held = |a: &Account| {
            let b = &a.blocked;
            (b.waits, b.refusals, b.short_writes, b.reasons)
        };
        check.equal(
            format_args!("{name}: waits, refusals, short writes, reasons"),
            held(account),
            held(other),
        );
        let memory = |a: &Account| {
            let s = &a.scheduled;
            let over = (s.granted_over_tcp_mem, s.granted_over_memcg);
            (over, s.refused, s.refused_over_tcp_mem)
        };
        check.equal(
            format_args!("{name}: memory granted over limits, refused, refused over tcp_mem"),
            memory(account),
            memory(other),
        );
    }
}

/// Which bytes of a balance.
#[derive(Clone, Copy)]
enum Bytes {
    Totals,
    Since,
}
use Bytes::{Since, Totals};

/// Bytes by cause, where they are not 0.
fn causes(at: &Balance, which: Bytes) -> String {
    let mut text = String::new();
    for n in 0..CAUSES {
        let bytes = match which {
            Totals => at.total[n].bytes,
            Since if at.since_mask & (1 << n) != 0 => i64::from(at.since[n].bytes),
            Since => 0,
        };
        if bytes != 0 {
            let name = Cause::from_u8(n as u8).map_or("?", Cause::name);
            let _ = write!(text, "{name} {bytes} ");
        }
    }
    text
}

/// The worst excess, and what it was made of.
fn worst(ledger: &Ledger) -> String {
    let at = ledger.at_worst();
    format!(
        "{} over: w {} sndbuf {} admitted at {} of {} ×{}, since: {}",
        ledger.worst_excess,
        at.w,
        at.sndbuf,
        at.admission.w,
        at.admission.sndbuf,
        at.admission.count,
        causes(at, Since)
    )
}

fn moves(ledger: &Ledger) -> String {
    let mut text = format!("{} moves:", ledger.move_count);
    let kept = (ledger.move_count as usize).min(MOVES);
    for n in ledger.move_count as usize - kept..ledger.move_count as usize {
        let one = &ledger.moves[n % MOVES];
        let name = LimitCause::from_u8(one.cause).map_or("?", LimitCause::name);
        let _ = write!(text, " {name} {} to {},", one.from, one.to);
    }
    text
}
