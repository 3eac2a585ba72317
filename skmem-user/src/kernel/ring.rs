//! The ring buffer, as bytes.

use std::os::fd::{AsRawFd, RawFd};

use aya::maps::{MapData, RingBuf};

/// The ring buffer's reading end.
pub struct Ring(RingBuf<MapData>);

impl Ring {
    pub(super) fn new(ring: RingBuf<MapData>) -> Self {
        Self(ring)
    }

    /// The next record, which leaves the ring when it is handed out; at most
    /// `most` of them.
    pub fn drain(&mut self, most: usize, mut take: impl FnMut(&[u8])) -> usize {
        let mut n = 0;
        while n < most {
            let Some(record) = self.0.next() else { break };
            take(&record);
            n += 1;
        }
        n
    }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
