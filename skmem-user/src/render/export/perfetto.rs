//! Perfetto's native trace: a group of tracks for each socket.
//!
//! Counters are nearly all of a trace, so they are made small: each socket has a
//! sequence of packets of its own, with defaults for the clock (which counts on
//! from the packet before) and for the tracks; one packet has all counters that
//! moved at an instant; names are written once a sequence and referred to by number; all of it is
//! deflated in blocks.

use std::io::{self, Write};

use hashbrown::HashMap;
use prost::Message as _;

use super::{
    packed::Packed,
    perfetto_messages::{
        CLOCK_MONOTONIC, CLOCK_REALTIME, Clock, ClockSnapshot, CounterDescriptor, Data,
        DebugAnnotation, EXPLICIT, EventCategory, EventName, INCREMENTAL_STATE_CLEARED, INSTANT,
        InternedData, InternedName, InternedString, NEEDS_INCREMENTAL_STATE, SEQUENCE_CLOCK,
        SIZE_BYTES, SLICE_BEGIN, SLICE_END, Trace, TracePacket, TracePacketDefaults,
        TrackDescriptor, TrackEvent, TrackEventDefaults, counter_packet,
    },
    spans::{Arg, Counter, Counts, Rail, Shown},
};

/// The sequence of packets of no socket. Those of sockets come after it.
const FIRST_SEQUENCE: u32 = 1;

/// Counters of the send side, those that move most first, those that are mostly 0
/// last. A packet has the first one's value, and others'.
const SEND: &[Counter] = &[
    Counter::WmemQueued,
    Counter::ForwardAlloc,
    Counter::SendQ,
    Counter::Excess,
    Counter::Sndbuf,
    Counter::WmemAlloc,
];

/// Counters of the receive side.
const RECEIVE: &[Counter] = &[Counter::RmemAlloc, Counter::RecvQ, Counter::Rcvbuf];

/// A trace under way.
pub struct Perfetto<W: Write> {
    out: Packed<W>,
    sockets: HashMap<u64, Socket>,
    next_track: u64,
    packet: Vec<u8>,
}

/// What was written of a socket.
struct Socket {
    sequence: u32,
    group: u64,
    /// The time of its last packet that counts on, ns.
    clock_ns: u64,
    /// The first track of each side's counters; the others follow.
    sides: [Option<u64>; 2],
    rails: HashMap<Rail, u64>,
    names: HashMap<(Space, &'static str), u64>,
    last: Counts,
}

/// Kinds of names that have numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Space {
    Category,
    Event,
    Argument,
    Words,
}

impl<W: Write> Perfetto<W> {
    /// Starts with both clocks at the same instant, in ns; `deflated` or not.
    ///
    /// # Errors
    /// Where `out` cannot be written.
    pub fn new(out: W, deflated: bool, monotonic_ns: u64, wall_ns: u64) -> io::Result<Self> {
        let mut trace = Self {
            out: Packed::new(out, deflated),
            sockets: HashMap::new(),
            next_track: 1,
            packet: Vec::new(),
        };
        trace.write(TracePacket {
            trusted_packet_sequence_id: Some(FIRST_SEQUENCE),
            sequence_flags: Some(INCREMENTAL_STATE_CLEARED),
            data: Some(Data::ClockSnapshot(ClockSnapshot {
                clocks: vec![
                    Clock::at(CLOCK_MONOTONIC, monotonic_ns),
                    Clock::at(CLOCK_REALTIME, wall_ns),
                ],
                primary_trace_clock: Some(CLOCK_MONOTONIC),
            })),
            ..TracePacket::default()
        })?;
        Ok(trace)
    }

    /// Something of a socket; `name` says what its group of tracks is called.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn show(
        &mut self,
        socket: u64,
        name: &dyn Fn() -> String,
        shown: &Shown,
    ) -> io::Result<()> {
        let at_ns = match shown {
            Shown::Counts { at_ns, .. } | Shown::Instant { at_ns, .. } => *at_ns,
            Shown::Slice { from_ns, .. } => *from_ns,
        };
        if !self.sockets.contains_key(&socket) {
            self.begin(socket, name(), at_ns)?;
        }
        match shown {
            Shown::Counts { at_ns, moved } => {
                self.counts(socket, 0, SEND, *at_ns, moved)?;
                self.counts(socket, 1, RECEIVE, *at_ns, moved)
            }
            Shown::Slice {
                rail,
                from_ns,
                to_ns,
                name: what,
                args,
            } => {
                self.event(socket, *rail, SLICE_BEGIN, *from_ns, what, args)?;
                self.event(socket, *rail, SLICE_END, *to_ns, "", &[])
            }
            Shown::Instant {
                rail,
                at_ns,
                name: what,
                args,
            } => self.event(socket, *rail, INSTANT, *at_ns, what, args),
        }
    }

    /// The end.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.finish()
    }

    /// A socket's sequence, and its group of tracks.
    fn begin(&mut self, id: u64, name: String, at_ns: u64) -> io::Result<()> {
        let sequence = FIRST_SEQUENCE + 1 + u32::try_from(self.sockets.len()).unwrap_or(u32::MAX);
        let group = self.tracks(1);
        self.write(TracePacket {
            trusted_packet_sequence_id: Some(sequence),
            sequence_flags: Some(INCREMENTAL_STATE_CLEARED),
            data: Some(Data::ClockSnapshot(ClockSnapshot {
                clocks: vec![
                    Clock::at(CLOCK_MONOTONIC, at_ns),
                    Clock {
                        is_incremental: Some(true),
                        ..Clock::at(SEQUENCE_CLOCK, at_ns)
                    },
                ],
                primary_trace_clock: None,
            })),
            ..TracePacket::default()
        })?;
        self.describe(TrackDescriptor {
            uuid: Some(group),
            name: Some(name),
            child_ordering: Some(EXPLICIT),
            ..TrackDescriptor::default()
        })?;
        let socket = Socket {
            sequence,
            group,
            clock_ns: at_ns,
            sides: [None; 2],
            rails: HashMap::new(),
            names: HashMap::new(),
            last: Counts::default(),
        };
        self.sockets.insert(id, socket);
        Ok(())
    }

    /// Takes numbers for `count` tracks; returns the first.
    fn tracks(&mut self, count: u64) -> u64 {
        let first = self.next_track;
        self.next_track += count;
        first
    }

    fn describe(&mut self, track: TrackDescriptor) -> io::Result<()> {
        self.write(TracePacket {
            trusted_packet_sequence_id: Some(FIRST_SEQUENCE),
            data: Some(Data::TrackDescriptor(track)),
            ..TracePacket::default()
        })
    }

    fn counts(
        &mut self,
        id: u64,
        side: usize,
        counters: &[Counter],
        at_ns: u64,
        moved: &Counts,
    ) -> io::Result<()> {
        let is_moved = |c: &Counter| moved[*c as usize].is_some();
        let Some(last) = counters.iter().rposition(is_moved) else {
            return Ok(());
        };
        let first = self.side(id, side, counters)?;
        let Some(socket) = self.sockets.get_mut(&id) else {
            return Ok(());
        };
        let mut values = [(0, 0); Counter::ALL.len()];
        for (n, counter) in counters[..=last].iter().enumerate() {
            let known = &mut socket.last[*counter as usize];
            *known = moved[*counter as usize].or(*known);
            values[n] = (first + n as u64, known.unwrap_or(0));
        }
        // Perfetto (v52) stops at the first 0 among the values behind the first one, and takes all
        // that follow as 0. So they cannot stand in the order of the defaults where another
        // value follows a 0: then those that moved are named, and zeros come last.
        let mut count = last + 1;
        let zero = values[1..count].iter().position(|(_, value)| *value == 0);
        let in_order = zero.is_none_or(|n| values[1 + n..count].iter().all(|(_, v)| *v == 0));
        if !in_order {
            count = 1;
            for is_zero in [false, true] {
                for n in 1..=last {
                    let value = moved[counters[n] as usize].filter(|v| (*v == 0) == is_zero);
                    if let Some(value) = value {
                        values[count] = (first + n as u64, value);
                        count += 1;
                    }
                }
            }
        }
        // The records of several CPUs lie not quite in order of time.
        let delta_ns = at_ns.checked_sub(socket.clock_ns);
        if delta_ns.is_some() {
            socket.clock_ns = at_ns;
        }
        // The defaults name the tracks of the send side.
        let named = side != 0 || !in_order;
        self.packet.clear();
        counter_packet(
            &mut self.packet,
            socket.sequence,
            delta_ns.ok_or(at_ns),
            named,
            &values[..count],
        );
        self.out.packets(&self.packet)
    }

    /// The first track of a side's counters; new ones are described first.
    fn side(&mut self, id: u64, side: usize, counters: &[Counter]) -> io::Result<u64> {
        let known = self.sockets.get(&id);
        if let Some(first) = known.and_then(|s| s.sides[side]) {
            return Ok(first);
        }
        let (sequence, group) = known.map_or((0, 0), |s| (s.sequence, s.group));
        let first = self.tracks(counters.len() as u64);
        for (counter, uuid) in counters.iter().zip(first..) {
            let rank = Counter::ALL.iter().position(|other| other == counter);
            self.describe(TrackDescriptor {
                uuid: Some(uuid),
                parent_uuid: Some(group),
                name: Some(counter.name().to_owned()),
                counter: Some(CounterDescriptor {
                    unit: Some(SIZE_BYTES),
                }),
                child_ordering: None,
                sibling_order_rank: rank.and_then(|n| i32::try_from(n).ok()),
            })?;
        }
        if side == 0 {
            self.write(TracePacket {
                trusted_packet_sequence_id: Some(sequence),
                sequence_flags: Some(NEEDS_INCREMENTAL_STATE),
                trace_packet_defaults: Some(TracePacketDefaults {
                    timestamp_clock_id: Some(SEQUENCE_CLOCK),
                    track_event_defaults: Some(TrackEventDefaults {
                        track_uuid: Some(first),
                        extra_counter_track_uuids: (first + 1..first + counters.len() as u64)
                            .collect(),
                    }),
                }),
                ..TracePacket::default()
            })?;
        }
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.sides[side] = Some(first);
        }
        Ok(first)
    }

    fn event(
        &mut self,
        id: u64,
        rail: Rail,
        kind: i32,
        at_ns: u64,
        name: &'static str,
        args: &[(&'static str, Arg)],
    ) -> io::Result<()> {
        let track = self.rail(id, rail)?;
        let Some(socket) = self.sockets.get_mut(&id) else {
            return Ok(());
        };
        let mut new = InternedData::default();
        let mut event = TrackEvent {
            kind: Some(kind),
            track_uuid: Some(track),
            ..TrackEvent::default()
        };
        if kind != SLICE_END {
            let category = match rail {
                Rail::Blocked(_) => "blocked",
                Rail::Skbs(_) => "skb",
                Rail::Marks => "mark",
            };
            event.category_iids = vec![socket.number(Space::Category, category, &mut new)];
            event.name_iid = Some(socket.number(Space::Event, name, &mut new));
        }
        for (name, arg) in args {
            let mut annotation = DebugAnnotation {
                name_iid: Some(socket.number(Space::Argument, name, &mut new)),
                ..DebugAnnotation::default()
            };
            match arg {
                Arg::Number(n) => annotation.int_value = Some(*n),
                Arg::Words(words) => {
                    annotation.string_value_iid =
                        Some(socket.number(Space::Words, words, &mut new));
                }
            }
            event.debug_annotations.push(annotation);
        }
        let packet = TracePacket {
            timestamp: Some(at_ns),
            timestamp_clock_id: Some(CLOCK_MONOTONIC),
            trusted_packet_sequence_id: Some(socket.sequence),
            sequence_flags: Some(NEEDS_INCREMENTAL_STATE),
            interned_data: (new != InternedData::default()).then_some(new),
            data: Some(Data::TrackEvent(event)),
            ..TracePacket::default()
        };
        self.write(packet)
    }

    /// A rail's track; a new one is described first.
    fn rail(&mut self, id: u64, rail: Rail) -> io::Result<u64> {
        let known = self.sockets.get(&id);
        if let Some(track) = known.and_then(|s| s.rails.get(&rail)) {
            return Ok(*track);
        }
        let group = known.map(|s| s.group);
        let (name, rank) = match rail {
            Rail::Blocked(tid) => (format!("blocked, thread {tid}"), 10),
            Rail::Marks => ("limit moves, EAGAIN, losses".to_owned(), 11),
            Rail::Skbs(_) => ("skbs, from admission to ACK".to_owned(), 12),
        };
        let track = self.tracks(1);
        self.describe(TrackDescriptor {
            uuid: Some(track),
            parent_uuid: group,
            name: Some(name),
            sibling_order_rank: Some(rank),
            ..TrackDescriptor::default()
        })?;
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.rails.insert(rail, track);
        }
        Ok(track)
    }

    /// A trace of one packet: traces one after the other are one trace.
    fn write(&mut self, packet: TracePacket) -> io::Result<()> {
        let trace = Trace {
            packet: vec![packet],
        };
        self.out.packets(&trace.encode_to_vec())
    }
}

impl Socket {
    /// The number of a name; a new name is added to `new`.
    fn number(&mut self, space: Space, name: &'static str, new: &mut InternedData) -> u64 {
        if let Some(number) = self.names.get(&(space, name)) {
            return *number;
        }
        let number = self.names.len() as u64 + 1;
        self.names.insert((space, name), number);
        let (iid, text) = (Some(number), Some(name.to_owned()));
        match space {
            Space::Category => new.event_categories.push(EventCategory { iid, name: text }),
            Space::Event => new.event_names.push(EventName { iid, name: text }),
            Space::Argument => new
                .debug_annotation_names
                .push(InternedName { iid, name: text }),
            Space::Words => new.debug_annotation_string_values.push(InternedString {
                iid,
                text: Some(name.as_bytes().to_vec()),
            }),
        }
        number
    }
}
