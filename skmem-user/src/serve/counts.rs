//! What of a socket's account is counted: as it stands in the account, and as counters that only
//! go up.

use skmem_common::{
    account::Account,
    cause::{CAUSES, Cause, LimitCause},
    ledger::MOVES,
    output::{HOLDERS, Holder},
    receive_cause::{RECEIVE_CAUSES, ReceiveCause},
};

/// Kinds of limit moves, and room to a power of two.
const LIMIT_CAUSES: usize = 8;

/// A cause that the account no longer holds: more moves came between two looks than it keeps.
pub const MOVE_NOT_KEPT: usize = LIMIT_CAUSES - 1;

/// What an account said when it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stand {
    /// Net sums of `sk_wmem_queued` by cause, bytes.
    send: [i64; CAUSES],
    /// Of `sk_rmem_alloc`; None: the receive side is not traced.
    receive: Option<Box<[i64; RECEIVE_CAUSES]>>,
    /// By reason, as `reasons`.
    blocked_ns: [u64; 3],
    reasons: [u32; 3],
    refusals: u64,
    short_writes: u64,
    holders: [u32; HOLDERS],
    moves: u32,
    memory_refused: u64,
    worst_excess: i32,
}

impl Stand {
    /// Of a socket that was not seen before: all that its account holds is new.
    pub const NOTHING: Self = Self {
        send: [0; CAUSES],
        receive: None,
        blocked_ns: [0; 3],
        reasons: [0; 3],
        refusals: 0,
        short_writes: 0,
        holders: [0; HOLDERS],
        moves: 0,
        memory_refused: 0,
        worst_excess: 0,
    };

    /// Of an account that was read at `now_ns` of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn of(account: &Account, now_ns: u64) -> Self {
        let mut send = [0; CAUSES];
        for cause in Cause::ALL {
            send[*cause as usize] = account.ledger.now.total(*cause).bytes;
        }
        let receive = (account.receiving.ledger.started != 0).then(|| {
            let mut sums = Box::new([0; RECEIVE_CAUSES]);
            for cause in ReceiveCause::ALL {
                sums[*cause as usize] = account.receiving.total(*cause).bytes;
            }
            sums
        });
        let blocked = &account.blocked;
        Self {
            send,
            receive,
            blocked_ns: blocked.reason_ns_until(now_ns),
            reasons: blocked.reasons,
            refusals: blocked.refusals,
            short_writes: blocked.short_writes,
            holders: blocked.holders,
            moves: account.ledger.move_count,
            memory_refused: account.scheduled.refused,
            worst_excess: account.ledger.worst_excess,
        }
    }
}

/// Counters: of a group, or of all that have no group of their own. Bytes, ns and counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    /// Added to `sk_wmem_queued`, by cause.
    pub send_added: [u64; CAUSES],
    /// Freed from it.
    pub send_freed: [u64; CAUSES],
    /// Added to `sk_rmem_alloc`, by cause.
    pub receive_added: [u64; RECEIVE_CAUSES],
    /// Freed from it.
    pub receive_freed: [u64; RECEIVE_CAUSES],
    /// Sleeps of senders by reason, as `reasons`, of those that last still what has passed.
    pub blocked_ns: [u64; 3],
    /// Sleeps, refusals and short writes by reason: limit, memory, `TCP_NOTSENT_LOWAT`.
    pub reasons: [u64; 3],
    /// Of them: `EAGAIN`.
    pub refusals: u64,
    /// Of them: a part was taken.
    pub short_writes: u64,
    /// The same sleeps and refusals by who held the sender up.
    pub holders: [u64; HOLDERS],
    /// Moves of `sk_sndbuf` by cause.
    pub moves: [u64; LIMIT_CAUSES],
    /// `__sk_mem_schedule` calls that were refused.
    pub memory_refused: u64,
    /// Sockets that were seen for the first time.
    pub sockets: u64,
    /// `tcpi_busy_time`, ns.
    pub busy_ns: u64,
    /// `tcpi_rwnd_limited`, ns.
    pub rwnd_limited_ns: u64,
    /// `tcpi_sndbuf_limited`, ns.
    pub sndbuf_limited_ns: u64,
    /// The worst excess of a socket over its limit, bytes; no counter, but it only goes up.
    pub worst_excess: i32,
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            send_added: [0; CAUSES],
            send_freed: [0; CAUSES],
            receive_added: [0; RECEIVE_CAUSES],
            receive_freed: [0; RECEIVE_CAUSES],
            blocked_ns: [0; 3],
            reasons: [0; 3],
            refusals: 0,
            short_writes: 0,
            holders: [0; HOLDERS],
            moves: [0; LIMIT_CAUSES],
            memory_refused: 0,
            sockets: 0,
            busy_ns: 0,
            rwnd_limited_ns: 0,
            sndbuf_limited_ns: 0,
            worst_excess: 0,
        }
    }
}

/// A net change as what was added and what was freed. A cause that goes one way only gives exactly
/// what was booked; of one that goes both ways, changes between two looks may cancel.
fn split(from: &[i64], to: &[i64], added: &mut [u64], freed: &mut [u64]) {
    let places = added.iter_mut().zip(freed);
    for ((from, to), (added, freed)) in from.iter().zip(to).zip(places) {
        let change = to.saturating_sub(*from);
        let place = if change > 0 { added } else { freed };
        *place = place.saturating_add(change.unsigned_abs());
    }
}

impl Sums {
    /// Takes in what has come to an account since it stood at `from`. Gives the new worst excess,
    /// bytes, where there is one.
    pub fn take(&mut self, from: &Stand, to: &Stand, account: &Account) -> Option<i32> {
        let (added, freed) = (&mut self.send_added, &mut self.send_freed);
        split(&from.send, &to.send, added, freed);
        if let Some(receive) = &to.receive {
            let before = from.receive.as_deref().unwrap_or(&[0; RECEIVE_CAUSES]);
            let (added, freed) = (&mut self.receive_added, &mut self.receive_freed);
            split(before, &receive[..], added, freed);
        }
        // A sleep that lasts is counted as it passes; its end is what it came to.
        let each = from.blocked_ns.iter().zip(&to.blocked_ns);
        for (sum, (from, to)) in self.blocked_ns.iter_mut().zip(each) {
            *sum += to.saturating_sub(*from);
        }
        let each = from.reasons.iter().zip(&to.reasons);
        for (sum, (from, to)) in self.reasons.iter_mut().zip(each) {
            *sum += u64::from(to.wrapping_sub(*from));
        }
        let each = from.holders.iter().zip(&to.holders);
        for (sum, (from, to)) in self.holders.iter_mut().zip(each) {
            *sum += u64::from(to.wrapping_sub(*from));
        }
        self.refusals += to.refusals.saturating_sub(from.refusals);
        self.short_writes += to.short_writes.saturating_sub(from.short_writes);
        self.memory_refused += to.memory_refused.saturating_sub(from.memory_refused);
        self.moved(from.moves, to.moves, account);
        self.worst_excess = self.worst_excess.max(to.worst_excess);
        (to.worst_excess > from.worst_excess).then_some(to.worst_excess)
    }

    /// Counts the moves of the limit with the numbers `from..to`.
    fn moved(&mut self, from: u32, to: u32, account: &Account) {
        let new = to.wrapping_sub(from);
        let kept = new.min(MOVES as u32);
        self.moves[MOVE_NOT_KEPT] += u64::from(new - kept);
        for n in 0..kept {
            let at = to.wrapping_sub(1 + n) as usize & (MOVES - 1);
            let cause = LimitCause::from_u8(account.ledger.moves[at].cause);
            self.moves[cause.map_or(MOVE_NOT_KEPT, |cause| cause as usize)] += 1;
        }
    }

    /// Takes another group in.
    pub fn add(&mut self, other: &Self) {
        let each = |to: &mut [u64], from: &[u64]| {
            for (to, from) in to.iter_mut().zip(from) {
                *to = to.saturating_add(*from);
            }
        };
        each(&mut self.send_added, &other.send_added);
        each(&mut self.send_freed, &other.send_freed);
        each(&mut self.receive_added, &other.receive_added);
        each(&mut self.receive_freed, &other.receive_freed);
        each(&mut self.blocked_ns, &other.blocked_ns);
        each(&mut self.reasons, &other.reasons);
        each(&mut self.holders, &other.holders);
        each(&mut self.moves, &other.moves);
        for (to, from) in [
            (&mut self.refusals, other.refusals),
            (&mut self.short_writes, other.short_writes),
            (&mut self.memory_refused, other.memory_refused),
            (&mut self.sockets, other.sockets),
            (&mut self.busy_ns, other.busy_ns),
            (&mut self.rwnd_limited_ns, other.rwnd_limited_ns),
            (&mut self.sndbuf_limited_ns, other.sndbuf_limited_ns),
        ] {
            *to = to.saturating_add(from);
        }
        self.worst_excess = self.worst_excess.max(other.worst_excess);
    }
}

/// Bytes by cause that are not 0, under the causes' names.
pub fn by_cause(bytes: &[u64; CAUSES]) -> impl Iterator<Item = (&'static str, u64)> {
    let all = Cause::ALL.iter();
    all.map(|cause| (cause.name(), bytes[*cause as usize]))
        .filter(|(_, bytes)| *bytes != 0)
}

/// The same of the receive side.
pub fn by_receive_cause(
    bytes: &[u64; RECEIVE_CAUSES],
) -> impl Iterator<Item = (&'static str, u64)> {
    let all = ReceiveCause::ALL.iter();
    all.map(|cause| (cause.name(), bytes[*cause as usize]))
        .filter(|(_, bytes)| *bytes != 0)
}

/// Moves by cause that are not 0.
pub fn by_limit_cause(moves: &[u64; LIMIT_CAUSES]) -> impl Iterator<Item = (&'static str, u64)> {
    let named = LimitCause::ALL
        .iter()
        .map(|cause| (cause.name(), *cause as usize));
    named
        .chain([("not-kept", MOVE_NOT_KEPT)])
        .map(|(name, at)| (name, moves[at]))
        .filter(|(_, moves)| *moves != 0)
}

/// Times that senders were held up, by whom, that are not 0.
pub fn by_holder(times: &[u64; HOLDERS]) -> impl Iterator<Item = (&'static str, u64)> {
    let all = Holder::ALL.iter();
    all.map(|holder| (holder.name(), times[*holder as usize]))
        .filter(|(_, times)| *times != 0)
}

#[cfg(test)]
mod tests {
    use skmem_common::{
        account::{WAIT_LOWAT, WAIT_MEMORY},
        cause::Tier,
    };

    use super::*;

    fn account() -> Box<Account> {
        Box::new(Account::EMPTY)
    }

    #[test]
    fn each_byte_is_counted_once_whatever_the_looks() {
        let mut account = account();
        let mut sums = Sums::default();
        let mut stand = Stand::NOTHING;
        let steps = [
            (Cause::NewSkb, 896),
            (Cause::FirstFill, 1000),
            (Cause::Ack, -1500),
            (Cause::MtuProbe, 700),
            (Cause::MtuProbe, -300),
            (Cause::Ack, -796),
        ];
        for (n, (cause, bytes)) in steps.into_iter().enumerate() {
            account
                .ledger
                .book(cause as u8, Tier::Observed as u8, bytes, 1);
            // Some looks see several steps at once.
            if n % 2 == 1 {
                let now = Stand::of(&account, 1);
                sums.take(&stand, &now, &account);
                stand = now;
            }
        }
        let of = |list: &[u64; CAUSES], cause: Cause| list[cause as usize];
        assert_eq!(of(&sums.send_added, Cause::FirstFill), 1000);
        assert_eq!(of(&sums.send_added, Cause::NewSkb), 896);
        assert_eq!(of(&sums.send_freed, Cause::Ack), 2296);
        assert_eq!(of(&sums.send_added, Cause::MtuProbe), 700);
        assert_eq!(of(&sums.send_freed, Cause::MtuProbe), 300);
        let total = |list: &[u64]| list.iter().sum::<u64>();
        let w = total(&sums.send_added) - total(&sums.send_freed);
        assert_eq!(i64::try_from(w).unwrap(), i64::from(account.ledger.now.w));
        // Nothing new: nothing counted.
        let before = sums.clone();
        sums.take(&stand, &Stand::of(&account, 1), &account);
        assert_eq!(sums, before);
    }

    #[test]
    fn a_sleep_is_counted_as_it_passes() {
        let mut account = account();
        let mut sums = Sums::default();
        account.blocked.asleep = 1;
        account.blocked.since_reason = WAIT_MEMORY;
        account.blocked.since_ns = 1_000;
        let first = Stand::of(&account, 1_500);
        sums.take(&Stand::NOTHING, &first, &account);
        assert_eq!(sums.blocked_ns, [0, 500, 0]);
        account.blocked.asleep = 0;
        account.blocked.slept(WAIT_MEMORY, 700);
        account.blocked.slept(WAIT_LOWAT, 30);
        account.blocked.reasons[0] = 1;
        account.blocked.holders[Holder::Receiver as usize] = 1;
        sums.take(&first, &Stand::of(&account, 9_000), &account);
        assert_eq!((sums.blocked_ns, sums.reasons), ([0, 700, 30], [1, 0, 0]));
        let holders: Vec<_> = by_holder(&sums.holders).collect();
        assert_eq!(holders, [(Holder::Receiver.name(), 1)]);
    }

    #[test]
    fn moves_that_the_account_has_forgotten_are_still_counted() {
        let mut account = account();
        let mut sums = Sums::default();
        for n in 0..11 {
            let cause = match n {
                10 => LimitCause::ShrunkByMemoryPressure,
                _ => LimitCause::AutotunedUp,
            };
            account.ledger.limit(cause, Tier::Observed, 1000 + n, 1);
        }
        sums.take(&Stand::NOTHING, &Stand::of(&account, 1), &account);
        let moves: Vec<_> = by_limit_cause(&sums.moves).collect();
        let expected = [
            ("autotuned-up", 7),
            ("shrunk-by-memory-pressure", 1),
            ("not-kept", 3),
        ];
        assert_eq!(moves, expected);
    }

    #[test]
    fn a_worst_excess_is_told_once() {
        let mut account = account();
        account.ledger.start(100, 50, 1);
        let now = Stand::of(&account, 1);
        let mut sums = Sums::default();
        assert_eq!(sums.take(&Stand::NOTHING, &now, &account), Some(50));
        assert_eq!(sums.take(&now, &now, &account), None);
        assert_eq!(sums.worst_excess, 50);
    }
}
