//! What an empty packet of TCP's costs on this kernel: measured, since it differs by version and
//! build.

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::AsFd as _,
    time::Duration,
};

use skmem_common::record::OWN_ADDRESS;
use socket2::{Domain, Socket, Type};

use super::MemInfo;

/// Bytes of `truesize` of an empty packet in a send queue (`tcp_stream_alloc_skb`,
/// `sk_stream_alloc_skb`): a connection to ourselves is corked, takes one byte, and is thrown away.
/// `None` where there is no loopback, or the byte did not stay.
#[must_use]
pub fn empty_skb() -> Option<i64> {
    let own = SocketAddrV4::new(Ipv4Addr::from(OWN_ADDRESS), 0);
    let listener = TcpListener::bind(own).ok()?;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    socket.bind(&own.into()).ok()?;
    socket.connect(&listener.local_addr().ok()?.into()).ok()?;
    let socket = TcpStream::from(socket);
    let options = socket2::SockRef::from(&socket);
    // Closing resets: nothing stays behind in TIME-WAIT.
    options.set_linger(Some(Duration::ZERO)).ok()?;
    options.set_tcp_cork(true).ok()?;
    (&socket).write_all(b".").ok()?;
    let queued = i64::from(MemInfo::read(socket.as_fd()).ok()?.wmem_queued);
    (queued > 1).then(|| queued - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_packet_costs_more_than_its_structure_and_less_than_a_page() {
        let one = empty_skb().unwrap();
        assert!((500..4096).contains(&one), "{one}");
        assert_eq!(one % 64, 0, "{one}: slab sizes are aligned to cache lines");
        assert_eq!(empty_skb(), Some(one));
    }
}
