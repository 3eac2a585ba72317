//! The columns of an events block, and the order in which a record's fields go
//! through them.

use skmem_common::{
    hook::Hook,
    record::{
        Event, FLAG_BOOKED, FLAG_LOCKLESS, FLAG_TASK, Header, Ident, OPS, Op, Open, Receive,
        SHORT_EVENT, SHORT_OPS, Task, VERSION, View,
    },
};

use super::context::Context;
use crate::recording::error::FormatError;

/// Columns of a block.
pub(super) const COLUMNS: usize = 37;

/// A column, by its number in the file. Those below 32 hold a number only
/// where the record's mask has their bit: elsewhere the prediction is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Column {
    WmemQueued = 0,
    ForwardAlloc = 1,
    WmemAlloc = 2,
    WriteSeq = 3,
    SndUna = 4,
    SndNxt = 5,
    Ops = 6,
    Cpu = 7,
    Flags = 8,
    BeforeWmemQueued = 9,
    BeforeForwardAlloc = 10,
    BeforeWriteSeq = 11,
    BeforeSndUna = 12,
    SndWnd = 13,
    Arg = 14,
    Ret = 15,
    Socket = 16,
    Truesize = 17,
    Kind = 18,
    Sndbuf = 19,
    BeforeSndbuf = 20,
    Pid = 21,
    Tid = 22,
    GsoSegs = 23,
    Mss = 24,
    State = 25,
    Untrimmed = 26,
    Userlocks = 27,
    NotsentLowat = 28,
    EventNo = 29,
    Slot = 30,
    /// Which of the columns above hold a number of this record.
    Mask = 31,
    Hook = 32,
    Time = 33,
    /// Kind, cause and tier of each operation.
    OpTag = 34,
    OpValue = 35,
    /// Numbers of sockets that are new in this block, and all of records that
    /// are not events.
    Rest = 36,
}

impl Column {
    /// Whether who surveys a recording asks for it, or it is needed to read what is asked for.
    #[inline(always)]
    pub const fn is_surveyed(self) -> bool {
        matches!(
            self,
            Self::Socket | Self::Flags | Self::Ops | Self::WmemQueued | Self::Sndbuf
        )
    }
}

/// Something that numbers go into, or come out of: a block being written leaves `value` as it is,
/// one being read sets it.
pub(in crate::recording) trait Plain {
    /// A number of a record that is no event, written as it is.
    fn plain(&mut self, value: &mut u64) -> Result<(), FormatError>;
}

/// The same for all columns.
pub(super) trait Coder: Plain {
    /// A number that has a prediction.
    fn number(
        &mut self,
        column: Column,
        predicted: u32,
        value: &mut u32,
    ) -> Result<(), FormatError>;
    /// A number, written as it is.
    fn as_is(&mut self, column: Column, value: &mut u64) -> Result<(), FormatError>;
    /// A number, written as the distance from another one.
    fn distance(&mut self, column: Column, from: i32, value: &mut i32) -> Result<(), FormatError>;
}

const TOO_LARGE: FormatError =
    FormatError::Content("a number in a record is too large for its field");

/// Codes one field of the record through a wider number.
macro_rules! field {
    ($coder:ident, $column:ident, $predicted:expr, $place:expr) => {{
        let mut wide = u32::from($place);
        $coder.number(Column::$column, u32::from($predicted), &mut wide)?;
        $place = wide.try_into().map_err(|_| TOO_LARGE)?;
    }};
}

macro_rules! signed {
    ($coder:ident, $column:ident, $predicted:expr, $place:expr) => {{
        let mut wide = $place.cast_unsigned();
        $coder.number(Column::$column, $predicted.cast_unsigned(), &mut wide)?;
        $place = wide.cast_signed();
    }};
}

macro_rules! plain {
    ($coder:ident, $($place:expr),+ $(,)?) => {$({
        let mut wide = u64::from($place);
        $coder.plain(&mut wide)?;
        $place = wide.try_into().map_err(|_| TOO_LARGE)?;
    })+};
}

macro_rules! plain_signed {
    ($coder:ident, $($place:expr),+ $(,)?) => {$({
        let mut bits = $place.cast_unsigned();
        plain!($coder, bits);
        $place = bits.cast_signed();
    })+};
}

/// Codes all of an event but its hook, socket and time.
pub(super) fn event(
    coder: &mut impl Coder,
    context: &Context,
    event: &mut Event,
) -> Result<(), FormatError> {
    let header = &mut event.header;
    let hook = header.hook;
    field!(coder, Flags, context.flags, header.flags);
    field!(coder, Cpu, context.cpu, header.cpu);
    let (flags, lockless) = (header.flags, header.flags & FLAG_LOCKLESS != 0);
    let next = context.event_no.wrapping_add(u32::from(!lockless));
    field!(coder, EventNo, next, event.event_no);
    field!(coder, Slot, context.slot, event.slot);
    let (pid, tid) = if flags & FLAG_TASK != 0 {
        context.task
    } else {
        (0, 0)
    };
    field!(coder, Pid, pid, event.pid);
    field!(coder, Tid, tid, event.tid);

    field!(coder, Ops, 0u8, header.ops);
    let ops = usize::from(header.ops);
    if ops > OPS {
        return Err(FormatError::Content("a record with too many operations"));
    }
    let mut booked = context.booked();
    for op in &mut event.ops[..ops] {
        let mut tag = tag_of(op);
        coder.as_is(Column::OpTag, &mut tag)?;
        op_of(tag, op)?;
        let likely = context.value(op, &booked);
        coder.distance(Column::OpValue, likely, &mut op.value)?;
        booked.add(op);
    }

    let known = &context.view;
    let before = &mut event.before;
    let was = if lockless { &View::default() } else { known };
    signed!(coder, BeforeWmemQueued, was.wmem_queued, before.wmem_queued);
    signed!(coder, BeforeSndbuf, was.sndbuf, before.sndbuf);
    signed!(
        coder,
        BeforeForwardAlloc,
        was.forward_alloc,
        before.forward_alloc
    );
    field!(coder, BeforeWriteSeq, was.write_seq, before.write_seq);
    field!(coder, BeforeSndUna, was.snd_una, before.snd_una);

    let view = &mut event.view;
    signed!(coder, WmemQueued, booked.wmem_queued, view.wmem_queued);
    signed!(coder, Sndbuf, booked.sndbuf, view.sndbuf);
    // What is queued is taken from what is charged already.
    let grown = view.wmem_queued.wrapping_sub(known.wmem_queued);
    let left = known.forward_alloc.wrapping_sub(grown);
    signed!(coder, ForwardAlloc, left, view.forward_alloc);
    signed!(coder, WmemAlloc, known.wmem_alloc, view.wmem_alloc);
    field!(coder, WriteSeq, booked.write_seq, view.write_seq);
    field!(coder, SndUna, known.snd_una, view.snd_una);
    field!(coder, SndNxt, known.snd_nxt, view.snd_nxt);
    field!(coder, SndWnd, known.snd_wnd, view.snd_wnd);
    field!(coder, Mss, known.mss, view.mss);
    field!(coder, Untrimmed, 0u8, view.untrimmed);
    field!(coder, GsoSegs, known.gso_segs, view.gso_segs);
    field!(coder, Userlocks, known.userlocks, view.userlocks);
    field!(coder, State, known.state, view.state);
    field!(coder, NotsentLowat, known.notsent_lowat, view.notsent_lowat);

    let [truesize, arg, ret, kind] = context.call(hook);
    field!(coder, Truesize, truesize, event.truesize);
    signed!(coder, Arg, arg.cast_signed(), event.arg);
    signed!(coder, Ret, ret.cast_signed(), event.ret);
    field!(coder, Kind, kind, event.kind);

    let header = &mut event.header;
    header.version = VERSION;
    header.len = if ops <= SHORT_OPS {
        SHORT_EVENT as u16
    } else {
        size_of::<Event>() as u16
    };
    Ok(())
}

/// Codes all of the first record of a socket but its hook, number and time.
pub(in crate::recording) fn open(
    coder: &mut impl Plain,
    open: &mut Open,
) -> Result<(), FormatError> {
    header(coder, &mut open.header, size_of::<Open>())?;
    plain!(coder, open.event_no, open.slot);
    ident(coder, &mut open.ident)?;
    view(coder, &mut open.view)
}

/// Codes the record of a thread.
pub(in crate::recording) fn task(
    coder: &mut impl Plain,
    task: &mut Task,
) -> Result<(), FormatError> {
    header(coder, &mut task.header, size_of::<Task>())?;
    plain!(coder, task.event_no, task.slot, task.pid, task.tid);
    bytes(coder, &mut task.comm)
}

/// Codes a change of the receive side.
pub(super) fn receive(coder: &mut impl Plain, record: &mut Receive) -> Result<(), FormatError> {
    header(coder, &mut record.header, size_of::<Receive>())?;
    plain!(
        coder,
        record.event_no,
        record.slot,
        record.pid,
        record.tid,
        record.truesize
    );
    if record.header.flags & FLAG_BOOKED == 0 {
        // Of format 1; nothing was booked.
        record.header.ops = 0;
    } else {
        plain!(coder, record.waiting);
        let used = usize::from(record.header.ops);
        let ops = record.ops.get_mut(..used);
        for op in ops.ok_or(FormatError::Content("a record with too many operations"))? {
            let mut tag = tag_of(op);
            coder.plain(&mut tag)?;
            op_of(tag, op)?;
            plain_signed!(coder, op.value);
        }
    }
    let view = &mut record.view;
    plain_signed!(
        coder,
        view.rmem_alloc,
        view.rcvbuf,
        view.backlog,
        view.forward_alloc
    );
    plain!(
        coder,
        view.rcv_nxt,
        view.copied_seq,
        view.window,
        view.state
    );
    Ok(())
}

fn header(coder: &mut impl Plain, header: &mut Header, len: usize) -> Result<(), FormatError> {
    plain!(coder, header.cpu, header.flags, header.ops);
    header.version = VERSION;
    header.len = len as u16;
    Ok(())
}

fn ident(coder: &mut impl Plain, who: &mut Ident) -> Result<(), FormatError> {
    plain!(coder, who.seen_ns, who.netns, who.flags, who.pid, who.tid);
    for name in [&mut who.comm, &mut who.saddr, &mut who.daddr] {
        bytes(coder, name)?;
    }
    plain!(coder, who.sport, who.dport, who.family);
    plain_signed!(coder, who.so_sndbuf);
    plain!(coder, who.cgroup_lo, who.cgroup_hi, who.inode);
    Ok(())
}

fn view(coder: &mut impl Plain, view: &mut View) -> Result<(), FormatError> {
    plain_signed!(
        coder,
        view.wmem_queued,
        view.sndbuf,
        view.forward_alloc,
        view.wmem_alloc,
    );
    plain!(
        coder,
        view.write_seq,
        view.snd_una,
        view.snd_nxt,
        view.snd_wnd,
        view.mss,
        view.untrimmed,
        view.gso_segs,
        view.userlocks,
        view.state,
        view.notsent_lowat,
    );
    Ok(())
}

fn bytes(coder: &mut impl Plain, bytes: &mut [u8; 16]) -> Result<(), FormatError> {
    for byte in bytes {
        plain!(coder, *byte);
    }
    Ok(())
}

/// Whether a hook's records are events.
pub(in crate::recording) fn hook(number: u64) -> Result<Hook, FormatError> {
    u8::try_from(number)
        .ok()
        .and_then(Hook::from_u8)
        .ok_or(FormatError::Content("a record of an unknown hook"))
}

/// Kind (2 bits), tier (1), cause (8), and what kind and tier have beyond
/// that: the likely ones fit into one byte or two.
fn tag_of(op: &Op) -> u64 {
    let (kind, tier, cause) = (u64::from(op.kind), u64::from(op.tier), u64::from(op.cause));
    kind & 3 | (tier & 1) << 2 | cause << 3 | (kind >> 2) << 11 | (tier >> 1) << 17
}

fn op_of(tag: u64, op: &mut Op) -> Result<(), FormatError> {
    if tag >> 24 != 0 {
        return Err(TOO_LARGE);
    }
    op.kind = (tag & 3 | (tag >> 11 & 0x3f) << 2) as u8;
    op.tier = (tag >> 2 & 1 | (tag >> 17 & 0x7f) << 1) as u8;
    op.cause = (tag >> 3) as u8;
    Ok(())
}
