//! f: memory that is charged ahead of use.

use super::{Finding, Reading, bytes, note};
use crate::explain::numbers::grouped;

pub(super) fn forward(reading: &Reading) -> Option<Finding> {
    let forward = reading.memory.forward_alloc?;
    if forward < 0 {
        return note(
            "forward-alloc",
            "f",
            format!(
                "f is {}, which ss prints as {}: charged less than used. While data moves this lasts a moment; with kernel \
                 TLS, as long as a kTLS record is open; after the kernel copied the packets of a full receive buffer \
                 together (tcp_collapse), until they are read; up to 5.15, as long as zero-copy data is queued.",
                grouped(forward),
                forward.rem_euclid(1 << 32)
            ),
        );
    }
    if forward < 256 << 10 {
        return None;
    }
    note(
        "forward-alloc",
        "f",
        format!(
            "{} are charged to the socket and not in use: before kernel 6.0, up to 2 MiB stay with a socket that had \
             used them; from 6.0 on, the application reserved them (SO_RESERVE_MEM).",
            bytes(forward)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::reading::Memory;

    fn text(forward: i64) -> Option<String> {
        let reading = Reading {
            memory: Memory {
                forward_alloc: Some(forward),
                ..Memory::default()
            },
            ..Reading::default()
        };
        self::forward(&reading).map(|found| found.text)
    }

    #[test]
    fn reserved_memory_and_open_records_are_named() {
        assert!(text(1 << 20).unwrap().contains("SO_RESERVE_MEM"));
        let below = text(-7837).unwrap();
        assert!(
            below.contains("4294959459") && below.contains("as long as a kTLS record is open"),
            "{below}"
        );
        assert_eq!(text(4096), None);
    }
}
