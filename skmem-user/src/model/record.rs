//! Bytes to records. The bytes come from outside (a ring buffer, a file), so
//! every length and number is checked; nothing here can panic.

use skmem_common::{
    hook::Hook,
    record::{
        Event, FLAG_LOCKLESS, Header, OPS, Open, Receive, SHORT_EVENT, SHORT_OPS, Task, VERSION,
    },
};
use zerocopy::{FromBytes, IntoBytes};

/// A record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// A call of a hooked function.
    Event(Event),
    /// A socket seen for the first time.
    Open(Open),
    /// Another thread uses a socket.
    Task(Task),
    /// A change of the receive side.
    Receive(Receive),
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than a header.
    #[error("a record of {0} bytes is shorter than a header")]
    Short(usize),
    /// Of a layout that this skmem does not know.
    #[error("a record of layout {0}; this skmem knows layout {VERSION}")]
    Version(u8),
    /// No such hook.
    #[error("a record of an unknown hook {0}")]
    Hook(u8),
    /// The length does not fit the kind of record.
    #[error("a record of {hook} with {len} bytes", hook = .hook.name())]
    Length {
        /// The hook.
        hook: Hook,
        /// The length, in bytes.
        len: usize,
    },
    /// More operations than there is room for.
    #[error("a record that claims {0} operations")]
    Ops(u8),
}

impl Record {
    /// One that holds nothing: a place for [`Record::decode_from`].
    #[must_use]
    pub fn empty() -> Self {
        Self::Event(Event::default())
    }

    /// Decodes one record.
    ///
    /// # Errors
    /// Where the bytes are not one.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut record = Self::empty();
        record.decode_from(bytes)?;
        Ok(record)
    }

    /// Decodes one record into this place, which a reader keeps: an event is copied once.
    ///
    /// # Errors
    /// Where the bytes are not one; what is in the place then means nothing.
    pub fn decode_from(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let Ok((header, _)) = Header::read_from_prefix(bytes) else {
            return Err(DecodeError::Short(bytes.len()));
        };
        if header.version != VERSION {
            return Err(DecodeError::Version(header.version));
        }
        let hook = Hook::from_u8(header.hook).ok_or(DecodeError::Hook(header.hook))?;
        let wrong_length = DecodeError::Length {
            hook,
            len: bytes.len(),
        };
        if usize::from(header.len) != bytes.len() {
            return Err(wrong_length);
        }
        *self = match hook {
            Hook::Open => Open::read_from_bytes(bytes)
                .map(Self::Open)
                .map_err(|_| wrong_length)?,
            Hook::Task => Task::read_from_bytes(bytes)
                .map(Self::Task)
                .map_err(|_| wrong_length)?,
            hook if hook.is_receive() => match Receive::read_from_bytes(bytes) {
                Ok(r) if usize::from(r.header.ops) > r.ops.len() => {
                    return Err(DecodeError::Ops(r.header.ops));
                }
                Ok(r) => Self::Receive(r),
                Err(_) => return Err(wrong_length),
            },
            _ => {
                if !matches!(self, Self::Event(_)) {
                    *self = Self::empty();
                }
                return match self {
                    Self::Event(event) => read_event(event, header, bytes, wrong_length),
                    _ => Err(wrong_length),
                };
            }
        };
        Ok(())
    }

    /// The socket's number and the number of this record among the socket's;
    /// None for records that are not counted (those of lockless hooks).
    #[must_use]
    pub fn place(&self) -> Option<(u64, u32)> {
        match self {
            Self::Event(Event { header, .. }) | Self::Receive(Receive { header, .. })
                if header.flags & FLAG_LOCKLESS != 0 =>
            {
                None
            }
            Self::Event(e) => Some((e.socket, e.event_no)),
            Self::Open(o) => Some((o.ident.id, o.event_no)),
            Self::Task(t) => Some((t.socket, t.event_no)),
            Self::Receive(r) => Some((r.socket, r.event_no)),
        }
    }

    /// The socket's number.
    #[must_use]
    pub fn socket(&self) -> u64 {
        match self {
            Self::Event(e) => e.socket,
            Self::Open(o) => o.ident.id,
            Self::Task(t) => t.socket,
            Self::Receive(r) => r.socket,
        }
    }

    /// ns of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn time_ns(&self) -> u64 {
        match self {
            Self::Event(e) => e.time_ns,
            Self::Open(o) => o.time_ns,
            Self::Task(t) => t.time_ns,
            Self::Receive(r) => r.time_ns,
        }
    }
}

/// Copies one of the two forms of an event; each is of a length that the compiler knows.
fn read_event(
    event: &mut Event,
    header: Header,
    bytes: &[u8],
    wrong_length: DecodeError,
) -> Result<(), DecodeError> {
    let checked = |room: usize| match usize::from(header.ops) > room {
        true => Err(DecodeError::Ops(header.ops)),
        false => Ok(()),
    };
    let place = event.as_mut_bytes();
    if let Ok(short) = <&[u8; SHORT_EVENT]>::try_from(bytes) {
        checked(SHORT_OPS)?;
        let (front, back) = place.split_at_mut(SHORT_EVENT);
        front.copy_from_slice(short);
        back.fill(0);
    } else if bytes.len() == place.len() {
        checked(OPS)?;
        place.copy_from_slice(bytes);
    } else {
        return Err(wrong_length);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(hook: Hook, len: usize, ops: u8) -> Vec<u8> {
        let mut e = Event {
            time_ns: 7,
            ..Event::default()
        };
        e.header = Header {
            len: len as u16,
            version: VERSION,
            hook: hook as u8,
            cpu: 1,
            flags: 0,
            ops,
        };
        e.as_bytes()[..len].to_vec()
    }

    #[test]
    fn both_forms_of_an_event() {
        for (len, ops) in [(SHORT_EVENT, 2), (size_of::<Event>(), 8)] {
            match Record::decode(&event(Hook::Ack, len, ops)) {
                Ok(Record::Event(e)) => assert_eq!((e.time_ns, e.header.ops), (7, ops)),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_place_keeps_nothing_of_the_record_before() {
        let long = event(Hook::Ack, size_of::<Event>(), OPS as u8);
        let short = event(Hook::WriteXmit, SHORT_EVENT, 1);
        let mut filled = long.clone();
        filled[SHORT_EVENT..].fill(0xff);
        let mut place = Record::empty();
        for bytes in [&filled, &short, &long] {
            place.decode_from(bytes).unwrap();
            assert_eq!(Ok(place), Record::decode(bytes));
        }
    }

    #[test]
    fn the_receive_side() {
        let mut bytes = event(Hook::Read, size_of::<Event>(), 0);
        bytes.truncate(size_of::<Receive>());
        bytes[0] = size_of::<Receive>() as u8;
        match Record::decode(&bytes) {
            Ok(Record::Receive(r)) => assert_eq!(r.time_ns, 7),
            other => panic!("{other:?}"),
        }
        assert!(Record::decode(&event(Hook::Read, SHORT_EVENT, 0)).is_err());
    }

    #[test]
    fn bad_bytes_are_errors() {
        let good = event(Hook::Ack, SHORT_EVENT, 0);
        for n in 0..good.len() {
            assert!(Record::decode(&good[..n]).is_err(), "{n} bytes");
        }
        assert_eq!(
            Record::decode(&event(Hook::Ack, SHORT_EVENT, 3)),
            Err(DecodeError::Ops(3))
        );
        let mut bad = good.clone();
        bad[2] = VERSION + 1;
        assert_eq!(Record::decode(&bad), Err(DecodeError::Version(VERSION + 1)));
        bad[2] = VERSION;
        bad[3] = 200;
        assert_eq!(Record::decode(&bad), Err(DecodeError::Hook(200)));
        bad[3] = Hook::Open as u8;
        assert!(matches!(
            Record::decode(&bad),
            Err(DecodeError::Length { .. })
        ));
    }
}
