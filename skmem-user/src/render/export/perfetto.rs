//! Perfetto's native trace: a group of tracks for each socket.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use prost::Message as _;

use super::{
    proto::{
        CLOCK_MONOTONIC, CLOCK_REALTIME, COUNTER, Clock, ClockSnapshot, CounterDescriptor, Data,
        DebugAnnotation, EXPLICIT, INCREMENTAL_STATE_CLEARED, INSTANT, SIZE_BYTES, SLICE_BEGIN,
        SLICE_END, Trace, TracePacket, TrackDescriptor, TrackEvent,
    },
    spans::{Arg, Counter, Rail, Shown},
};

/// All packets are of one sequence.
const SEQUENCE: u32 = 1;

/// Something with a track of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Thing {
    Group,
    Counter(Counter),
    Rail(Rail),
}

/// A trace under way.
pub struct Perfetto<W: Write> {
    out: W,
    tracks: HashMap<(u64, Thing), u64>,
    next: u64,
}

impl<W: Write> Perfetto<W> {
    /// Starts with both clocks at the same instant, in ns.
    ///
    /// # Errors
    /// Where `out` cannot be written.
    pub fn new(out: W, monotonic_ns: u64, wall_ns: u64) -> io::Result<Self> {
        let mut trace = Self {
            out,
            tracks: HashMap::new(),
            next: 1,
        };
        let clock = |id, timestamp| Clock {
            clock_id: Some(id),
            timestamp: Some(timestamp),
        };
        trace.packet(TracePacket {
            sequence_flags: Some(INCREMENTAL_STATE_CLEARED),
            data: Some(Data::ClockSnapshot(ClockSnapshot {
                clocks: vec![
                    clock(CLOCK_MONOTONIC, monotonic_ns),
                    clock(CLOCK_REALTIME, wall_ns),
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
        match shown {
            Shown::Count {
                counter,
                at_ns,
                value,
            } => {
                let track = self.track(socket, name, Thing::Counter(*counter))?;
                self.event(
                    *at_ns,
                    TrackEvent {
                        kind: Some(COUNTER),
                        track_uuid: Some(track),
                        counter_value: Some(*value),
                        ..TrackEvent::default()
                    },
                )
            }
            Shown::Slice {
                rail,
                from_ns,
                to_ns,
                name: what,
                args,
            } => {
                let track = self.track(socket, name, Thing::Rail(*rail))?;
                self.event(*from_ns, event(SLICE_BEGIN, track, *rail, what, args))?;
                self.event(
                    *to_ns,
                    TrackEvent {
                        kind: Some(SLICE_END),
                        track_uuid: Some(track),
                        ..TrackEvent::default()
                    },
                )
            }
            Shown::Instant {
                rail,
                at_ns,
                name: what,
                args,
            } => {
                let track = self.track(socket, name, Thing::Rail(*rail))?;
                self.event(*at_ns, event(INSTANT, track, *rail, what, args))
            }
        }
    }

    /// The end.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The track's number; a new one is described first.
    fn track(&mut self, socket: u64, name: &dyn Fn() -> String, thing: Thing) -> io::Result<u64> {
        if let Some(uuid) = self.tracks.get(&(socket, thing)) {
            return Ok(*uuid);
        }
        let parent = match thing {
            Thing::Group => None,
            _ => Some(self.track(socket, name, Thing::Group)?),
        };
        let uuid = self.next;
        self.next += 1;
        self.tracks.insert((socket, thing), uuid);
        let (name, rank) = match thing {
            Thing::Group => (name(), 0),
            Thing::Counter(c) => {
                let rank = Counter::ALL.iter().position(|other| *other == c);
                (c.name().to_owned(), rank.unwrap_or(0))
            }
            Thing::Rail(Rail::Blocked(tid)) => (format!("blocked, thread {tid}"), 10),
            Thing::Rail(Rail::Marks) => ("limit moves, EAGAIN, losses".to_owned(), 11),
            Thing::Rail(Rail::Skbs(_)) => ("skbs, from admission to ACK".to_owned(), 12),
        };
        let counter = matches!(thing, Thing::Counter(_)).then_some(CounterDescriptor {
            unit: Some(SIZE_BYTES),
        });
        self.packet(TracePacket {
            data: Some(Data::TrackDescriptor(TrackDescriptor {
                uuid: Some(uuid),
                parent_uuid: parent,
                name: Some(name),
                counter,
                child_ordering: parent.is_none().then_some(EXPLICIT),
                sibling_order_rank: i32::try_from(rank).ok(),
            })),
            ..TracePacket::default()
        })?;
        Ok(uuid)
    }

    fn event(&mut self, at_ns: u64, event: TrackEvent) -> io::Result<()> {
        self.packet(TracePacket {
            timestamp: Some(at_ns),
            timestamp_clock_id: Some(CLOCK_MONOTONIC),
            data: Some(Data::TrackEvent(event)),
            ..TracePacket::default()
        })
    }

    /// A trace of one packet: traces one after the other are one trace.
    fn packet(&mut self, packet: TracePacket) -> io::Result<()> {
        let trace = Trace {
            packet: vec![TracePacket {
                trusted_packet_sequence_id: Some(SEQUENCE),
                ..packet
            }],
        };
        self.out.write_all(&trace.encode_to_vec())
    }
}

fn event(
    kind: i32,
    track: u64,
    rail: Rail,
    name: &str,
    args: &[(&'static str, Arg)],
) -> TrackEvent {
    let category = match rail {
        Rail::Blocked(_) => "blocked",
        Rail::Skbs(_) => "skb",
        Rail::Marks => "mark",
    };
    let annotation = |(name, arg): &(&'static str, Arg)| DebugAnnotation {
        name: Some((*name).to_owned()),
        int_value: match arg {
            Arg::Number(n) => Some(*n),
            Arg::Words(_) => None,
        },
        string_value: match arg {
            Arg::Number(_) => None,
            Arg::Words(words) => Some((*words).to_owned()),
        },
    };
    TrackEvent {
        kind: Some(kind),
        track_uuid: Some(track),
        categories: vec![category.to_owned()],
        name: Some(name.to_owned()),
        counter_value: None,
        debug_annotations: args.iter().map(annotation).collect(),
    }
}
