//! Whether the account proves itself, and what is missing from it.

use skmem_common::{account::Account, cause::Cause, ledger::Balance, record::IDENT_OLDER};

use super::{
    Source, VerdictContext,
    fields::AccountAt,
    numbers::grouped,
    verdict::{SelfCheck, Verdict},
};

impl SelfCheck {
    pub(super) fn of(
        account: &Account,
        verdict: &Verdict,
        at: &AccountAt<'_>,
        setting: &VerdictContext<'_>,
    ) -> Self {
        let since: i64 = verdict.causes.iter().map(|c| c.bytes).sum();
        let totals = verdict.ledger.iter().map(|c| c.bytes);
        let total = totals.fold(0, i64::wrapping_add);
        Self {
            excess_closes: verdict.excess == verdict.room() + verdict.limit_moved() + since,
            ledger_closes: verdict.wmem_queued == total,
            fields_match: at.fields_match,
            stream_agrees: setting.stream_agrees,
            pages_close: pages_close(account),
        }
    }

    /// Both sums close and nothing contradicts them.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.excess_closes && self.ledger_closes && self.stream_agrees != Some(false)
    }
}

/// See [`SelfCheck::pages_close`].
fn pages_close(account: &Account) -> Option<bool> {
    let pages = &account.pages;
    (pages.exempt == 0 && pages.checks != 0).then_some(pages.broken == 0)
}

/// What is missing, one sentence each; empty where the account is complete.
pub(super) fn missing(
    account: &Account,
    at: &AccountAt<'_>,
    check: &SelfCheck,
    stuck: bool,
    source: Source<'_>,
) -> Vec<String> {
    let mut missing = Vec::new();
    let mut say = |text: String| missing.push(text);
    if !check.excess_closes || !check.ledger_closes {
        say("the account does not close: this is a bug in skmem, please report it".into());
    }
    if check.stream_agrees == Some(false) {
        say(
            "replay of the records gives another account than the kernel's: \
             this is a bug in skmem, please report it"
                .into(),
        );
    }
    if check.pages_close == Some(false) {
        say(format!(
            "the memory charged to the socket is not a whole number of pages ({} bytes over): \
             something charges it that skmem does not know",
            account.pages.remainder
        ));
    }
    if !at.sequence_exact {
        say("Send-Q, payload and window were read after wmem_queued had changed again".into());
    }
    if account.ident.flags & IDENT_OLDER != 0 {
        say(older(&account.ledger.now, stuck));
    }
    let replayed = source != Source::Kernel;
    if let Source::Records {
        missing: Some(text),
    } = source
    {
        say(text.to_owned());
    }
    if account.lost != 0 {
        let sums = if replayed {
            "the sums lack what was booked in those after the last account from the kernel"
        } else {
            "the sums are the kernel's and exact, the event stream has gaps"
        };
        let lost = account.lost;
        say(format!(
            "{lost} records of this socket found the ring full: {sums}"
        ));
    }
    if account.ops_lost != 0 {
        let sums = if replayed {
            "the sums may lack some of them"
        } else {
            "the sums are exact, the event stream has gaps"
        };
        let lost = account.ops_lost;
        say(format!("{lost} bookings found no room in a record: {sums}"));
    }
    missing
}

fn older(now: &Balance, stuck: bool) -> String {
    if stuck {
        return "the socket is older than the trace, and no call has touched its queue since: no \
            cause is known"
            .to_owned();
    }
    let held = now.total(Cause::PreExisting).bytes;
    format!(
        "the socket is older than the trace: {} bytes were queued already, and which code path \
         queued those is not known",
        grouped(held)
    )
}
