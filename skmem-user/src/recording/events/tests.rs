//! Any records, there and back.

use proptest::{collection::vec, prelude::*};
use skmem_common::{
    hook::Hook,
    receive::ReceiveView,
    record::{
        Before, Event, FLAG_BOOKED, FLAG_LOCKLESS, Header, Ident, OPS, Op, Open, RECEIVE_OPS,
        Receive, SHORT_EVENT, SHORT_OPS, Task, VERSION, View,
    },
};

use super::{Decoder, Encoder};
use crate::model::record::Record;

pub(in crate::recording) fn header(hook: Hook, len: usize, ops: usize, word: u64) -> Header {
    Header {
        len: len as u16,
        version: VERSION,
        hook: hook as u8,
        cpu: word as u16,
        flags: (word >> 16) as u8,
        ops: ops as u8,
    }
}

/// Numbers as they occur: small ones, repeated ones, and any.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(1448), 0..5000u32, any::<u32>()]
}

fn view() -> impl Strategy<Value = View> {
    (vec(number(), 12), any::<(u16, u8, u8)>()).prop_map(|(n, (gso_segs, userlocks, state))| View {
        wmem_queued: n[0].cast_signed(),
        sndbuf: n[1].cast_signed(),
        forward_alloc: n[2].cast_signed(),
        wmem_alloc: n[3].cast_signed(),
        write_seq: n[4],
        snd_una: n[5],
        snd_nxt: n[6],
        snd_wnd: n[7],
        mss: n[8],
        untrimmed: n[9],
        gso_segs,
        userlocks,
        state,
        notsent_lowat: n[10],
    })
}

fn op() -> impl Strategy<Value = Op> {
    let likely = (0..3u8, 0..32u8, 0..2u8, -5000..5000i32);
    let any = any::<(u8, u8, u8, i32)>();
    prop_oneof![likely, any].prop_map(|(kind, cause, tier, value)| Op {
        kind,
        cause,
        tier,
        reserved: 0,
        value,
    })
}

fn socket() -> impl Strategy<Value = u64> {
    prop_oneof![0..4u64, any::<u64>()]
}

fn event() -> impl Strategy<Value = Record> {
    let hook = (0..Hook::ALL.len()).prop_map(|n| Hook::ALL[n]);
    let hook = hook.prop_filter("events", |h| {
        !matches!(h, Hook::Open | Hook::Task) && !h.is_receive()
    });
    (
        hook,
        (any::<u64>(), any::<u64>(), socket()),
        vec(number(), 13),
        view(),
        vec(op(), 0..=OPS),
    )
        .prop_map(|(hook, (word, time_ns, socket), n, view, list)| {
            let len = if list.len() <= SHORT_OPS {
                SHORT_EVENT
            } else {
                size_of::<Event>()
            };
            let mut ops = [Op::default(); OPS];
            ops[..list.len()].copy_from_slice(&list);
            Record::Event(Event {
                header: header(hook, len, list.len(), word),
                time_ns,
                socket,
                event_no: n[0],
                slot: n[1],
                pid: n[2],
                tid: n[3],
                before: Before {
                    wmem_queued: n[4].cast_signed(),
                    sndbuf: n[5].cast_signed(),
                    forward_alloc: n[6].cast_signed(),
                    write_seq: n[7],
                    snd_una: n[8],
                    reserved: 0,
                },
                view,
                truesize: n[9],
                arg: n[10].cast_signed(),
                ret: n[11].cast_signed(),
                kind: n[12],
                ops,
            })
        })
}

fn open() -> impl Strategy<Value = Record> {
    let bytes = any::<([u8; 16], [u8; 16], [u8; 16])>();
    (
        (any::<u64>(), any::<u64>(), any::<u64>(), socket()),
        bytes,
        vec(number(), 10),
        any::<(u16, u16, u16)>(),
        view(),
    )
        .prop_map(
            |((word, time_ns, seen_ns, id), (comm, saddr, daddr), n, ports, view)| {
                Record::Open(Open {
                    header: header(Hook::Open, size_of::<Open>(), 0, word),
                    time_ns,
                    event_no: n[0],
                    slot: n[1],
                    ident: Ident {
                        id,
                        seen_ns,
                        netns: n[2],
                        flags: n[3],
                        pid: n[4],
                        tid: n[5],
                        comm,
                        saddr,
                        daddr,
                        sport: ports.0,
                        dport: ports.1,
                        family: ports.2,
                        reserved: 0,
                        so_sndbuf: n[6].cast_signed(),
                        cgroup_lo: n[7],
                        cgroup_hi: n[8],
                        inode: n[9],
                    },
                    view,
                })
            },
        )
}

fn task() -> impl Strategy<Value = Record> {
    (
        any::<(u64, u64, [u8; 16])>(),
        socket(),
        any::<(u32, u32, u32, u32)>(),
    )
        .prop_map(
            |((word, time_ns, comm), socket, (event_no, slot, pid, tid))| {
                Record::Task(Task {
                    header: header(Hook::Task, size_of::<Task>(), 0, word),
                    time_ns,
                    socket,
                    event_no,
                    slot,
                    pid,
                    tid,
                    comm,
                })
            },
        )
}

fn receive() -> impl Strategy<Value = Record> {
    (
        prop_oneof![Just(Hook::QueueRcv), Just(Hook::Read), Just(Hook::Recvmsg)],
        (any::<u64>(), any::<u64>(), socket()),
        vec(number(), 14),
        vec(op(), RECEIVE_OPS),
    )
        .prop_map(|(hook, (word, time_ns, socket), n, some)| {
            // Those of format 1 carry no operations.
            let booked = word & 1 << 8 != 0;
            let used = if booked {
                word as usize % (RECEIVE_OPS + 1)
            } else {
                0
            };
            let mut header = header(hook, size_of::<Receive>(), used, word);
            header.flags &= !FLAG_BOOKED;
            header.flags |= if booked { FLAG_BOOKED } else { 0 };
            let mut ops = [Op::default(); RECEIVE_OPS];
            ops[..used].copy_from_slice(&some[..used]);
            Record::Receive(Receive {
                header,
                time_ns,
                socket,
                event_no: n[0],
                slot: n[1],
                pid: n[2],
                tid: n[3],
                truesize: n[4],
                waiting: if booked { n[13] } else { 0 },
                ops,
                view: ReceiveView {
                    rmem_alloc: n[5].cast_signed(),
                    rcvbuf: n[6].cast_signed(),
                    backlog: n[7].cast_signed(),
                    forward_alloc: n[8].cast_signed(),
                    rcv_nxt: n[9],
                    copied_seq: n[10],
                    window: n[11],
                    state: n[12],
                },
            })
        })
}

/// A record of any kind.
pub(in crate::recording) fn record() -> impl Strategy<Value = Record> {
    prop_oneof![8 => event(), 1 => open(), 1 => task(), 1 => receive()]
}

fn back(payload: Vec<u8>) -> Vec<Record> {
    let mut decoder = Decoder::new(payload).unwrap();
    std::iter::from_fn(|| decoder.next().unwrap().copied()).collect()
}

proptest! {
    #[test]
    fn there_and_back(records in vec(record(), 0..60)) {
        let mut encoder = Encoder::default();
        for _ in 0..2 {
            // A second block starts afresh.
            records.iter().for_each(|r| encoder.push(r));
            prop_assert_eq!(encoder.records() as usize, records.len());
            prop_assert_eq!(&back(encoder.take()), &records);
        }
    }

    #[test]
    fn no_bytes_are_too_bad(bytes in vec(any::<u8>(), 0..400)) {
        if let Ok(mut decoder) = Decoder::new(bytes) {
            while let Ok(Some(_)) = decoder.next() {}
        }
    }

    #[test]
    fn bad_columns_are_errors_or_other_records(
        records in vec(record(), 1..20),
        at in any::<prop::sample::Index>(),
        bit in 0..8u32,
    ) {
        let mut encoder = Encoder::default();
        records.iter().for_each(|r| encoder.push(r));
        let mut payload = encoder.take();
        let at = at.index(payload.len());
        payload[at] ^= 1 << bit;
        if let Ok(mut decoder) = Decoder::new(payload) {
            let mut n = 0;
            while let Ok(Some(_)) = decoder.next() {
                n += 1;
            }
            prop_assert!(n <= super::MOST);
        }
    }
}

/// A sender that writes 1 KiB again and again.
pub(in crate::recording) fn steady(records: u32) -> Vec<Record> {
    let mut event = Event {
        header: header(Hook::SendmsgLocked, SHORT_EVENT, 1, 2 << 16),
        ..Event::default()
    };
    event.view.sndbuf = 1 << 20;
    (0..records)
        .map(|n| {
            event.time_ns += 5000 + u64::from(n % 500);
            event.event_no += 1;
            event.before.wmem_queued = event.view.wmem_queued;
            event.before.sndbuf = event.view.sndbuf;
            event.before.forward_alloc = event.view.forward_alloc;
            event.before.write_seq = event.view.write_seq;
            event.ops[0] = Op {
                cause: skmem_common::cause::Cause::TailAppend as u8,
                value: 1024,
                ..Op::default()
            };
            event.view.wmem_queued += 1024;
            event.view.forward_alloc -= 1024;
            event.view.write_seq += 1024;
            Record::Event(event)
        })
        .collect()
}

#[test]
fn steady_traffic_takes_few_bytes() {
    let mut encoder = Encoder::default();
    steady(500).iter().for_each(|record| encoder.push(record));
    let length = encoder.take().len();
    assert!(length < 500 * 10, "{length} bytes for 500 records");
    assert!(length > 500 * 4, "{length} bytes: nothing left to tell?");
}

#[test]
fn a_lockless_record_does_not_count() {
    let mut encoder = Encoder::default();
    let word = u64::from(FLAG_LOCKLESS) << 16;
    let event = Event {
        header: header(Hook::Sendmsg, SHORT_EVENT, 0, word),
        event_no: 7,
        ..Event::default()
    };
    let records = [Record::Event(event); 3];
    records.iter().for_each(|r| encoder.push(r));
    assert_eq!(back(encoder.take()), records);
}
