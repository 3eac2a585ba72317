//! The ways to be traced that are compared.

use std::ops::Range;

use skmem_common::{hook::Hook, layout::Records};

use crate::{
    kernel::{
        plan::{Need, Plan, Set},
        tracer,
    },
    selection::{Port, Selection},
    trace,
};

/// A way to be traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Nothing is attached
    Nothing,
    /// Empty programs on the same functions: what attaching alone costs
    Empty,
    /// Attached, and the filter wants none of the sockets
    Miss,
    /// Accounts by the lean set of hooks, and a record where an account's state changes
    Lean,
    /// The same with receive memory (--rx)
    LeanReceive,
    /// Accounts by all hooks (--hooks all)
    Aggregate,
    /// The same with receive memory
    Receive,
    /// Accounts of all sockets of the machine, as `skmem serve` keeps them
    Serve,
    /// Nothing but the tripwire of `skmem serve --tripwire`, which no socket meets
    Tripwire,
    /// A record of each call by the lean set, read
    LeanRecords,
    /// All records of the three hooks without which nothing works
    Essential,
    /// All records of all hooks, read
    Records,
    /// The same, and replayed (--verify)
    Verified,
}

impl Mode {
    /// All of them; the first is what the others are compared with.
    pub const ALL: [Self; 13] = [
        Self::Nothing,
        Self::Empty,
        Self::Miss,
        Self::Lean,
        Self::LeanReceive,
        Self::Aggregate,
        Self::Receive,
        Self::Serve,
        Self::Tripwire,
        Self::LeanRecords,
        Self::Essential,
        Self::Records,
        Self::Verified,
    ];

    /// In the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing attached",
            Self::Empty => "empty programs on the same functions",
            Self::Miss => "attached, the filter misses",
            Self::Lean => "accounts, lean set",
            Self::LeanReceive => "accounts of both sides, lean set",
            Self::Aggregate => "accounts, all hooks",
            Self::Receive => "accounts of both sides, all hooks",
            Self::Serve => "accounts of everything (skmem serve)",
            Self::Tripwire => "a tripwire that no socket meets",
            Self::LeanRecords => "records of each call, lean set",
            Self::Essential => "records of three hooks",
            Self::Records => "records of all hooks",
            Self::Verified => "records of all hooks, replayed",
        }
    }

    /// How to trace so; None: not at all.
    pub fn options(self) -> Option<tracer::Options> {
        let options = trace::options(&Selection::of_processes([std::process::id()]));
        Some(match self {
            Self::Nothing => return None,
            Self::Empty => tracer::Options {
                empty: true,
                ..options
            },
            Self::Miss => tracer::Options {
                pids: options.pids,
                ..trace::options(&Selection {
                    sport: Some(Port::Number(1)),
                    ..Selection::default()
                })
            },
            Self::Lean => tracer::Options {
                records: Records::Transitions,
                set: Set::Lean,
                ..options
            },
            Self::LeanReceive => tracer::Options {
                records: Records::Transitions,
                set: Set::Lean,
                rx: true,
                ..options
            },
            Self::LeanRecords => tracer::Options {
                set: Set::Lean,
                ..options
            },
            Self::Aggregate => tracer::Options {
                records: Records::Transitions,
                ..options
            },
            Self::Receive => tracer::Options {
                records: Records::Transitions,
                rx: true,
                ..options
            },
            Self::Serve => {
                let mut options = trace::options(&Selection::default());
                trace::accounts_alone(&mut options);
                options
            }
            Self::Tripwire => {
                let mut options = trace::options(&Selection::default());
                trace::accounts_alone(&mut options);
                options.tripwire = true;
                options
            }
            Self::Essential => tracer::Options {
                without: unessential(),
                ..options
            },
            Self::Records | Self::Verified => options,
        })
    }

    /// Whether what records tell is compared with the accounts.
    pub const fn replays(self) -> bool {
        matches!(self, Self::Verified)
    }
}

/// Hooks that skmem can do without.
fn unessential() -> Vec<Hook> {
    let hooks = Hook::ALL.iter().copied();
    hooks
        .filter(|hook| Plan::need(*hook).is_some_and(|need| need != Need::Essential))
        .collect()
}

/// In which order the modes take their turns in a round: not always the same,
/// so that none profits from its place.
pub fn turns(modes: usize, round: usize) -> impl Iterator<Item = usize> {
    let all: Range<usize> = 0..modes;
    all.map(move |n| (n + round) % modes.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_essential_hooks_are_left() {
        let left: Vec<Hook> = Hook::ALL
            .iter()
            .copied()
            .filter(|hook| Plan::need(*hook).is_some() && !unessential().contains(hook))
            .collect();
        assert_eq!(
            left,
            [Hook::SendmsgLocked, Hook::AllocSkb, Hook::MemSchedule]
        );
    }

    #[test]
    fn every_mode_has_its_turn_in_every_round() {
        for round in 0..5 {
            let mut order: Vec<usize> = turns(4, round).collect();
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3]);
        }
    }
}
