//! Which sockets are joined, and where their bytes are.

use skmem_common::{
    account::Account,
    record::{IDENT_COOKIE, Ident},
};

use crate::{
    explain::{
        Source,
        pair::{JoinedBy, Pair, Place, pairs},
    },
    model::end::{End, SavedAccount},
    selection::Selection,
};

/// An end whose sending runs from sequence number `seq` on, and whose peer's does from `peer` on.
struct Side {
    id: u64,
    netns: u32,
    local: ([u8; 4], u16),
    remote: ([u8; 4], u16),
    /// `snd_una`, `snd_nxt`, `write_seq`.
    sends: [u32; 3],
    /// `copied_seq`, `rcv_nxt`.
    receives: [u32; 2],
    window: u32,
}

const A: ([u8; 4], u16) = ([10, 0, 0, 1], 40_000);
const B: ([u8; 4], u16) = ([10, 0, 0, 2], 5_432);

/// A sender of whose bytes 3,000 are not sent, 2,000 on the way and 1,000 not read.
fn two() -> [Side; 2] {
    [
        Side {
            id: 1,
            netns: 7,
            local: A,
            remote: B,
            sends: [4_294_966_000, 4_294_967_000, 2_704],
            receives: [900, 900],
            window: 65_535,
        },
        Side {
            id: 2,
            netns: 8,
            local: B,
            remote: A,
            sends: [900, 900, 900],
            receives: [4_294_964_000, 4_294_965_000],
            window: 0,
        },
    ]
}

fn end(sides: &[Side]) -> End {
    let open = sides.iter().map(|side| {
        let mut account = Box::new(Account::EMPTY);
        let address = |ip: [u8; 4]| {
            let mut all = [0; 16];
            all[..4].copy_from_slice(&ip);
            all
        };
        account.ident = Ident {
            id: side.id,
            netns: side.netns,
            family: 2,
            flags: IDENT_COOKIE,
            saddr: address(side.local.0),
            sport: side.local.1,
            daddr: address(side.remote.0),
            dport: side.remote.1,
            ..Ident::default()
        };
        let last = &mut account.last;
        [last.snd_una, last.snd_nxt, last.write_seq] = side.sends;
        let r = &mut account.receiving;
        [r.now.copied_seq, r.now.rcv_nxt] = side.receives;
        r.now.rcvbuf = 131_072;
        r.now.window = side.window;
        r.segments = 1;
        r.start(false, 0);
        SavedAccount {
            account,
            stream_agrees: None,
            sleepers: Vec::new(),
        }
    });
    End {
        open: open.collect(),
        ..End::default()
    }
}

fn joined(sides: &[Side]) -> Vec<Pair> {
    let end = end(sides);
    let verdicts = end.verdicts("6.12.48", true, true, Source::Kernel);
    pairs(&end, &verdicts, &Selection::default())
}

#[test]
fn bytes_on_their_way_add_up() {
    let pairs = joined(&two());
    assert_eq!(pairs.len(), 1);
    assert_eq!(pairs[0].joined_by, JoinedBy::Addresses);
    // The way back carried nothing.
    let [way] = &pairs[0].ways[..] else {
        panic!("{:?}", pairs[0].ways);
    };
    assert_eq!((way.from, way.to), (1, 2));
    assert_eq!(
        (way.not_sent, way.on_the_way, way.not_read),
        (3_000, 2_000, 1_000)
    );
    assert_eq!(way.outstanding, 6_000);
    // Data waits, and the window is 0.
    assert_eq!(way.held_at, Place::Reader);
}

#[test]
fn a_loopback_address_is_another_in_each_namespace() {
    let mut sides = two();
    sides[0].local.0 = [127, 0, 0, 1];
    sides[1].remote.0 = [127, 0, 0, 1];
    assert!(joined(&sides).is_empty());
    sides[1].netns = 7;
    assert_eq!(joined(&sides).len(), 1);
}

#[test]
fn the_same_addresses_in_another_network_are_no_peer() {
    let mut sides = two();
    sides[1].receives = [2_000_000_000, 2_000_000_000];
    assert!(joined(&sides).is_empty());
}

#[test]
fn behind_nat_sequence_numbers_tell() {
    let mut sides = two();
    sides[0].remote = ([192, 0, 2, 1], 15_432);
    sides[1].receives = [4_294_964_000, 4_294_966_500];
    let pairs = joined(&sides);
    assert_eq!(pairs.len(), 1);
    assert_eq!(pairs[0].joined_by, JoinedBy::SequenceNumbers);
    assert_eq!(pairs[0].ways[0].outstanding, 6_000);
    // What was received lies before what was acknowledged: another connection.
    sides[1].receives = [4_294_964_000, 4_294_965_000];
    assert!(joined(&sides).is_empty());
}

#[test]
fn all_that_was_written_is_read() {
    let mut sides = two();
    sides[0].sends = [9_000; 3];
    sides[1].receives = [9_000; 2];
    let pairs = joined(&sides);
    assert_eq!(pairs[0].ways.len(), 1);
    assert_eq!(pairs[0].ways[0].held_at, Place::Writer);
}
