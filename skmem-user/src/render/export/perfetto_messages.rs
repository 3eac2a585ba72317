//! The messages of Perfetto's trace format that an export needs, with the
//! field numbers of its `perfetto_trace.proto`: a small part of it, so that
//! neither its compiler nor its 15,000 lines are needed.

/// `CLOCK_MONOTONIC` among Perfetto's `BuiltinClock`.
pub const CLOCK_MONOTONIC: u32 = 3;
/// `CLOCK_REALTIME` among Perfetto's `BuiltinClock`.
pub const CLOCK_REALTIME: u32 = 1;
/// The first number of clocks that are of one sequence of packets only.
pub const SEQUENCE_CLOCK: u32 = 64;

/// `TrackEvent.Type`.
pub const SLICE_BEGIN: i32 = 1;
/// `TrackEvent.Type`.
pub const SLICE_END: i32 = 2;
/// `TrackEvent.Type`.
pub const INSTANT: i32 = 3;
/// `TrackEvent.Type`.
pub const COUNTER: i32 = 4;

/// `CounterDescriptor.Unit`.
pub const SIZE_BYTES: i32 = 3;

/// `TracePacket.SequenceFlags`.
pub const INCREMENTAL_STATE_CLEARED: u32 = 1;
/// `TracePacket.SequenceFlags`: the packet depends on those before it.
pub const NEEDS_INCREMENTAL_STATE: u32 = 2;

/// `TrackDescriptor.ChildTracksOrdering`: by `sibling_order_rank`.
pub const EXPLICIT: i32 = 3;

#[derive(Clone, PartialEq, prost::Message)]
pub struct Trace {
    #[prost(message, repeated, tag = "1")]
    pub packet: Vec<TracePacket>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TracePacket {
    #[prost(uint64, optional, tag = "8")]
    pub timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "58")]
    pub timestamp_clock_id: Option<u32>,
    #[prost(uint32, optional, tag = "10")]
    pub trusted_packet_sequence_id: Option<u32>,
    #[prost(uint32, optional, tag = "13")]
    pub sequence_flags: Option<u32>,
    #[prost(message, optional, tag = "12")]
    pub interned_data: Option<InternedData>,
    #[prost(message, optional, tag = "59")]
    pub trace_packet_defaults: Option<TracePacketDefaults>,
    #[prost(oneof = "Data", tags = "6, 11, 60")]
    pub data: Option<Data>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Data {
    #[prost(message, tag = "6")]
    ClockSnapshot(ClockSnapshot),
    #[prost(message, tag = "11")]
    TrackEvent(TrackEvent),
    #[prost(message, tag = "60")]
    TrackDescriptor(TrackDescriptor),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TracePacketDefaults {
    #[prost(uint32, optional, tag = "58")]
    pub timestamp_clock_id: Option<u32>,
    #[prost(message, optional, tag = "11")]
    pub track_event_defaults: Option<TrackEventDefaults>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TrackEventDefaults {
    #[prost(uint64, optional, tag = "11")]
    pub track_uuid: Option<u64>,
    #[prost(uint64, repeated, packed = "false", tag = "31")]
    pub extra_counter_track_uuids: Vec<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct InternedData {
    #[prost(message, repeated, tag = "1")]
    pub event_categories: Vec<EventCategory>,
    #[prost(message, repeated, tag = "2")]
    pub event_names: Vec<EventName>,
    #[prost(message, repeated, tag = "3")]
    pub debug_annotation_names: Vec<InternedName>,
    #[prost(message, repeated, tag = "29")]
    pub debug_annotation_string_values: Vec<InternedString>,
}

/// `EventCategory`, `EventName` and `DebugAnnotationName` look alike.
pub type EventCategory = InternedName;
/// See [`EventCategory`].
pub type EventName = InternedName;

#[derive(Clone, PartialEq, prost::Message)]
pub struct InternedName {
    #[prost(uint64, optional, tag = "1")]
    pub iid: Option<u64>,
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct InternedString {
    #[prost(uint64, optional, tag = "1")]
    pub iid: Option<u64>,
    #[prost(bytes, optional, tag = "2")]
    pub text: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ClockSnapshot {
    #[prost(message, repeated, tag = "1")]
    pub clocks: Vec<Clock>,
    #[prost(uint32, optional, tag = "2")]
    pub primary_trace_clock: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Clock {
    #[prost(uint32, optional, tag = "1")]
    pub clock_id: Option<u32>,
    #[prost(uint64, optional, tag = "2")]
    pub timestamp: Option<u64>,
    /// Timestamps count on from the one before.
    #[prost(bool, optional, tag = "3")]
    pub is_incremental: Option<bool>,
}

impl Clock {
    /// A clock at an instant, in ns.
    #[must_use]
    pub fn at(id: u32, ns: u64) -> Self {
        Self {
            clock_id: Some(id),
            timestamp: Some(ns),
            is_incremental: None,
        }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TrackDescriptor {
    #[prost(uint64, optional, tag = "1")]
    pub uuid: Option<u64>,
    #[prost(uint64, optional, tag = "5")]
    pub parent_uuid: Option<u64>,
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
    #[prost(message, optional, tag = "8")]
    pub counter: Option<CounterDescriptor>,
    #[prost(int32, optional, tag = "11")]
    pub child_ordering: Option<i32>,
    #[prost(int32, optional, tag = "12")]
    pub sibling_order_rank: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct CounterDescriptor {
    #[prost(int32, optional, tag = "3")]
    pub unit: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TrackEvent {
    #[prost(int32, optional, tag = "9")]
    pub kind: Option<i32>,
    #[prost(uint64, optional, tag = "11")]
    pub track_uuid: Option<u64>,
    #[prost(uint64, repeated, packed = "false", tag = "3")]
    pub category_iids: Vec<u64>,
    #[prost(uint64, optional, tag = "10")]
    pub name_iid: Option<u64>,
    #[prost(int64, optional, tag = "30")]
    pub counter_value: Option<i64>,
    #[prost(uint64, repeated, packed = "false", tag = "31")]
    pub extra_counter_track_uuids: Vec<u64>,
    #[prost(int64, repeated, packed = "false", tag = "12")]
    pub extra_counter_values: Vec<i64>,
    #[prost(message, repeated, tag = "4")]
    pub debug_annotations: Vec<DebugAnnotation>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct DebugAnnotation {
    #[prost(uint64, optional, tag = "1")]
    pub name_iid: Option<u64>,
    #[prost(int64, optional, tag = "4")]
    pub int_value: Option<i64>,
    #[prost(uint64, optional, tag = "17")]
    pub string_value_iid: Option<u64>,
}

/// Appends a [`Trace`] of one packet with values of counters. They are nearly all
/// of a trace, so this writes what `prost` would, with no message between.
///
/// `at` is ns since the sequence's packet before, or as an error those of
/// `CLOCK_MONOTONIC`. Values come with the numbers of their tracks, which are
/// `named`, or those of the sequence's defaults, in their order.
pub fn counter_packet(
    out: &mut Vec<u8>,
    sequence: u32,
    at: Result<u64, u64>,
    named: bool,
    values: &[(u64, i64)],
) {
    // Lengths come before what they are of, and both take one byte: at most 9 counters with values
    // of 32 bits.
    out.extend([tag(1, LENGTH), 0]);
    let packet = out.len();
    let (Ok(ns) | Err(ns)) = at;
    out.push(tag(8, VARINT));
    varint(out, ns);
    if at.is_err() {
        varint(out, 58 << 3);
        varint(out, CLOCK_MONOTONIC.into());
    }
    out.push(tag(10, VARINT));
    varint(out, sequence.into());
    out.extend([tag(13, VARINT), NEEDS_INCREMENTAL_STATE as u8]);
    out.extend([tag(11, LENGTH), 0]);
    let event = out.len();
    out.extend([tag(9, VARINT), COUNTER as u8]);
    if let Some((track, _)) = values.first().filter(|_| named) {
        out.push(tag(11, VARINT));
        varint(out, *track);
    }
    for (n, (_, value)) in values.iter().enumerate() {
        match n {
            0 => varint(out, 30 << 3),
            _ => out.push(tag(12, VARINT)),
        }
        varint(out, value.cast_unsigned());
    }
    for (track, _) in values.iter().skip(1).filter(|_| named) {
        varint(out, 31 << 3);
        varint(out, *track);
    }
    let whole = out.len();
    out[event - 1] = u8::try_from(whole - event).unwrap_or(0);
    out[packet - 1] = u8::try_from(whole - packet).unwrap_or(0);
}

/// What comes before `len` bytes of deflated packets: a [`Trace`] of one packet with the field
/// `compressed_packets`.
#[must_use]
pub fn compressed_packets(len: usize) -> Vec<u8> {
    let mut field = Vec::new();
    varint(&mut field, 50 << 3 | u64::from(LENGTH));
    varint(&mut field, len as u64);
    let mut out = vec![tag(1, LENGTH)];
    varint(&mut out, (field.len() + len) as u64);
    out.extend(field);
    out
}

const VARINT: u8 = 0;
const LENGTH: u8 = 2;

const fn tag(field: u8, kind: u8) -> u8 {
    field << 3 | kind
}

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n > 127 {
        out.push(n as u8 | 128);
        n >>= 7;
    }
    out.push(n as u8);
}
