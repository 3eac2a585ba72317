//! Accounts as a recording keeps them: JSON, each field by its name, so that
//! neither the order of fields in memory nor the number of a cause matters.
//!
//! Kept is what a verdict is made of and what replay needs to go on from it.
//! What only the programs need (open calls, addresses of skbs) is not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use skmem_common::{
    account::{Account, Blocked},
    cause::{Cause, LimitCause},
    ledger::{Admission, Balance, Ledger, LimitMove, MOVES, Since, Total},
    memory::{Messages, PageCheck, Scheduled},
    output::{HOLDERS, Holder, Output, Outputs},
    record::{Ident, OPS, View},
};

use super::{error::FormatError, receiving::ReceivingForm};
use crate::model::end::SavedAccount;

/// No socket has larger sums: adding to them would overflow.
pub(super) const LARGEST_SUM: u64 = 1 << 56;

/// What `Accounts` blocks are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Open sockets, so that replay can go on from here where records were
    /// lost before.
    Checkpoint,
    /// Sockets that the kernel has destroyed: their last accounts.
    Closed,
    /// Open sockets at the end of the recording.
    Final,
}

/// Accounts that were read at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounts {
    /// What for.
    pub role: Role,
    /// When, in ns of `CLOCK_MONOTONIC`.
    pub now_ns: u64,
    /// The accounts.
    pub accounts: Vec<SavedAccount>,
}

/// A struct of this crate that has the fields of one of `skmem-common`, and
/// the ways between them.
macro_rules! mirror {
    ($(#[$m:meta])* $name:ident of $of:ident { $($field:ident: $ty:ty),* $(,)? } $(zero $($zero:ident),+)?) => {
        #[derive(Serialize, Deserialize)]
        $(#[$m])*
        struct $name { $($field: $ty),* }

        impl From<$of> for $name {
            fn from(of: $of) -> Self {
                Self { $($field: of.$field.into()),* }
            }
        }

        impl From<$name> for $of {
            fn from(form: $name) -> Self {
                Self {
                    $($field: form.$field.into(),)*
                    $($($zero: Default::default(),)+)?
                }
            }
        }
    };
}

pub(super) use mirror;

mirror!(ViewForm of View {
    wmem_queued: i32, sndbuf: i32, forward_alloc: i32, wmem_alloc: i32, write_seq: u32,
    snd_una: u32, snd_nxt: u32, snd_wnd: u32, mss: u32, untrimmed: u32, gso_segs: u16,
    userlocks: u8, state: u8, notsent_lowat: u32,
});

mirror!(IdentForm of Ident {
    id: u64, seen_ns: u64, netns: u32, flags: u32, pid: u32, tid: u32, comm: [u8; 16],
    saddr: [u8; 16], daddr: [u8; 16], sport: u16, dport: u16, family: u16, so_sndbuf: i32,
    cgroup_lo: u32, cgroup_hi: u32, inode: u32,
} zero reserved);

mirror!(AdmissionForm of Admission { at_ns: u64, w: i32, sndbuf: i32, count: u64 });

mirror!(
    #[derive(Default)]
    #[serde(default)]
    BlockedForm of Blocked {
        waits: u64, refusals: u64, short_writes: u64, total_ns: u64, longest_ns: u64,
        reason_ns: [u64; 3], since_reason: u32, sysctl_lowat: u32, since_ns: u64, refused_ns: u64,
        wrote_ns: u64, reasons: [u32; 3], asleep: u32, older: u32, nospace: u32,
    } zero holders
);

mirror!(
    #[derive(Default)]
    #[serde(default)]
    ScheduledForm of Scheduled {
        granted: u64, refused: u64, bytes: u64, granted_over_tcp_mem: u32,
        granted_over_memcg: u32, refused_over_tcp_mem: u32, lean: u32,
    }
);

mirror!(#[derive(Default)] MessagesForm of Messages { count: u32, largest: u32 });

mirror!(
    #[derive(Default)]
    PagesForm of PageCheck { checks: u32, broken: u32, remainder: i32, exempt: u32 }
);

mirror!(
    #[derive(Default)]
    #[serde(default)]
    OutputForm of Output {
        at_ns: u64, pacing_rate: u64, max_pacing_rate: u64, pacing_wait_ns: u64, busy_ns: u64,
        rwnd_limited_ns: u64, sndbuf_limited_ns: u64, since_ack_ns: u64, since_sent_ns: u64, rto_ms: u32,
        wmem_queued: i32, sndbuf: i32, wmem_alloc: i32, snd_wnd: u32, in_flight: u32, unsent: u32,
        mss: u32, cwnd: u32, ssthresh: u32, srtt_us: u32, packets_out: u32, lost_out: u32,
        sacked_out: u32, retrans_out: u32, total_retrans: u32, chrono: u8, pacing: u8, backoff: u8,
        probes_out: u8, retransmits: u8, ca_state: u8, state: u8, flags: u8,
    }
);

mirror!(
    #[derive(Default)]
    #[serde(default)]
    OutputsForm of Outputs {
        first: OutputForm, worst: OutputForm, held: OutputForm, last: OutputForm,
    }
);

#[derive(Serialize, Deserialize)]
struct MoveForm {
    at_ns: u64,
    from: i32,
    to: i32,
    cause: String,
    tier: u8,
}

#[derive(Serialize, Deserialize)]
struct StandingForm {
    w: i32,
    sndbuf: i32,
    admission: AdmissionForm,
    /// By cause: bytes, the part of them that was inferred, count.
    total: BTreeMap<String, (i64, i64, u64)>,
    /// By cause: bytes, inferred, count, first time.
    since: BTreeMap<String, (i32, i32, u32, u64)>,
}

#[derive(Serialize, Deserialize)]
struct AccountForm {
    ident: IdentForm,
    now: StandingForm,
    /// None: it is `now`.
    worst: Option<StandingForm>,
    worst_view: ViewForm,
    worst_ns: u64,
    worst_excess: i32,
    view_wanted: bool,
    /// The most recent ones, oldest first.
    moves: Vec<MoveForm>,
    move_count: u32,
    last: ViewForm,
    last_ns: u64,
    blocked: BlockedForm,
    scheduled: ScheduledForm,
    #[serde(default)]
    messages: MessagesForm,
    #[serde(default)]
    pages: PagesForm,
    #[serde(default)]
    receiving: ReceivingForm,
    #[serde(default)]
    outputs: OutputsForm,
    /// Sleeps and refusals by who held the sender up.
    #[serde(default)]
    holders: BTreeMap<String, u32>,
    slot: u32,
    event_no: u32,
    lost: u32,
    ops_lost: u32,
    /// Operations in the account that the next record will carry.
    op_count: u32,
    overhead: u32,
    write_seq: u32,
    snd_una: u32,
    /// Added for MPTCP; 0 in what older versions wrote.
    #[serde(default)]
    mptcp: u64,
    #[serde(default)]
    token: u32,
    stream_agrees: Option<bool>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sleepers: Vec<(u32, u64)>,
}

#[derive(Serialize, Deserialize)]
struct AccountsForm {
    role: Role,
    now_ns: u64,
    accounts: Vec<AccountForm>,
}

impl Accounts {
    /// The payload of a block that holds them.
    pub(super) fn to_payload(role: Role, now_ns: u64, accounts: &[SavedAccount]) -> Vec<u8> {
        let form = AccountsForm {
            role,
            now_ns,
            accounts: accounts.iter().map(AccountForm::of).collect(),
        };
        // It holds nothing that JSON cannot.
        serde_json::to_vec(&form).unwrap_or_default()
    }

    /// Reads such a payload.
    pub(super) fn from_payload(payload: &[u8]) -> Result<Self, FormatError> {
        let form: AccountsForm = serde_json::from_slice(payload)
            .map_err(|e| FormatError::json("a block of accounts is not as it should be", &e))?;
        let accounts = form.accounts.into_iter().map(AccountForm::kept);
        Ok(Self {
            role: form.role,
            now_ns: form.now_ns,
            accounts: accounts.collect::<Result<_, FormatError>>()?,
        })
    }
}

impl AccountForm {
    fn of(kept: &SavedAccount) -> Self {
        let a = &kept.account;
        let ledger = &a.ledger;
        let count = ledger.move_count as usize;
        let moves = (count.saturating_sub(MOVES)..count).map(|n| ledger.moves[n % MOVES]);
        Self {
            ident: a.ident.into(),
            now: StandingForm::of(&ledger.now),
            worst: (!std::ptr::eq(ledger.at_worst(), &raw const ledger.now))
                .then(|| StandingForm::of(&ledger.worst)),
            worst_view: ledger.worst_view.into(),
            worst_ns: ledger.worst_ns,
            worst_excess: ledger.worst_excess,
            view_wanted: ledger.view_wanted != 0,
            moves: moves.map(MoveForm::of).collect(),
            move_count: ledger.move_count,
            last: a.last.into(),
            last_ns: a.last_ns,
            blocked: a.blocked.into(),
            scheduled: a.scheduled.into(),
            messages: a.messages.into(),
            pages: a.pages.into(),
            receiving: ReceivingForm::of(&a.receiving),
            outputs: a.outputs.into(),
            holders: holders(&a.blocked),
            slot: a.slot,
            event_no: a.event_no,
            lost: a.lost,
            ops_lost: a.ops_lost,
            op_count: a.op_count,
            overhead: a.overhead,
            write_seq: a.write_seq,
            snd_una: a.snd_una,
            mptcp: a.mptcp,
            token: a.token,
            stream_agrees: kept.stream_agrees,
            sleepers: kept.sleepers.clone(),
        }
    }

    fn kept(self) -> Result<SavedAccount, FormatError> {
        let mut account = Box::new(Account::EMPTY);
        account.ident = self.ident.into();
        self.now.fill(&mut account.ledger.now)?;
        let ledger = &mut account.ledger;
        match &self.worst {
            Some(worst) => worst.fill(&mut ledger.worst)?,
            None => ledger.at_peak = u32::from(self.worst_ns != 0),
        }
        ledger.worst_view = self.worst_view.into();
        ledger.worst_ns = self.worst_ns;
        ledger.worst_excess = self.worst_excess;
        ledger.view_wanted = u32::from(self.view_wanted);
        ledger.restore_bar();
        fill_moves(ledger, &self.moves, self.move_count)?;
        account.last = self.last.into();
        account.last_ns = self.last_ns;
        account.blocked = self.blocked.into();
        account.scheduled = self.scheduled.into();
        account.messages = self.messages.into();
        account.pages = self.pages.into();
        self.receiving.fill(&mut account.receiving)?;
        account.outputs = self.outputs.into();
        fill_holders(&mut account.blocked, &self.holders);
        account.slot = self.slot;
        account.event_no = self.event_no;
        account.lost = self.lost;
        account.ops_lost = self.ops_lost;
        account.op_count = self.op_count.min(OPS as u32);
        account.overhead = self.overhead;
        account.write_seq = self.write_seq;
        account.snd_una = self.snd_una;
        account.mptcp = self.mptcp;
        account.token = self.token;
        Ok(SavedAccount {
            account,
            stream_agrees: self.stream_agrees,
            sleepers: self.sleepers,
        })
    }
}

/// By name, so that their numbers may change.
fn holders(blocked: &Blocked) -> BTreeMap<String, u32> {
    Holder::ALL
        .iter()
        .map(|holder| (holder.name().to_owned(), blocked.holders[*holder as usize]))
        .filter(|(_, count)| *count != 0)
        .collect()
}

/// One that a newer skmem knows is nobody to this one.
fn fill_holders(blocked: &mut Blocked, counts: &BTreeMap<String, u32>) {
    blocked.holders = [0; HOLDERS];
    for (name, count) in counts {
        let holder = Holder::from_name(name).unwrap_or(Holder::Nobody);
        let place = &mut blocked.holders[holder as usize];
        *place = place.saturating_add(*count);
    }
}

impl MoveForm {
    fn of(m: LimitMove) -> Self {
        Self {
            at_ns: m.at_ns,
            from: m.from,
            to: m.to,
            cause: LimitCause::from_u8(m.cause)
                .map_or("", LimitCause::name)
                .to_owned(),
            tier: m.tier,
        }
    }
}

fn fill_moves(ledger: &mut Ledger, moves: &[MoveForm], count: u32) -> Result<(), FormatError> {
    let kept = (count as usize).min(MOVES);
    if moves.len() != kept {
        return Err(FormatError::Content(
            "an account with more or fewer limit moves than it counts",
        ));
    }
    for (n, m) in moves.iter().enumerate() {
        let cause = LimitCause::from_name(&m.cause).ok_or(FormatError::Content(
            "an account with an unknown cause of a limit move",
        ))?;
        ledger.moves[(count as usize - kept + n) % MOVES] = LimitMove {
            at_ns: m.at_ns,
            from: m.from,
            to: m.to,
            cause: cause as u8,
            tier: m.tier,
            reserved: [0; 6],
        };
    }
    ledger.move_count = count;
    Ok(())
}

impl StandingForm {
    fn of(balance: &Balance) -> Self {
        let total = Cause::ALL.iter().filter_map(|cause| {
            let t = balance.total(*cause);
            let named = (cause.name().to_owned(), (t.bytes, t.inferred, t.count));
            (*t != Total::default()).then_some(named)
        });
        let since = Cause::ALL.iter().filter_map(|cause| {
            let s = balance.since(*cause)?;
            let sums = (s.bytes, s.inferred, s.count, s.first_ns);
            Some((cause.name().to_owned(), sums))
        });
        Self {
            w: balance.w,
            sndbuf: balance.sndbuf,
            admission: balance.admission.into(),
            total: total.collect(),
            since: since.collect(),
        }
    }

    fn fill(&self, to: &mut Balance) -> Result<(), FormatError> {
        let sums = self.total.values();
        if sums
            .flat_map(|(b, i, c)| [b.unsigned_abs(), i.unsigned_abs(), *c])
            .chain([self.admission.count])
            .any(|n| n > LARGEST_SUM)
        {
            return Err(FormatError::Content(
                "an account with sums that no socket has",
            ));
        }
        let number = |name: &str| {
            Cause::from_name(name)
                .map(|cause| cause as usize)
                .ok_or(FormatError::Content("an account with an unknown cause"))
        };
        to.w = self.w;
        to.sndbuf = self.sndbuf;
        to.admission = Admission {
            at_ns: self.admission.at_ns,
            w: self.admission.w,
            sndbuf: self.admission.sndbuf,
            count: self.admission.count,
        };
        for (name, (bytes, inferred, count)) in &self.total {
            to.total[number(name)?] = Total {
                bytes: *bytes,
                inferred: *inferred,
                count: *count,
            };
        }
        for (name, (bytes, inferred, count, first_ns)) in &self.since {
            let n = number(name)?;
            to.since_mask |= 1 << n;
            to.since[n] = Since {
                first_ns: *first_ns,
                bytes: *bytes,
                inferred: *inferred,
                count: *count,
                reserved: 0,
            };
        }
        Ok(())
    }
}
