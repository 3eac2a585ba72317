//! The checks themselves: an account that is wrong is found out.

use libtest_mimic::{Failed, Trial};
use serde_json::json;
use skmem::diag::KernelReading;
use skmem_common::{
    account::Account,
    cause::{Cause, Tier},
};

use crate::{check::Check, formulas, sums, truth};

const O: i32 = 896;

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("checks::a-good-account-passes", || {
            let mut check = Check::default();
            all(&mut check, &account(), &reading());
            check.done()
        }),
        noticed("a-dropped-booking", |account, _| {
            account.ledger.now.total[Cause::TailAppend as usize].bytes -= 1024;
        }),
        noticed("a-byte-under-the-wrong-cause", |account, _| {
            account.ledger.now.total[Cause::TailAppend as usize].bytes -= 1;
            account.ledger.now.total[Cause::NewSkb as usize].bytes += 1;
        }),
        noticed("bytes-that-nothing-names", |account, _| {
            let tail = account.ledger.now.total[Cause::TailAppend as usize];
            account.ledger.now.total[Cause::Unattributed as usize] = tail;
            account.ledger.now.total[Cause::TailAppend as usize].bytes = 0;
        }),
        noticed("a-cause-missing-since-the-admission", |account, _| {
            account.ledger.now.since_mask &= !(1 << Cause::TailAppend as u32);
        }),
        noticed("a-queue-one-byte-longer", |_, truth| {
            truth.mem.wmem_queued += 1;
        }),
        noticed("a-limit-that-moved", |_, truth| truth.mem.sndbuf += 2),
        noticed("an-acknowledgement-missed", |_, truth| {
            truth.queues.outq -= 1448;
        }),
        noticed("a-segment-sent", |_, truth| truth.queues.outq_nsd -= 1448),
        noticed("another-connection", |_, truth| truth.endpoint.dport += 1),
    ]
}

/// What `spoil` does must make at least one check fail.
fn noticed(name: &str, spoil: fn(&mut Account, &mut KernelReading)) -> Trial {
    Trial::test(format!("checks::{name}-is-noticed"), move || {
        let (mut account, mut truth) = (account(), reading());
        spoil(&mut account, &mut truth);
        let mut check = Check::default();
        all(&mut check, &account, &truth);
        match check.done() {
            Err(_) => Ok(()),
            Ok(()) => Err(Failed::from("all checks passed")),
        }
    })
}

fn all(check: &mut Check, account: &Account, truth: &KernelReading) {
    sums::check(check, account);
    formulas::every_socket(check, account);
    formulas::written(check, account, truth, true);
    truth::check(check, account, truth);
}

/// An skb with three writes of 1024 bytes behind a limit of 3000.
fn account() -> Account {
    let mut account = Account::EMPTY;
    account.ident.id = 1;
    account.ident.family = libc::AF_INET as u16;
    (account.ident.sport, account.ident.dport) = (1000, 2000);
    account.ident.saddr[..4].copy_from_slice(&[10, 0, 0, 1]);
    account.ident.daddr[..4].copy_from_slice(&[10, 0, 0, 2]);
    account.overhead = O as u32;
    let ledger = &mut account.ledger;
    ledger.start(0, 3000, 1);
    ledger.admit(3000, 2);
    for (cause, bytes) in [
        (Cause::NewSkb, O),
        (Cause::FirstFill, 1024),
        (Cause::TailAppend, 1024),
        (Cause::TailAppend, 1024),
    ] {
        ledger.book(cause as u8, Tier::Observed as u8, bytes, 3);
    }
    account.write_seq = 5000 + 3 * 1024;
    account.snd_una = 5000;
    let last = &mut account.last;
    last.wmem_queued = O + 3 * 1024;
    last.sndbuf = 3000;
    last.write_seq = account.write_seq;
    last.snd_una = account.snd_una;
    last.snd_nxt = account.snd_una;
    last.mss = 1448;
    last.gso_segs = 10;
    account
}

/// What the kernel would say of it.
fn reading() -> KernelReading {
    serde_json::from_value(json!({
        "clock_monotonic_ns": 4,
        "family": "ipv4", "src": "10.0.0.1", "sport": 1000, "dst": "10.0.0.2", "dport": 2000, "cookie": 1,
        "mem": {
            "rmem_alloc": 0, "rcvbuf": 131_072, "wmem_alloc": 0, "sndbuf": 3000, "fwd_alloc": 0,
            "wmem_queued": O + 3 * 1024, "optmem": 0, "backlog": 0, "drops": 0
        },
        "so_sndbuf": 3000,
        "outq": 3 * 1024, "outq_nsd": 3 * 1024,
        "tcp": {
            "state": "ESTABLISHED", "ca_state": 0, "retransmits": 0, "probes": 0, "backoff": 0, "rto_us": 200_000,
            "snd_mss": 1448, "unacked": 0, "sacked": 0, "lost": 0, "retrans": 0, "pmtu": 1500,
            "rtt_us": 100, "snd_cwnd": 10, "reordering": 3, "total_retrans": 0, "bytes_acked": 0
        }
    }))
    .expect("a reading")
}
