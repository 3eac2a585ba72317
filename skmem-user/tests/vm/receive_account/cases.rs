//! What happens on a connection while its receive memory is accounted for.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, AsRawFd as _},
    ptr, thread,
    time::Duration,
};

use io_uring::{IoUring, opcode, types::Fd};
use skmem::diag::MemInfo;
use skmem_common::receive_cause::{RcvbufCause, ReceiveCause};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::Played;
use crate::{
    case::kernel,
    sockmap::{Kind, Sockmap},
};

/// A connection over loopback; the account is that of `end`.
pub(super) struct Case {
    pub name: &'static str,
    pub play: fn(&mut Played<'_>) -> anyhow::Result<()>,
    /// Causes that it brings about, at the server's end unless said otherwise.
    pub causes: &'static [ReceiveCause],
    /// What moves the limit in it.
    pub moves: &'static [RcvbufCause],
    /// Some of it no hook sees: it is named from the fields.
    pub inferred: bool,
}

impl Case {
    const fn new(
        name: &'static str,
        play: fn(&mut Played<'_>) -> anyhow::Result<()>,
        causes: &'static [ReceiveCause],
    ) -> Self {
        Self {
            name,
            play,
            causes,
            moves: &[],
            inferred: false,
        }
    }

    const fn moving(mut self, moves: &'static [RcvbufCause]) -> Self {
        self.moves = moves;
        self
    }

    const fn inferred(mut self) -> Self {
        self.inferred = true;
        self
    }
}

pub(super) const CASES: &[Case] = &[
    Case::new(
        "small writes, read at once",
        small_writes,
        &[
            ReceiveCause::InOrder,
            ReceiveCause::InOrderOverhead,
            ReceiveCause::Read,
        ],
    ),
    Case::new(
        "a slow reader",
        slow_reader,
        &[
            ReceiveCause::Coalesced,
            ReceiveCause::CoalescedOverhead,
            ReceiveCause::Read,
        ],
    ),
    Case::new(
        "one-byte segments without a reader",
        one_byte_segments,
        &[ReceiveCause::Collapse],
    ),
    Case::new(
        "a peek, and a limit that is lowered",
        peek,
        &[ReceiveCause::Read],
    )
    .moving(&[RcvbufCause::SetByApplication]),
    Case::new(
        "splice out of the socket",
        splice,
        &[ReceiveCause::ReadSpliced],
    ),
    Case::new(
        "timestamps on the error queue",
        timestamps,
        &[ReceiveCause::ErrorQueued, ReceiveCause::ErrorTaken],
    ),
    Case::new(
        "a FIN, read to the end",
        fin,
        &[ReceiveCause::FinReceived, ReceiveCause::Read],
    ),
    Case::new(
        "a disconnect with unread data",
        disconnect,
        &[ReceiveCause::Disconnected],
    ),
    Case::new(
        "SO_RCVLOWAT above what the buffer holds",
        lowat,
        &[ReceiveCause::InOrder],
    )
    .moving(&[RcvbufCause::RaisedForLowat]),
    Case::new(
        "urgent data",
        urgent,
        &[ReceiveCause::InOrder, ReceiveCause::Read],
    ),
    Case::new(
        "pages that TCP_ZEROCOPY_RECEIVE maps",
        zerocopy_receive,
        &[ReceiveCause::InOrder],
    ),
    Case::new(
        "recv by io_uring",
        ring,
        &[ReceiveCause::InOrder, ReceiveCause::Read],
    ),
    Case::new(
        "data that TCP_REPAIR puts back",
        repair,
        &[ReceiveCause::InOrder, ReceiveCause::Read],
    ),
    Case::new(
        "data that comes with the SYN",
        fast_open,
        &[ReceiveCause::ReceivedBefore, ReceiveCause::Read],
    ),
    Case::new(
        "messages that a sockmap redirects here",
        redirected_messages,
        &[],
    )
    .inferred(),
    Case::new(
        "packets that a sockmap redirects here",
        redirected_packets,
        &[ReceiveCause::SockmapQueued, ReceiveCause::SockmapRead],
    )
    .inferred(),
    Case::new(
        "packets that a sockmap passes on",
        passed,
        &[ReceiveCause::InOrder],
    )
    .inferred(),
];

impl Played<'_> {
    /// Writes until the kernel takes no more.
    fn fill(&mut self, piece: usize, most: usize) -> anyhow::Result<usize> {
        let payload = vec![b'r'; piece];
        self.client.set_nonblocking(true)?;
        let (mut written, mut refused) = (0, 0);
        while written < most && refused < 3 {
            match self.client.write(&payload) {
                Ok(n) => (written, refused) = (written + n, 0),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    refused += 1;
                    thread::sleep(Duration::from_millis(50));
                }
                Err(e) => return Err(e.into()),
            }
        }
        self.client.set_nonblocking(false)?;
        Ok(written)
    }

    /// Reads in pieces until nothing is left.
    fn drain(&mut self, piece: usize, most: usize) -> anyhow::Result<()> {
        self.server.set_nonblocking(true)?;
        let mut room = vec![0; piece];
        let (mut got, mut empty) = (0, 0);
        while got < most && empty < 3 {
            match self.server.read(&mut room) {
                Ok(0) => break,
                Ok(n) => (got, empty) = (got + n, 0),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    empty += 1;
                    thread::sleep(Duration::from_millis(30));
                }
                Err(e) => return Err(e.into()),
            }
        }
        self.server.set_nonblocking(false)?;
        Ok(())
    }
}

fn small_writes(p: &mut Played<'_>) -> anyhow::Result<()> {
    p.client.set_nodelay(true)?;
    for n in [1, 100, 1_000, 4_000, 20_000] {
        p.client.write_all(&vec![b's'; n])?;
        p.look(&format!("{n} bytes written"), false)?;
        p.server.read_exact(&mut vec![0; n])?;
        p.look(&format!("{n} bytes read"), false)?;
    }
    // A reader that sleeps in recv is woken.
    let mut server = p.server.try_clone()?;
    let reader = thread::spawn(move || server.read_exact(&mut [0; 10_000]));
    thread::sleep(Duration::from_millis(100));
    for _ in 0..10 {
        p.client.write_all(&[b's'; 1_000])?;
    }
    reader
        .join()
        .map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    p.look("a reader that slept", false)
}

fn slow_reader(p: &mut Played<'_>) -> anyhow::Result<()> {
    p.fill(64 << 10, 8 << 20)?;
    p.look("full", false)?;
    for n in 0..10 {
        p.drain(4_096, 40_960)?;
        p.look(&format!("piece {n}"), false)?;
    }
    p.drain(64 << 10, usize::MAX)?;
    p.look("drained", false)
}

fn one_byte_segments(p: &mut Played<'_>) -> anyhow::Result<()> {
    SockRef::from(&p.server).set_recv_buffer_size(2_304)?;
    p.client.set_nodelay(true)?;
    p.fill(1, 20_000)?;
    p.look("full", false)?;
    p.drain(100, usize::MAX)?;
    p.look("drained", false)
}

fn peek(p: &mut Played<'_>) -> anyhow::Result<()> {
    p.fill(10_000, 60_000)?;
    p.server.peek(&mut [0; 30_000])?;
    p.look("peeked", false)?;
    SockRef::from(&p.server).set_recv_buffer_size(4_096)?;
    p.fill(1_000, 100_000)?;
    // Where nothing more fits, only a read shows that the limit has moved.
    p.drain(100, 100)?;
    p.look("lowered", false)?;
    p.drain(5_000, usize::MAX)?;
    p.look("drained", false)
}

fn splice(p: &mut Played<'_>) -> anyhow::Result<()> {
    p.fill(10_000, 200_000)?;
    // tcp_splice_read goes by the socket's O_NONBLOCK, not by SPLICE_F_NONBLOCK.
    p.server.set_nonblocking(true)?;
    let (out, into) = io::pipe()?;
    let mut left = 3;
    while left > 0 {
        // SAFETY: both descriptors are open, and no offset is given.
        let n = unsafe {
            libc::splice(
                p.server.as_raw_fd(),
                ptr::null_mut(),
                into.as_raw_fd(),
                ptr::null_mut(),
                30_000,
                0,
            )
        };
        if n <= 0 {
            left -= 1;
            thread::sleep(Duration::from_millis(20));
            continue;
        }
        (&out).read_exact(&mut vec![0; n.unsigned_abs()])?;
    }
    p.look("spliced", false)
}

fn timestamps(p: &mut Played<'_>) -> anyhow::Result<()> {
    // SOF_TIMESTAMPING_TX_SOFTWARE | TX_ACK | SOFTWARE | OPT_ID (include/uapi/linux/net_tstamp.h)
    let flags: libc::c_int = 1 << 1 | 1 << 9 | 1 << 4 | 1 << 7;
    // SAFETY: the option is an int.
    let rc = unsafe {
        libc::setsockopt(
            p.client.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPING,
            (&raw const flags).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if rc != 0 {
        return Err(io::Error::last_os_error().into());
    }
    for _ in 0..20 {
        p.client.write_all(&[b't'; 500])?;
        p.server.read_exact(&mut [0; 500])?;
    }
    p.look("stamps not collected", true)?;
    let on_queue = p.seen.map_or(0, |r| r.errors_queued());
    p.check.that(on_queue > 0, || "no stamps".to_owned());
    let mut collected = 0;
    let mut room = [0_u8; 2_048];
    let mut control = [0_u8; 512];
    loop {
        let mut part = libc::iovec {
            iov_base: room.as_mut_ptr().cast(),
            iov_len: room.len(),
        };
        // SAFETY: all of msghdr is integers and pointers, for which 0 is a value.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = control.len() as _;
        // SAFETY: the message points to room that outlives the call.
        let n = unsafe {
            libc::recvmsg(
                p.client.as_raw_fd(),
                &raw mut message,
                libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
            )
        };
        if n < 0 {
            break;
        }
        collected += 1;
    }
    p.check
        .that(collected > 0, || "no stamps to collect".to_owned());
    p.look("stamps collected", true)
}

fn fin(p: &mut Played<'_>) -> anyhow::Result<()> {
    p.client.write_all(&[b'f'; 3_000])?;
    p.server.read_exact(&mut [0; 3_000])?;
    p.client.shutdown(std::net::Shutdown::Write)?;
    p.look("a FIN waits", false)?;
    let n = p.server.read(&mut [0; 10])?;
    p.check.equal("bytes at the end", n, 0);
    p.look("it is read", false)
}

fn disconnect(p: &mut Played<'_>) -> anyhow::Result<()> {
    p.fill(10_000, 100_000)?;
    p.look("before", false)?;
    let (local, peer) = (p.server.local_addr()?.port(), p.server.peer_addr()?.port());
    // SAFETY: all of sockaddr is integers.
    let mut nowhere: libc::sockaddr = unsafe { std::mem::zeroed() };
    nowhere.sa_family = libc::AF_UNSPEC as libc::sa_family_t;
    // SAFETY: the address outlives the call.
    let rc = unsafe {
        libc::connect(
            p.server.as_raw_fd(),
            &raw const nowhere,
            size_of::<libc::sockaddr>() as libc::socklen_t,
        )
    };
    if rc != 0 {
        return Err(io::Error::last_os_error().into());
    }
    p.bench.drain();
    let truth = MemInfo::read(p.server.as_fd())?;
    let found = p
        .bench
        .accounts()
        .into_iter()
        .find(|a| (a.ident.sport, a.ident.dport) == (local, peer));
    let Some(account) = found else {
        p.check.fails(format!("{}: no account", p.name));
        return Ok(());
    };
    let name = p.name.clone();
    p.compare(&name, &account, truth);
    p.seen = Some(account.receiving);
    Ok(())
}

/// Sets an option that is an int.
fn set(socket: impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the value outlives the call, and its length is given.
    let rc = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    match rc {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn lowat(p: &mut Played<'_>) -> anyhow::Result<()> {
    p.client.write_all(&[b'l'; 1_000])?;
    p.look("before", false)?;
    set(&p.server, libc::SOL_SOCKET, libc::SO_RCVLOWAT, 1_000_000)?;
    p.look("set", false)?;
    p.client.write_all(&[b'l'; 50_000])?;
    p.look("more has come", false)?;
    set(&p.server, libc::SOL_SOCKET, libc::SO_RCVLOWAT, 1)?;
    p.drain(60_000, usize::MAX)?;
    p.look("drained", false)
}

fn urgent(p: &mut Played<'_>) -> anyhow::Result<()> {
    p.client.write_all(&[b'u'; 500])?;
    SockRef::from(&p.client).send_out_of_band(b"!")?;
    p.client.write_all(&[b'u'; 500])?;
    p.look("an urgent byte among others", false)?;
    let mut byte = [std::mem::MaybeUninit::uninit()];
    SockRef::from(&p.server).recv_out_of_band(&mut byte)?;
    p.look("the urgent byte is read, and stays in its skb", false)?;
    // A read ends before it, and the next one leaves it out.
    p.drain(300, usize::MAX)?;
    p.look("the rest is read", false)
}

/// `struct tcp_zerocopy_receive` (include/uapi/linux/tcp.h); 5.10 has it up to `err`.
#[repr(C)]
#[derive(Default)]
struct ZerocopyReceive {
    address: u64,
    length: u32,
    recv_skip_hint: u32,
    inq: u32,
    err: i32,
    copybuf_address: u64,
    copybuf_len: i32,
    flags: u32,
}

impl ZerocopyReceive {
    /// getsockopt() on the server's end, which fills it in.
    fn call(&mut self, p: &Played<'_>) -> io::Result<()> {
        const TCP_ZEROCOPY_RECEIVE: i32 = 35;
        let mut len = size_of::<Self>() as libc::socklen_t;
        // SAFETY: the structure and its length outlive the call.
        let rc = unsafe {
            libc::getsockopt(
                p.server.as_raw_fd(),
                libc::IPPROTO_TCP,
                TCP_ZEROCOPY_RECEIVE,
                ptr::from_mut(self).cast(),
                &raw mut len,
            )
        };
        match rc {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Maps what the server has received; returns how many bytes that was.
fn map_received(p: &Played<'_>, length: usize) -> io::Result<u32> {
    // SAFETY: a new mapping of the socket, which is unmapped below.
    let area = unsafe {
        libc::mmap(
            ptr::null_mut(),
            length,
            libc::PROT_READ,
            libc::MAP_SHARED,
            p.server.as_raw_fd(),
            0,
        )
    };
    if area == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let mut ask = ZerocopyReceive {
        address: area as u64,
        length: length as u32,
        ..ZerocopyReceive::default()
    };
    let asked = ask.call(p);
    // SAFETY: the area that was mapped above.
    unsafe { libc::munmap(area, length) };
    asked.map(|()| ask.length)
}

/// Lets `TCP_ZEROCOPY_RECEIVE` copy what is less than its buffer; returns how many bytes that was.
fn copy_received(p: &Played<'_>, room: &mut [u8]) -> io::Result<i32> {
    let mut ask = ZerocopyReceive {
        copybuf_address: room.as_mut_ptr() as u64,
        copybuf_len: room.len() as i32,
        ..ZerocopyReceive::default()
    };
    ask.call(p)?;
    Ok(ask.copybuf_len)
}

fn zerocopy_receive(p: &mut Played<'_>) -> anyhow::Result<()> {
    const PIECE: usize = 32 << 10;
    // A pipe's own pages can be mapped; those of files and of other processes cannot
    // (can_map_frag).
    let (from, mut into) = io::pipe()?;
    into.write_all(&[b'z'; PIECE])?;
    let mut left = PIECE;
    while left > 0 {
        let (from, to) = (from.as_raw_fd(), p.client.as_raw_fd());
        let none = ptr::null_mut();
        // SAFETY: both descriptors are open, and no offset is given.
        let sent = unsafe { libc::splice(from, none, to, none, left, 0) };
        anyhow::ensure!(sent > 0, "splice: {}", io::Error::last_os_error());
        left -= sent.unsigned_abs();
    }
    p.look("whole pages wait", false)?;
    let mapped = map_received(p, PIECE)?;
    p.check.that(mapped > 0, || "no page was mapped".to_owned());
    p.look(&format!("{mapped} bytes are mapped"), false)?;
    p.drain(PIECE, usize::MAX)?;
    p.look("drained", false)?;
    p.client.write_all(&[b'c'; 1_000])?;
    p.look("less than a page waits", false)?;
    // 5.10 knows no such buffer.
    if kernel() >= (6, 0) {
        let copied = copy_received(p, &mut [0; 4_096])?;
        p.check.equal("bytes copied", copied, 1_000);
        p.look("it was copied", false)?;
        let freed = p
            .seen
            .map_or(0, |r| r.total(ReceiveCause::ReadZerocopy).bytes);
        p.check.that(freed < 0, || "no read-zerocopy".to_owned());
    }
    Ok(())
}

fn ring(p: &mut Played<'_>) -> anyhow::Result<()> {
    let mut ring = IoUring::new(8)?;
    let mut room = vec![0_u8; 8_000];
    for n in [100, 8_000, 3_000] {
        p.client.write_all(&vec![b'i'; n])?;
        p.look("before the ring reads", false)?;
        let mut left = n;
        while left > 0 {
            let entry = opcode::Recv::new(Fd(p.server.as_raw_fd()), room.as_mut_ptr(), 2_000);
            // SAFETY: the room outlives the wait for what is submitted here.
            unsafe { ring.submission().push(&entry.build()) }?;
            ring.submit_and_wait(1)?;
            let done = ring.completion().next();
            let got = done.map_or(-1, |done| done.result());
            anyhow::ensure!(got > 0, "recv by io_uring gave {got}");
            left -= got.unsigned_abs() as usize;
        }
        p.look("the ring has read", false)?;
    }
    Ok(())
}

fn repair(p: &mut Played<'_>) -> anyhow::Result<()> {
    /// `TCP_RECV_QUEUE` of `TCP_REPAIR_QUEUE`, and what ends repair without a window probe.
    const RECV_QUEUE: i32 = 1;
    const OFF_NO_PROBE: i32 = -1;
    p.client.write_all(&[b'r'; 1_000])?;
    p.look("before", false)?;
    set(&p.server, libc::IPPROTO_TCP, libc::TCP_REPAIR, 1)?;
    set(
        &p.server,
        libc::IPPROTO_TCP,
        libc::TCP_REPAIR_QUEUE,
        RECV_QUEUE,
    )?;
    p.server.write_all(&[b'R'; 4_000])?;
    set(&p.server, libc::IPPROTO_TCP, libc::TCP_REPAIR, OFF_NO_PROBE)?;
    p.look("put back", false)?;
    let mut all = [0; 5_000];
    p.server.read_exact(&mut all)?;
    p.check
        .equal("what was put back", &all[4_990..], &[b'R'; 10][..]);
    p.look("read", false)?;
    // The peer never sent those bytes: a RST ends what it would not understand.
    SockRef::from(&p.server).set_linger(Some(Duration::ZERO))?;
    Ok(())
}

/// Sets a sysctl until it is dropped.
struct Sysctl(&'static str, String);

impl Sysctl {
    fn set(path: &'static str, value: &str) -> io::Result<Self> {
        let before = fs::read_to_string(path)?;
        fs::write(path, value)?;
        Ok(Self(path, before))
    }
}

impl Drop for Sysctl {
    fn drop(&mut self) {
        let _ = fs::write(self.0, &self.1);
    }
}

fn fast_open(p: &mut Played<'_>) -> anyhow::Result<()> {
    /// Client and server, both without a cookie: `TFO_CLIENT_ENABLE`, `TFO_SERVER_ENABLE`,
    /// `TFO_CLIENT_NO_COOKIE`, `TFO_SERVER_COOKIE_NOT_REQD` (include/net/tcp.h).
    const NO_COOKIES: &str = "519";
    let _sysctl = Sysctl::set("/proc/sys/net/ipv4/tcp_fastopen", NO_COOKIES)?;
    let here = SocketAddr::new(p.server.local_addr()?.ip(), 0);
    let listener = TcpListener::bind(here)?;
    set(&listener, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, 8)?;
    let to = SockAddr::from(listener.local_addr()?);
    let client = Socket::new(Domain::for_address(here), Type::STREAM, None)?;
    client.send_to_with_flags(&[b'f'; 700], &to, libc::MSG_FASTOPEN)?;
    p.client = client.into();
    (p.server, _) = listener.accept()?;
    p.look("it came with the SYN", false)?;
    let synced = p
        .seen
        .map_or(0, |r| r.total(ReceiveCause::ReceivedBefore).bytes);
    p.check
        .that(synced > 0, || format!("{}: no data in the SYN", p.name));
    p.client.write_all(&[b'f'; 2_000])?;
    p.look("more has come", false)?;
    p.server.read_exact(&mut [0; 2_700])?;
    p.look("read", false)
}

/// What a second connection carries reaches the reader of this one.
fn redirected(p: &mut Played<'_>, kind: Kind) -> anyhow::Result<()> {
    const PIECE: usize = 20_000;
    let map = Sockmap::redirecting(kind)?;
    let listener = TcpListener::bind(SocketAddr::new(p.server.local_addr()?.ip(), 0))?;
    let mut other = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    map.put(0, &p.server)?;
    map.put(
        1,
        match kind {
            Kind::Messages => &other,
            Kind::Packets => &far,
        },
    )?;
    for n in 1..=3 {
        other.write_all(&[b'm'; PIECE])?;
        p.walk(&format!("redirected {n}"))?;
        p.server.read_exact(&mut [0; PIECE - 100])?;
        p.look(&format!("read but for a little {n}"), false)?;
        p.server.read_exact(&mut [0; 100])?;
        p.look(&format!("read {n}"), false)?;
    }
    Ok(())
}

fn redirected_messages(p: &mut Played<'_>) -> anyhow::Result<()> {
    redirected(p, Kind::Messages)
}

fn redirected_packets(p: &mut Played<'_>) -> anyhow::Result<()> {
    redirected(p, Kind::Packets)
}

fn passed(p: &mut Played<'_>) -> anyhow::Result<()> {
    let map = Sockmap::passing()?;
    map.put(0, &p.server)?;
    for n in [100, 5_000, 60_000] {
        p.client.write_all(&vec![b'p'; n])?;
        p.walk(&format!("{n} bytes passed on"))?;
        p.server.read_exact(&mut vec![0; n])?;
        p.look(&format!("{n} bytes read"), false)?;
    }
    Ok(())
}
