//! A sender whose socket stands still, full, or has ended; what stands in the kernel is written
//! into a file that others read.

use std::{
    fs,
    io::{self, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::AsFd as _,
    path::Path,
    process::exit,
    thread,
    time::Duration,
};

use skmem::MemInfo;
use socket2::SockRef;

/// [`ROLE`](crate::sender::ROLE) of such a sender: `standing:FILE`.
pub const STANDING: &str = "standing:";
/// What one whose socket ends writes, bytes.
pub const ENDED: u64 = 300_000;

/// What stands in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stands {
    /// w, as `SO_MEMINFO` has it
    pub w: u64,
    /// Payload written
    pub written: u64,
    pub cookie: u64,
}

impl Stands {
    /// What a sender has written into its file; None: nothing yet.
    pub fn read(file: &Path) -> Option<Self> {
        let text = fs::read_to_string(file).ok()?;
        let mut numbers = text.split(' ').map(|n| n.parse().ok());
        Some(Self {
            w: numbers.next()??,
            written: numbers.next()??,
            cookie: numbers.next()??,
        })
    }

    fn write(self, file: &str) -> io::Result<()> {
        let Self { w, written, cookie } = self;
        let hidden = format!("{file}.new");
        fs::write(&hidden, format!("{w} {written} {cookie}"))?;
        fs::rename(&hidden, file)
    }
}

/// Sends until the kernel takes no more, and has that stay; or with a `file` that is called
/// `ended`, some bytes that are read, and closes. Ends when its stdin does.
pub fn run(file: &str) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    let cookie = skmem::diag::socket_cookie(client.as_fd()).map_err(io::Error::other)?;
    let tell = |w: u64, written: u64| Stands { w, written, cookie }.write(file);
    if file.ends_with("/ended") {
        let reader = thread::spawn(move || io::copy(&mut server, &mut io::sink()));
        client.write_all(&vec![b'e'; ENDED as usize])?;
        client.shutdown(Shutdown::Write)?;
        drop(client);
        let read = reader.join().unwrap()?;
        assert_eq!(read, ENDED);
        tell(0, ENDED)?;
        return io::copy(&mut io::stdin(), &mut io::sink()).map(drop);
    }
    SockRef::from(&client).set_send_buffer_size(65_536)?;
    client.set_nonblocking(true)?;
    let mut written = 0;
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        exit(0);
    });
    loop {
        match client.write(&[b's'; 1000]) {
            Ok(bytes) => written += bytes as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let memory = MemInfo::read(client.as_fd()).map_err(io::Error::other)?;
                tell(u64::from(memory.wmem_queued.cast_unsigned()), written)?;
                thread::sleep(Duration::from_millis(100));
            }
            Err(error) => return Err(error),
        }
    }
}
