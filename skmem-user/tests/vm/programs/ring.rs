//! A sender that uses io_uring, as no program of Debian's does by itself: this program in another
//! role.

use std::{
    io::{self, Write as _},
    net::TcpStream,
    os::fd::AsRawFd as _,
    thread,
};

use io_uring::{IoUring, cqueue, opcode, types::Fd};
use socket2::SockRef;

/// Zero-copy sends: `ring-zerocopy:PORT`.
pub const ZEROCOPY: &str = "ring-zerocopy:";
/// Sends that a worker of io_uring does: `ring-worker:PORT`.
pub const WORKER: &str = "ring-worker:";

static SMALL: [u8; 1024] = [b'z'; 1024];
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Whether this kernel has them.
pub fn has_zerocopy() -> bool {
    let mut probe = io_uring::Probe::new();
    IoUring::new(4).is_ok_and(|ring| {
        ring.submitter().register_probe(&mut probe).is_ok()
            && probe.is_supported(opcode::SendZc::CODE)
    })
}

/// Sends 1 KiB at a time, copying nothing.
pub fn zerocopy(port: &str) -> io::Result<()> {
    play(port, |fd| {
        opcode::SendZc::new(fd, SMALL.as_ptr(), 1024).build()
    })
}

/// Moves zeros from a pipe; a worker sleeps in it, for the kernel does not poll for a splice.
pub fn worker(port: &str) -> io::Result<()> {
    let (from, mut to) = io::pipe()?;
    thread::spawn(move || while to.write_all(&ZEROS).is_ok() {});
    play(port, |fd| {
        let pipe = Fd(from.as_raw_fd());
        opcode::Splice::new(pipe, -1, fd, -1, ZEROS.len() as u32).build()
    })
}

fn play(port: &str, send: impl Fn(Fd) -> io_uring::squeue::Entry) -> io::Result<()> {
    let port: u16 = port.parse().map_err(io::Error::other)?;
    let socket = TcpStream::connect(("127.0.0.1", port))?;
    SockRef::from(&socket).set_send_buffer_size(4096)?;
    let mut ring = IoUring::new(64)?;
    loop {
        let entry = send(Fd(socket.as_raw_fd()));
        // SAFETY: the data is static.
        unsafe { ring.submission().push(&entry) }.map_err(io::Error::other)?;
        let mut sent = false;
        while !sent {
            ring.submit_and_wait(1)?;
            for done in ring.completion() {
                // That the pages are no more in use.
                if cqueue::notif(done.flags()) {
                    continue;
                }
                if done.result() < 0 {
                    return Err(io::Error::from_raw_os_error(-done.result()));
                }
                sent = true;
            }
        }
    }
}
