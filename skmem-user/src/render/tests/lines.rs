//! Lines of JSON as serde writes them, of any record.

use proptest::prelude::*;
use skmem_common::record::{Event, Ident, Receive};
use zerocopy::FromBytes;

use crate::render::{LineBuffer, Named, event_json, put::Put, receive};

/// Records come from outside: any bytes can be one. Many of them are 0 in real ones.
fn any_bytes<T: FromBytes + std::fmt::Debug>() -> impl Strategy<Value = T> {
    let byte = prop_oneof![Just(0), Just(1), any::<u8>()];
    prop::collection::vec(byte, size_of::<T>())
        .prop_map(|bytes| T::read_from_bytes(&bytes).expect("as many bytes"))
}

fn same(line: &(impl Put + serde::Serialize)) -> Result<(), TestCaseError> {
    let mut out = LineBuffer::default();
    line.put(&mut out);
    let expected = serde_json::to_string(line).expect("a line");
    prop_assert_eq!(
        String::from_utf8(out.as_bytes().to_vec()).expect("UTF-8"),
        expected
    );
    Ok(())
}

proptest! {
    #[test]
    fn an_event_is_as_serde_writes_it(
        event in any_bytes::<Event>(),
        who in prop::option::of(any_bytes::<Ident>()),
        comm in prop::option::of(any::<String>()),
        wall_ns in any::<Option<u64>>(),
        hooks in prop::collection::vec((0_u8..60, 0_u8..32, any::<u32>()), 1..4),
    ) {
        let who = who.as_ref().map(Named::of);
        let comm = comm.as_deref();
        same(&event_json::line(&event, who.as_ref(), comm, wall_ns))?;
        // The socket's text is kept: of the same socket, and of another one under its name.
        for (hook, flags, slot) in hooks {
            let mut event = event;
            (event.header.hook, event.header.flags, event.slot) = (hook, flags, slot);
            same(&event_json::line(&event, who.as_ref(), comm, wall_ns))?;
            same(&event_json::line(&event, who.as_ref(), comm, wall_ns))?;
        }
    }

    #[test]
    fn a_receive_is_as_serde_writes_it(
        record in any_bytes::<Receive>(),
        who in prop::option::of(any_bytes::<Ident>()),
        comm in prop::option::of(any::<String>()),
        wall_ns in any::<Option<u64>>(),
    ) {
        let who = who.as_ref().map(Named::of);
        same(&receive::line(&record, who.as_ref(), comm.as_deref(), wall_ns))?;
    }
}
