//! With a tripwire accounts are kept only while a socket meets it, and for a while after.

use anyhow::Result;

use super::{super::select::Older, Session};

impl Session {
    /// Whether a socket has met the tripwire since this was last asked: its queue has reached
    /// `sk_sndbuf`, or its sender was held up.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn has_tripped(&mut self) -> Result<bool> {
        let trips = self.tracer.trips()?;
        Ok(std::mem::replace(&mut self.trips, trips) != trips)
    }

    /// Keeps accounts from here on: of sockets that meet the tripwire, and of those that have met
    /// it.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn arm(&mut self, older: Older) -> Result<()> {
        self.tracer.arm()?;
        self.adopt(older);
        Ok(())
    }

    /// Takes all sockets' accounts away; [`Session::step`] collects them like those of closed ones.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn disarm(&mut self, older: Older) -> Result<()> {
        self.tracer.disarm()?;
        self.namespaces = older.namespaces;
        self.walk(&[]);
        self.tracer.detach();
        Ok(())
    }

    /// Whether a sender waits for room: asleep, or turned away and not let in since.
    #[must_use]
    pub fn has_waiters(&self) -> bool {
        self.tracer.table().senders().any(|sender| {
            let blocked = sender.blocked;
            let refused = blocked.refused_ns != 0 || blocked.nospace != 0;
            blocked.asleep != 0 || (refused && sender.queued > 0)
        })
    }
}
