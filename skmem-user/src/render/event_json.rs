//! A trace event as JSON, under the kernel's names. `docs/json.md` says what
//! each field means.

use serde_json::Value;
use skmem_common::record::{Event, FLAG_LOCKLESS, FLAG_TASK, IDENT_COOKIE, Ident};

use super::{
    identity::Named,
    line_buffer::LineBuffer,
    ops::{Decoded, decoded, flags, hook_name},
    put::{IfKnown, Put, Word, list, object},
};
use crate::explain::state_name;

object! {
    /// One event.
    pub(super) struct Line<'a> {
        /// Version of this contract: 1
        "schema" schema: u32,
        /// `event` or `receive`
        "type" kind_of: Word<'static>,
        /// When the call ended, in ns of CLOCK_MONOTONIC
        "time_ns" time_ns: u64,
        /// The same in ns since 1970-01-01 UTC
        #[schemars(with = "Option<u64>")]
        "wall_ns" wall_ns: IfKnown<u64>,
        /// The CPU's number
        "cpu" cpu: u16,
        /// The kernel function, under its newest name
        "hook" hook: Word<'static>,
        /// `task`: a process called; `entry`: `before` was read at the entry of the call; `step`:
        /// no call ended; `lockless`: read without the lock of the socket
        #[schemars(with = "Vec<String>")]
        "flags" flags: Flags,
        /// Which socket
        #[schemars(with = "Socket<'a>")]
        "socket" socket: SocketObject<'a>,
        /// Counts the socket's records, the lost ones too
        "event_no" event_no: u32,
        /// Process; null in softirq
        "pid" pid: Option<u32>,
        /// Thread; null in softirq
        "tid" tid: Option<u32>,
        /// Its command name
        "comm" comm: Option<&'a str>,
        /// At the entry of the call; null where `lockless`
        "before" before: Option<Before>,
        /// `sk_wmem_queued`, bytes
        "wmem_queued" wmem_queued: i32,
        /// `sk_sndbuf`, bytes
        "sndbuf" sndbuf: i32,
        /// `sk_forward_alloc`, bytes
        "forward_alloc" forward_alloc: i32,
        /// `sk_wmem_alloc` less its bias of 1, bytes
        "wmem_alloc" wmem_alloc: i32,
        /// `write_seq`, wraps at 2^32
        "write_seq" write_seq: u32,
        /// `snd_una`, wraps at 2^32
        "snd_una" snd_una: u32,
        /// `snd_nxt`, wraps at 2^32
        "snd_nxt" snd_nxt: u32,
        /// `snd_wnd`, bytes
        "snd_wnd" snd_wnd: u32,
        /// `write_seq - snd_una`, bytes
        "send_q" send_q: u32,
        /// `mss_cache`, bytes
        "mss_cache" mss_cache: u32,
        /// `gso_segs`, a count
        "gso_segs" gso_segs: u16,
        /// Most payload of an skb, bytes: max(mss_cache, gso_segs * mss_cache)
        "size_goal" size_goal: u32,
        /// `sk_userlocks`; bit 0 is SOCK_SNDBUF_LOCK
        "userlocks" userlocks: u8,
        /// The connection's state, as ss calls it
        "state" state: Word<'static>,
        /// `notsent_lowat`, bytes; 0: the sysctl rules
        "notsent_lowat" notsent_lowat: u32,
        /// Of the skb that the call returned or took, bytes; 0: none
        "truesize" truesize: u32,
        /// The call's size argument, bytes; of other calls see docs/json.md
        "arg" arg: i32,
        /// The call's return value; see docs/json.md
        "ret" ret: i32,
        /// Which kind of call; see docs/json.md
        "kind" kind: u32,
        /// The ledger's operations since the socket's record before this one, in order
        #[schemars(with = "Vec<Decoded>")]
        "ops" ops: Ops<'a>,
    }
}

object! {
    /// Which socket.
    pub(super) struct Socket<'a> {
        /// The cookie, or skmem's own number
        "id" id: u64,
        /// The socket cookie; null where the kernel does not tell it
        "cookie" cookie: Option<u64>,
        /// Place in the table of accounts
        "slot" slot: u32,
        /// `inet` or `inet6`; null where the socket is not known yet, as are the ends
        "family" family: Option<Word<'static>>,
        /// Local address
        "src" src: Option<&'a str>,
        /// Local port
        "sport" sport: Option<u16>,
        /// Remote address
        "dst" dst: Option<&'a str>,
        /// Remote port
        "dport" dport: Option<u16>,
        /// Inode of the network namespace
        "netns" netns: Option<u32>,
    }
}

object! {
    /// At the entry of the call.
    struct Before {
        /// `sk_wmem_queued`, bytes
        "wmem_queued" wmem_queued: i32,
        /// `sk_sndbuf`, bytes
        "sndbuf" sndbuf: i32,
        /// `sk_forward_alloc`, bytes
        "forward_alloc" forward_alloc: i32,
        /// `write_seq`, wraps at 2^32
        "write_seq" write_seq: u32,
        /// `snd_una`, wraps at 2^32
        "snd_una" snd_una: u32,
    }
}

/// The header's flags, by their names.
pub(super) struct Flags(pub u8);

impl Put for Flags {
    fn put(&self, out: &mut LineBuffer) {
        list(flags(self.0).map(Word), out);
    }
}

/// Which socket a record is of. Its object, a quarter of a line, is made once and kept beside its
/// names.
pub(super) struct SocketObject<'a> {
    pub id: u64,
    pub slot: u32,
    pub named: Option<&'a Named>,
}

impl<'a> SocketObject<'a> {
    fn socket(&self) -> Socket<'a> {
        Socket::of(self.id, self.slot, self.named)
    }
}

impl Put for SocketObject<'_> {
    fn put(&self, out: &mut LineBuffer) {
        let make = || {
            let mut text = LineBuffer::default();
            self.socket().put(&mut text);
            Object {
                of: (self.id, self.slot),
                text: text.as_bytes().into(),
            }
        };
        match self.named.map(|named| named.object.get_or_init(make)) {
            Some(object) if object.of == (self.id, self.slot) => out.bytes(&object.text),
            _ => self.socket().put(out),
        }
    }
}

/// The object of a socket with this number, in this place of the table of accounts.
#[derive(Debug, Clone)]
pub(super) struct Object {
    of: (u64, u32),
    text: Box<[u8]>,
}

/// What an event booked.
struct Ops<'a>(&'a Event);

impl Put for Ops<'_> {
    fn put(&self, out: &mut LineBuffer) {
        list(decoded(self.0), out);
    }
}

/// One event as an object; `who` is its socket, `comm` the name of its task,
/// where those are known.
#[must_use]
pub fn event_json(event: &Event, who: Option<&Ident>, comm: Option<&str>) -> Value {
    serde_json::from_str(&event_json_line(event, who, comm)).unwrap_or(Value::Null)
}

/// The same as a line of text, fields in the order of `docs/json.md`. Without a
/// newline.
#[must_use]
pub fn event_json_line(event: &Event, who: Option<&Ident>, comm: Option<&str>) -> String {
    let who = who.map(Named::of);
    let mut out = LineBuffer::default();
    put_event_json(&mut out, event, who.as_ref(), comm, None);
    String::from_utf8(out.as_bytes().to_vec()).unwrap_or_default()
}

/// Appends that line, of a socket that has its text already: for streams.
/// `wall_ns` is the event's time in ns since 1970-01-01 UTC, where the line is
/// to have that, too.
pub fn put_event_json(
    out: &mut LineBuffer,
    event: &Event,
    who: Option<&Named>,
    comm: Option<&str>,
    wall_ns: Option<u64>,
) {
    line(event, who, comm, wall_ns).put(out);
}

pub(super) fn line<'a>(
    event: &'a Event,
    who: Option<&'a Named>,
    comm: Option<&'a str>,
    wall_ns: Option<u64>,
) -> Line<'a> {
    let view = &event.view;
    let task = event.header.flags & FLAG_TASK != 0;
    let first = who.filter(|w| task && w.ident.pid == event.pid);
    let first = first.map(|w| w.comm.as_str());
    Line {
        schema: 1,
        kind_of: Word("event"),
        time_ns: event.time_ns,
        wall_ns: IfKnown(wall_ns),
        cpu: event.header.cpu,
        hook: Word(hook_name(event.header.hook)),
        flags: Flags(event.header.flags),
        socket: SocketObject {
            id: event.socket,
            slot: event.slot,
            named: who,
        },
        event_no: event.event_no,
        pid: task.then_some(event.pid),
        tid: task.then_some(event.tid),
        comm: comm.filter(|_| task).or(first),
        before: before(event),
        wmem_queued: view.wmem_queued,
        sndbuf: view.sndbuf,
        forward_alloc: view.forward_alloc,
        wmem_alloc: view.wmem_alloc,
        write_seq: view.write_seq,
        snd_una: view.snd_una,
        snd_nxt: view.snd_nxt,
        snd_wnd: view.snd_wnd,
        send_q: view.send_q(),
        mss_cache: view.mss,
        gso_segs: view.gso_segs,
        size_goal: view.size_goal(),
        userlocks: view.userlocks,
        state: Word(state_name(view.state)),
        notsent_lowat: view.notsent_lowat,
        truesize: event.truesize,
        arg: event.arg,
        ret: event.ret,
        kind: event.kind,
        ops: Ops(event),
    }
}

/// None where it was not read.
fn before(event: &Event) -> Option<Before> {
    (event.header.flags & FLAG_LOCKLESS == 0).then_some(Before {
        wmem_queued: event.before.wmem_queued,
        sndbuf: event.before.sndbuf,
        forward_alloc: event.before.forward_alloc,
        write_seq: event.before.write_seq,
        snd_una: event.before.snd_una,
    })
}

impl<'a> Socket<'a> {
    fn of(id: u64, slot: u32, named: Option<&'a Named>) -> Self {
        let who = named.map(|n| &n.ident);
        Self {
            id,
            cookie: who.filter(|w| w.flags & IDENT_COOKIE != 0).map(|w| w.id),
            slot,
            family: who.map(|w| Word(if w.family == 10 { "inet6" } else { "inet" })),
            src: named.map(|n| n.src.as_str()),
            sport: who.map(|w| w.sport),
            dst: named.map(|n| n.dst.as_str()),
            dport: who.map(|w| w.dport),
            netns: who.map(|w| w.netns),
        }
    }
}

/// What serde writes of the same: each line is compared with it.
#[cfg(test)]
mod serde_too {
    use serde::{Serialize, Serializer};

    use super::{Flags, Ops, SocketObject, decoded, flags};

    impl Serialize for Flags {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.collect_seq(flags(self.0))
        }
    }

    impl Serialize for Ops<'_> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.collect_seq(decoded(self.0))
        }
    }

    impl Serialize for SocketObject<'_> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            self.socket().serialize(to)
        }
    }
}
