//! Reads the ring as it fills.
//!
//! The programs wake the reader once per 64 KiB only; a timer collects what
//! lies there meanwhile.

use std::{io, time::Duration};

use tokio::io::unix::AsyncFd;

use crate::{
    kernel::ring::Ring,
    model::record::{DecodeError, Record},
};

/// Longest time that a record lies in the ring while the reader has time.
const PERIOD: Duration = Duration::from_millis(20);

/// Records taken in one go, so that timers and signals get their turn.
const BATCH: usize = 8192;

/// The reading end of the stream of records.
pub struct Reader {
    ring: AsyncFd<Ring>,
    /// Where each record is decoded.
    record: Box<Record>,
    seen: u64,
    bad: Option<DecodeError>,
}

impl Reader {
    /// Starts to read; must be called within a tokio runtime.
    ///
    /// # Errors
    /// Where the ring cannot be polled.
    pub fn new(ring: Ring) -> io::Result<Self> {
        // SAFETY: the ring owns its file descriptor, never changes it, and
        // keeps it open until the AsyncFd drops it.
        let ring = unsafe { AsyncFd::register(ring) }.map_err(io::Error::from)?;
        Ok(Self {
            ring,
            record: Box::new(Record::empty()),
            seen: 0,
            bad: None,
        })
    }

    /// Waits for records and hands out those that are there, in order.
    ///
    /// # Errors
    /// Where the ring cannot be polled.
    pub async fn read(&mut self, take: impl FnMut(&Record)) -> io::Result<()> {
        if let Ok(ready) = tokio::time::timeout(PERIOD, self.ring.readable_mut()).await {
            ready?.clear_ready();
        }
        self.drain(take);
        Ok(())
    }

    /// Hands out the records that are there now, without waiting; at most a
    /// batch. Says how many.
    pub fn drain(&mut self, mut take: impl FnMut(&Record)) -> usize {
        let (bad, record) = (&mut self.bad, &mut self.record);
        let mut good = 0;
        let n = self
            .ring
            .get_mut()
            .drain(BATCH, |bytes| match record.decode_from(bytes) {
                Ok(()) => {
                    good += 1;
                    take(record);
                }
                Err(e) => *bad = Some(e),
            });
        self.seen += good;
        n
    }

    /// Records handed out so far.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The last thing in the ring that was no record; programs and reader are
    /// of one build, so there should be none.
    #[must_use]
    pub fn bad(&self) -> Option<DecodeError> {
        self.bad
    }
}
