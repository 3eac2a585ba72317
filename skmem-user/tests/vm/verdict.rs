//! What is said of an account: the contract, and the kernel's own numbers.

use libtest_mimic::Failed;
use serde_json::Value;
use skmem::{
    diag::{self, KernelReading},
    explain::{Source, Verdict, VerdictContext},
    kernel::system,
};
use skmem_common::account::Account;

use crate::{binary, check::Check, formulas, sums};

/// The verdict on `account`, of its worst instant or of the last one.
pub fn of(account: &Account, at_end: bool) -> Verdict {
    Verdict::of(
        account,
        &VerdictContext {
            kernel: &system::release(),
            now_ns: system::monotonic_ns(),
            wall_ns: 0,
            at_end,
            skipped_runs: 0,
            wmem_max: diag::wmem_max().ok().and_then(|n| n.try_into().ok()),
            notsent_lowat_sysctl: None,
            stream_agrees: None,
            source: Source::Kernel,
        },
    )
}

/// Both of its instants keep to the contract; the last one says what the kernel says.
pub fn check(check: &mut Check, account: &Account, truth: &KernelReading) {
    let name = sums::name(account);
    for at_end in [false, true] {
        let mut of_it = Check::default();
        match json(&of(account, at_end)) {
            Ok(value) => binary::contract(&mut of_it, &value),
            Err(error) => of_it.fails(format!("no JSON: {error:?}")),
        }
        if let Err(failed) = of_it.done() {
            let what = failed.message().unwrap_or_default();
            check.fails(format!("{name}: verdict (at_end: {at_end}): {what}"));
        }
    }
    let verdict = of(account, true);
    for (what, ours, theirs) in [
        ("wmem_queued", verdict.wmem_queued, truth.mem.wmem_queued),
        ("sndbuf", verdict.sndbuf, truth.mem.sndbuf),
        ("send_q", verdict.send_q, truth.queues.outq),
        ("unsent", verdict.unsent, truth.queues.outq_nsd),
    ] {
        check.equal(
            format_args!("{name}: {what} in the verdict and as the kernel reports"),
            ours,
            i64::from(theirs),
        );
    }
    check.equal(
        format_args!("{name}: payload in the verdict (less what is acknowledged and held), and Send-Q less a FIN"),
        verdict.payload - verdict.untrimmed,
        formulas::queued(truth),
    );
}

pub fn json(verdict: &Verdict) -> Result<Value, Failed> {
    Ok(serde_json::from_str(&skmem::render::json(verdict)?)?)
}
