//! MPTCP sockets, each case as a small stream of hooks: what the programs see,
//! and what the ledger then says.

use skmem_common::{
    account::{Account, Fields, PROBING_UNKNOWN, SocketFields},
    cause::{Cause, LimitCause},
    hook::Hook,
    record::{IDENT_MPTCP_SOCKET, OP_ADMIT},
};

/// `TCP_CLOSE` of the kernel's `tcp_states.h`.
const CLOSE: u8 = 7;
/// `struct mptcp_data_frag` here.
const HEADER: i32 = 40;

#[derive(Clone, Copy)]
struct Msk(Fields);

impl SocketFields for Msk {
    const MPTCP: bool = true;

    fn key_fields(&self) -> (i32, i32, u32, u32) {
        self.0.key_fields()
    }

    fn forward_alloc(&self) -> i32 {
        self.0.forward_alloc
    }

    fn sndbuf_locked(&self) -> u8 {
        self.0.locked
    }

    fn probing(&self) -> u8 {
        PROBING_UNKNOWN
    }

    fn state(&self) -> u8 {
        self.0.state
    }

    fn tail(&self) -> u64 {
        0
    }
}

/// An MPTCP socket and its account.
struct Stream {
    account: Box<Account>,
    msk: Msk,
}

impl Stream {
    fn new(sndbuf: i32) -> Self {
        let msk = Msk(Fields {
            sndbuf,
            write_seq: u32::MAX - 100,
            snd_una: u32::MAX - 100,
            state: 1,
            locked: 1,
            ..Fields::default()
        });
        let mut account = Box::new(Account::EMPTY);
        account.ident.flags = IDENT_MPTCP_SOCKET;
        account.open(&msk, 1);
        Self { account, msk }
    }

    /// `mptcp_sendmsg` fills a part of a page fragment.
    fn part(&mut self, header: i32, payload: u32) -> &mut Self {
        self.account.schedule_mptcp(true, &self.msk, || 2);
        self.msk.0.w += header + payload as i32;
        self.msk.0.write_seq = self.msk.0.write_seq.wrapping_add(payload);
        self
    }

    /// It gives the lock up.
    fn release(&mut self) -> &mut Self {
        self.account.close_all();
        self.account
            .enter(Hook::MptcpRelease, 0, 0, &self.msk, || 3);
        self.account.leave(Hook::MptcpRelease, &self.msk, || 4);
        self
    }

    fn acked(&mut self, payload: u32, headers: i32) {
        self.msk.0.snd_una = self.msk.0.snd_una.wrapping_add(payload);
        self.msk.0.w -= payload as i32 + headers;
    }

    fn has(&self, sums: &[(Cause, i64, i64)]) {
        for cause in Cause::ALL {
            let wanted = sums.iter().find(|(c, ..)| c == cause);
            let (bytes, inferred) = wanted.map_or((0, 0), |(_, b, i)| (*b, *i));
            let total = self.account.ledger.now.total(*cause);
            assert_eq!(
                (total.bytes, total.inferred),
                (bytes, inferred),
                "{}",
                cause.name()
            );
        }
        assert_eq!(self.account.ledger.now.w, self.msk.0.w);
    }
}

#[test]
fn a_write_is_payload_and_a_header_and_the_last_part_goes_past_the_limit() {
    let mut s = Stream::new(65_536);
    s.part(HEADER, 32_000).part(HEADER, 32_000);
    s.part(HEADER, 32_000).release();
    s.has(&[
        (Cause::MptcpData, 96_000, 0),
        (Cause::MptcpFragHeader, i64::from(3 * HEADER), 0),
    ]);
    let ledger = &s.account.ledger;
    let admission = ledger.now.admission;
    assert_eq!(
        (admission.w, admission.sndbuf, admission.count),
        (2 * (32_000 + HEADER), 65_536, 3)
    );
    assert_eq!(ledger.worst_excess, 3 * (32_000 + HEADER) - 65_536);
    assert_eq!(ledger.now.since(Cause::MptcpData).unwrap().bytes, 32_000);
}

#[test]
fn nothing_is_admitted_where_memory_is_refused_or_the_limit_is_reached() {
    let mut s = Stream::new(65_536);
    s.account.schedule_mptcp(false, &s.msk, || 2);
    assert_eq!(s.account.op_count, 0);
    // The refusal shrinks a limit that is not locked: what was granted was tested before.
    s.part(HEADER, 60_000);
    s.msk.0.locked = 0;
    s.msk.0.sndbuf = s.msk.0.w / 2;
    s.account.schedule_mptcp(true, &s.msk, || 2);
    let admit = s.account.ops[..s.account.op_count as usize].last().unwrap();
    assert_eq!((admit.kind, admit.value), (OP_ADMIT, 65_536));
    let moved = s.account.ledger.moves[0];
    assert_eq!(moved.cause, LimitCause::ShrunkByMemoryPressure as u8);
}

#[test]
fn acknowledgements_free_in_softirq_or_when_the_lock_is_given_up() {
    let mut s = Stream::new(65_536);
    s.part(HEADER, 30_000).part(0, 2_000).release();
    s.account.enter(Hook::MptcpCleanUna, 0, 0, &s.msk, || 5);
    s.acked(30_000, 0);
    s.account.leave(Hook::MptcpCleanUna, &s.msk, || 6);
    // While a task held the lock.
    s.account.close_all();
    s.account.enter(Hook::MptcpRelease, 0, 0, &s.msk, || 7);
    s.acked(2_000, HEADER);
    s.account.leave(Hook::MptcpRelease, &s.msk, || 8);
    s.has(&[
        (Cause::MptcpData, 32_000, 0),
        (Cause::MptcpFragHeader, i64::from(HEADER), 0),
        (Cause::MptcpAck, -i64::from(32_000 + HEADER), 0),
    ]);
}

#[test]
fn what_skipped_runs_left_unseen_is_inferred_and_sums_stay_exact() {
    let mut s = Stream::new(65_536);
    s.part(HEADER, 10_000).release();
    // A write and an acknowledgement between two hooks.
    s.part(HEADER, 1_000);
    s.acked(10_000, HEADER);
    s.part(HEADER, 20_000);
    s.release();
    s.acked(21_000, 2 * HEADER);
    s.release();
    let ledger = &s.account.ledger;
    assert_eq!(ledger.now.w, 0);
    assert_eq!(ledger.now.total(Cause::Unattributed).count, 0);
    assert_eq!(ledger.now.total(Cause::MptcpData).bytes, 31_000);
    assert!(ledger.now.total(Cause::MptcpAck).inferred < 0);
}

#[test]
fn a_data_fin_and_a_new_connection_book_nothing_and_the_end_is_a_purge() {
    let mut s = Stream::new(65_536);
    s.msk.0.write_seq = 7_000;
    s.msk.0.snd_una = 7_000;
    s.release();
    s.has(&[]);
    s.part(HEADER, 1_000).release();
    s.msk.0.write_seq += 1;
    s.release();
    s.account.enter(Hook::MptcpDestroy, 0, 0, &s.msk, || 9);
    s.msk.0.w = 0;
    s.msk.0.state = CLOSE;
    s.account.leave(Hook::MptcpDestroy, &s.msk, || 10);
    s.has(&[
        (Cause::MptcpData, 1_000, 0),
        (Cause::MptcpFragHeader, i64::from(HEADER), 0),
        (Cause::Purge, -i64::from(1_000 + HEADER), 0),
    ]);
}

#[test]
fn the_limit_follows_the_subflows_unless_the_application_set_it() {
    let mut s = Stream::new(65_536);
    s.msk.0.sndbuf = 32_768;
    s.release();
    s.msk.0.locked = 0;
    s.msk.0.sndbuf = 91_136;
    s.release();
    s.msk.0.sndbuf = 4_096 + 46_080;
    s.release();
    let causes: Vec<u8> = s.account.ledger.moves[..3]
        .iter()
        .map(|m| m.cause)
        .collect();
    let expected = [
        LimitCause::SetByApplication,
        LimitCause::MptcpSubflows,
        LimitCause::MptcpSubflows,
    ];
    assert_eq!(causes, expected.map(|c| c as u8));
}

#[test]
fn a_socket_that_was_opened_without_its_lock_begins_with_what_the_first_hook_finds() {
    let mut s = Stream::new(65_536);
    s.account.opened_lockless = 1;
    s.part(HEADER, 5_000).release();
    s.has(&[(Cause::PreExisting, i64::from(5_000 + HEADER), 0)]);
}
