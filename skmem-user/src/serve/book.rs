//! Sockets added up to groups. A socket that ends leaves its sums with its group; a group that has
//! no room any more is left out, and those that never had any are added up as `other`.
//!
//! Room is counted in series, as Prometheus counts. Where there is too little, groups go that have
//! no socket now, the longest gone first; then the newest, the least charged first. What such a
//! group had counted goes with it, but for what the same look brought: so no counter ever shows a
//! change that was not, and `rate()` stays right.

use std::{collections::BTreeMap, sync::Arc};

use hashbrown::{HashMap, hash_map::Entry};
use skmem_common::account::Account;

use super::{
    counts::{Stand, Sums},
    families::series_of,
    owner_labels::OwnerLabels,
};
use crate::{decode::reading::state_name, diag::Protocol, explain::held_up_since, snapshot::Row};

/// Bounds of [`Excess`], bytes; above the last there is one more bucket.
pub const EXCESS_BOUNDS: [u32; 7] = [
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
    4 << 20,
    16 << 20,
];

/// Worst excesses of sockets over their limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excess {
    /// How many, by bucket.
    pub counts: [u64; EXCESS_BOUNDS.len() + 1],
    /// Their sum, bytes.
    pub sum: u64,
}

impl Excess {
    fn add(&mut self, bytes: i32) {
        let bytes = bytes.unsigned_abs();
        let bucket = EXCESS_BOUNDS.partition_point(|bound| *bound < bytes);
        self.counts[bucket] += 1;
        self.sum += u64::from(bytes);
    }
}

/// What a group holds now. Bytes and counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Now {
    /// Sockets by state.
    pub states: BTreeMap<&'static str, u64>,
    /// w + r + f
    pub charged: i64,
    /// w
    pub wmem_queued: i64,
    /// r
    pub rmem_alloc: i64,
    /// f
    pub forward_alloc: i64,
    /// Sockets with w at or over `sk_sndbuf`.
    pub full: u64,
    /// Sockets whose sender is held up: asleep, or turned away.
    pub held_up: u64,
}

impl Now {
    fn add(&mut self, other: &Self) {
        for (state, sockets) in &other.states {
            *self.states.entry(state).or_default() += sockets;
        }
        self.charged += other.charged;
        self.wmem_queued += other.wmem_queued;
        self.rmem_alloc += other.rmem_alloc;
        self.forward_alloc += other.forward_alloc;
        self.full += other.full;
        self.held_up += other.held_up;
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Sockets with the same labels.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// Its counters.
    pub sums: Sums,
    /// What it holds.
    pub now: Now,
    /// The look that found it first.
    since: u64,
    /// The last look that found a socket of it.
    last: u64,
}

/// Clocks of `TCP_INFO` as they stood, ns: busy, limited by the peer's window, by the send buffer.
type Clocks = [u64; 3];

/// All groups.
#[derive(Debug, Default)]
pub struct Book {
    /// Most series.
    most: usize,
    /// Series that are not of a group.
    fixed: usize,
    groups: HashMap<Arc<OwnerLabels>, Group>,
    other: Group,
    /// Boxed: half of the places of a table that has just grown are empty.
    open: HashMap<u64, Box<Stand>>,
    /// Of open sockets, by cookie, with the look that found them last.
    clocks: HashMap<u64, (Clocks, u64)>,
    excess: Excess,
    look: u64,
    folded: u64,
    retired: u64,
}

impl Book {
    /// With room for `most` series, of which `fixed` are of the machine.
    #[must_use]
    pub fn new(most: usize, fixed: usize) -> Self {
        Self {
            most,
            fixed,
            ..Self::default()
        }
    }

    /// A look begins.
    pub fn begin(&mut self) {
        self.look += 1;
        for group in self.groups.values_mut() {
            group.now = Now::default();
        }
        self.other.now = Now::default();
    }

    /// An open socket's account, read at `now_ns`.
    pub fn account(&mut self, account: &Account, who: &Arc<OwnerLabels>, now_ns: u64) {
        let held_up = held_up_since(account).is_some();
        let group = self.count(account, who, now_ns);
        group.now.held_up += u64::from(held_up);
    }

    /// The account of a socket that has ended.
    pub fn ended(&mut self, account: &Account, who: &Arc<OwnerLabels>, now_ns: u64) {
        self.count(account, who, now_ns);
        self.open.remove(&account.ident.id);
    }

    fn count(&mut self, account: &Account, who: &Arc<OwnerLabels>, now_ns: u64) -> &mut Group {
        let stand = Stand::of(account, now_ns);
        let group = group_of(&mut self.groups, &mut self.other, self.look, who);
        let kept = match self.open.entry(account.ident.id) {
            Entry::Occupied(kept) => kept.into_mut(),
            Entry::Vacant(new) => {
                group.sums.sockets += 1;
                new.insert(Box::new(Stand::NOTHING))
            }
        };
        if let Some(excess) = group.sums.take(kept, &stand, account) {
            self.excess.add(excess);
        }
        **kept = stand;
        group
    }

    /// A socket as `sock_diag` shows it.
    pub fn row(&mut self, row: &Row, who: &Arc<OwnerLabels>) {
        let passed = self.passed(row);
        let group = group_of(&mut self.groups, &mut self.other, self.look, who);
        let now = &mut group.now;
        *now.states.entry(state_name(row.state)).or_default() += 1;
        now.charged += row.charged;
        now.wmem_queued += row.bytes(|m| m.wmem_queued);
        now.rmem_alloc += row.bytes(|m| m.rmem_alloc);
        now.forward_alloc += row.bytes(|m| m.forward_alloc);
        now.full += u64::from(row.fill_percent.is_some_and(|fill| fill >= 100));
        let [busy, rwnd, sndbuf] = passed;
        group.sums.busy_ns += busy;
        group.sums.rwnd_limited_ns += rwnd;
        group.sums.sndbuf_limited_ns += sndbuf;
    }

    /// What has passed on a socket's clocks since the look before. A socket that is older than all
    /// looks begins with the first.
    fn passed(&mut self, row: &Row) -> Clocks {
        let Some(flow) = row.flow.as_ref().filter(|_| row.protocol == Protocol::Tcp) else {
            return [0; 3];
        };
        let ns = |us: Option<u64>| us.unwrap_or(0).saturating_mul(1_000);
        let now = [flow.busy_us, flow.rwnd_limited_us, flow.sndbuf_limited_us].map(ns);
        let new = match self.look {
            1 => now,
            _ => [0; 3],
        };
        let (last, seen) = self.clocks.entry(row.cookie).or_insert((new, self.look));
        *seen = self.look;
        // A clock that runs may be read a little late, and then early.
        let highest = std::array::from_fn(|n| now[n].max(last[n]));
        let before = std::mem::replace(last, highest);
        std::array::from_fn(|n| highest[n] - before[n])
    }

    /// The look has ended: `open` are the numbers of the accounts that there are. Makes room.
    pub fn end(&mut self, open: impl Fn(u64) -> bool) {
        self.open.retain(|id, _| open(*id));
        let look = self.look;
        self.clocks.retain(|_, (_, seen)| *seen == look);
        self.folded = 0;
        let mut series = self.fixed + self.series_of_groups();
        if series <= self.most {
            return;
        }
        // From here on there are others, who need room themselves.
        let mut order: Vec<_> = self
            .groups
            .iter()
            .map(|(who, group)| {
                let gone = group.last != look;
                let age = if gone {
                    group.last
                } else {
                    u64::MAX - group.since
                };
                (!gone, age, group.now.charged, Arc::clone(who))
            })
            .collect();
        order.sort_unstable();
        for (_, _, _, who) in order {
            let other = series_of(&self.other.sums, &self.other.now);
            if series + other <= self.most {
                break;
            }
            let Some(group) = self.groups.remove(&who) else {
                continue;
            };
            series -= series_of(&group.sums, &group.now);
            if group.since == look {
                self.other.sums.add(&group.sums);
            } else {
                self.retired += 1;
            }
            self.folded += u64::from(group.last == look);
            self.other.now.add(&group.now);
        }
    }

    fn series_of_groups(&self) -> usize {
        let own = self.groups.values();
        let own: usize = own.map(|group| series_of(&group.sums, &group.now)).sum();
        own + match self.has_others() {
            true => series_of(&self.other.sums, &self.other.now),
            false => 0,
        }
    }

    fn has_others(&self) -> bool {
        self.other.sums != Sums::default() || !self.other.now.is_empty()
    }

    /// All groups in the order of their labels, `other` last, where there are others.
    #[must_use]
    pub fn groups(&self) -> Vec<(OwnerLabels, &Group)> {
        let mut groups: Vec<_> = self
            .groups
            .iter()
            .map(|(who, group)| (OwnerLabels::clone(who), group))
            .collect();
        groups.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        if self.has_others() {
            groups.push((OwnerLabels::other(), &self.other));
        }
        groups
    }

    /// How far sockets went over their limits.
    #[must_use]
    pub fn excess(&self) -> &Excess {
        &self.excess
    }

    /// Groups of the last look that are added up as `other`.
    #[must_use]
    pub fn folded(&self) -> u64 {
        self.folded
    }

    /// Groups that had series of their own, and gave way to others; in all.
    #[must_use]
    pub fn retired(&self) -> u64 {
        self.retired
    }

    /// Looks so far.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.look
    }
}

/// The group of these labels, of which a socket was found in this look.
fn group_of<'a>(
    groups: &'a mut HashMap<Arc<OwnerLabels>, Group>,
    other: &'a mut Group,
    look: u64,
    who: &Arc<OwnerLabels>,
) -> &'a mut Group {
    // A command of that name would be a second series with the same labels.
    if who.is_other() {
        return other;
    }
    let group = groups.entry_ref(who).or_insert_with(|| Group {
        since: look,
        ..Group::default()
    });
    group.last = look;
    group
}

#[cfg(test)]
pub(crate) mod tests {
    use skmem_common::cause::{Cause, Tier};

    use super::*;
    use crate::diag::TcpState;
    use crate::testing::rows::{mem, socket};

    pub(crate) fn who(comm: &str) -> Arc<OwnerLabels> {
        Arc::new(OwnerLabels {
            comm: comm.to_owned(),
            ..OwnerLabels::default()
        })
    }

    pub(crate) fn account(id: u64, filled: i32, freed: i32) -> Box<Account> {
        let mut account = Box::new(Account::EMPTY);
        account.ident.id = id;
        account.ledger.start(0, 1000, 1);
        let tier = Tier::Observed as u8;
        account.ledger.book(Cause::FirstFill as u8, tier, filled, 1);
        account.ledger.book(Cause::Ack as u8, tier, -freed, 1);
        account
    }

    fn added(group: &Group) -> u64 {
        group.sums.send_added[Cause::FirstFill as usize]
    }

    fn of<'a>(book: &'a Book, comm: &str) -> Option<&'a Group> {
        let groups = book.groups();
        let found = groups.into_iter().find(|(who, _)| who.comm == comm);
        found.map(|(_, group)| group)
    }

    #[test]
    fn what_has_ended_stays_counted() {
        let mut book = Book::new(1000, 0);
        let web = who("web");
        book.begin();
        book.account(&account(1, 5_000, 0), &web, 1);
        book.account(&account(2, 100, 100), &web, 1);
        book.end(|_| true);
        assert_eq!(added(of(&book, "web").unwrap()), 5_100);
        book.begin();
        book.ended(&account(1, 7_000, 7_000), &web, 2);
        // One that no look saw.
        book.ended(&account(3, 11, 11), &web, 2);
        book.end(|id| id == 2);
        let group = of(&book, "web").unwrap();
        assert_eq!((added(group), group.sums.sockets), (7_111, 3));
        assert_eq!(book.open.len(), 1);
        for _ in 0..3 {
            book.begin();
            book.end(|_| false);
        }
        assert_eq!(added(of(&book, "web").unwrap()), 7_111);
        // 4,000 bytes over the limit at first, then 6,000; the others never were.
        assert_eq!(book.excess().counts.iter().sum::<u64>(), 2);
        assert_eq!(book.excess().sum, 10_000);
        assert_eq!(book.excess().counts[..2], [1, 1]);
    }

    #[test]
    fn there_are_never_more_series_than_asked_for_and_no_counter_goes_back() {
        let most = 120;
        let mut book = Book::new(most, 20);
        let mut before: HashMap<OwnerLabels, u64> = HashMap::new();
        let mut all = 0;
        for look in 1..60_u64 {
            book.begin();
            for n in 0..look.min(30) {
                // The first ten come and go.
                if n < 10 && (look / 7) % 2 == 1 {
                    continue;
                }
                let comm = who(&format!("comm-{n}"));
                let bytes = i32::try_from(look * 10).unwrap();
                book.account(&account(n + 1, bytes, 0), &comm, look);
                let mut row = Row::new(&socket(TcpState::Established, mem(5, 1, 2, 10)), 7);
                row.charged = i64::try_from(n).unwrap();
                book.row(&row, &comm);
                all += 1;
            }
            book.end(|_| true);
            let groups = book.groups();
            let series: usize = groups.iter().map(|(_, g)| series_of(&g.sums, &g.now)).sum();
            assert!(series + 20 <= most, "{series} in look {look}");
            // What is not there any more may come again.
            let mut now = HashMap::new();
            for (who, group) in groups {
                if let Some(before) = before.get(&who) {
                    assert!(added(group) >= *before, "{who:?} in look {look}");
                }
                now.insert(who, added(group));
            }
            before = now;
        }
        assert!(all > 0 && book.folded() > 0 && book.retired() > 0);
        assert!(of(&book, "other").is_some());
    }

    #[test]
    fn clocks_begin_with_the_first_look() {
        let row = |busy_us| {
            let mut row = Row::new(&socket(TcpState::Established, mem(0, 0, 0, 10)), 7);
            row.flow = Some(crate::snapshot::row::Flow {
                mss: 1,
                cwnd: 1,
                unacked: 0,
                lost: 0,
                total_retrans: 0,
                rtt_us: 0,
                snd_wnd: None,
                busy_us: Some(busy_us),
                rwnd_limited_us: None,
                sndbuf_limited_us: None,
                rcv_wnd: None,
            });
            row
        };
        let mut book = Book::new(1000, 0);
        let web = who("web");
        let busy = |book: &mut Book, us: &[u64]| {
            book.begin();
            for (cookie, us) in us.iter().enumerate() {
                let mut row = row(*us);
                row.cookie = cookie as u64;
                book.row(&row, &web);
            }
            book.end(|_| true);
            of(book, "web").unwrap().sums.busy_ns / 1_000
        };
        assert_eq!(busy(&mut book, &[500]), 0);
        assert_eq!(busy(&mut book, &[600, 40]), 140);
        // A little back is no step back, and is not counted twice.
        assert_eq!(busy(&mut book, &[590, 40]), 140);
        assert_eq!(busy(&mut book, &[610, 40]), 150);
    }
}
