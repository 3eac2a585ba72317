//! `--tripwire`: accounts are kept only while a socket is at its limit, and for a while after.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use super::super::duration;
use crate::{
    kernel::rights::Rights,
    selection::Selection,
    serve::families,
    trace::{Session, older},
};

/// Whether accounts are kept of all sockets, or of which.
#[derive(Debug, Args)]
#[command(next_help_heading = "Tripwire")]
pub(super) struct TripwireArgs {
    /// Keep accounts only of sockets whose queue reaches sk_sndbuf or whose sender waits, from then
    /// on: until one does, a send call costs one short program. What was queued before is
    /// pre-existing
    #[arg(long, conflicts_with_all = ["rx", "hooks", "flight"])]
    tripwire: bool,
    /// How long accounts are kept after a socket last met the tripwire
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s", requires = "tripwire")]
    hold: Duration,
}

impl TripwireArgs {
    /// What attaches programs later needs.
    pub fn rights(&self) -> Rights {
        match self.tripwire {
            true => Rights::BPF | Rights::PERFMON,
            false => Rights::empty(),
        }
    }

    /// The tripwire; None: accounts are kept of all sockets.
    pub fn get(&self) -> Option<Tripwire> {
        self.tripwire.then_some(Tripwire {
            hold: self.hold,
            until: None,
            met: 0,
        })
    }
}

/// When accounts are kept.
pub(super) struct Tripwire {
    hold: Duration,
    /// None: none are kept.
    until: Option<Instant>,
    met: u64,
}

impl Tripwire {
    /// Looks once at all sockets: some may have been at their limit for long.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn start(&mut self, session: &mut Session, selection: &Selection) -> Result<()> {
        session.arm(older(selection))?;
        self.until = Some(Instant::now());
        Ok(())
    }

    /// Attaches the programs or takes them off, as sockets meet the tripwire or have not for a
    /// while.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn watch(&mut self, session: &mut Session, selection: &Selection) -> Result<()> {
        let tripped = session.has_tripped()?;
        let now = Instant::now();
        match self.until {
            None if tripped => {
                session.arm(older(selection))?;
                self.met += 1;
                self.until = Some(Instant::now() + self.hold);
            }
            Some(_) if tripped => self.until = Some(now + self.hold),
            Some(until) if now >= until => {
                if session.has_waiters() {
                    self.until = Some(now + self.hold);
                } else {
                    session.disarm(older(selection))?;
                    self.until = None;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// For metrics.
    pub fn counted(&self) -> families::Tripwire {
        families::Tripwire {
            armed: self.until.is_some(),
            met: self.met,
        }
    }
}
