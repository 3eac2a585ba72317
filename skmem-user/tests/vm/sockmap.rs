//! Sockmaps with a program on them, made by bpf(2) alone.

use std::{
    io,
    net::TcpStream,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
};

/// A map of type SOCKMAP with room for two sockets, and the program on it.
pub struct Sockmap {
    map: OwnedFd,
    _program: OwnedFd,
}

/// What its program sees.
#[derive(Clone, Copy)]
pub enum Kind {
    /// What sockets in the map send (`BPF_SK_MSG_VERDICT`).
    Messages,
    /// What arrives at them (`BPF_SK_SKB_STREAM_VERDICT`).
    Packets,
}

impl Sockmap {
    /// All goes to the ingress of the map's first socket.
    pub fn redirecting(kind: Kind) -> io::Result<Self> {
        const MSG_REDIRECT_MAP: u32 = 60;
        const SK_REDIRECT_MAP: u32 = 52;
        const INGRESS: u32 = 1;
        let helper = match kind {
            Kind::Messages => MSG_REDIRECT_MAP,
            Kind::Packets => SK_REDIRECT_MAP,
        };
        // r2 = map; r3 = key 0; r4 = BPF_F_INGRESS; call; exit: code, registers and offset in one
        // word, then the number.
        Self::with(kind, |map| {
            vec![
                [0x1218, map],
                [0, 0],
                [0x03b7, 0],
                [0x04b7, INGRESS],
                [0x85, helper],
                [0x95, 0],
            ]
        })
    }

    /// All that arrives is passed on to the socket's own reader.
    pub fn passing() -> io::Result<Self> {
        const SK_PASS: u32 = 1;
        Self::with(Kind::Packets, |_| vec![[0x00b7, SK_PASS], [0x95, 0]])
    }

    fn with(kind: Kind, program: impl Fn(u32) -> Vec<[u32; 2]>) -> io::Result<Self> {
        const MAP_CREATE: libc::c_long = 0;
        const PROG_LOAD: libc::c_long = 5;
        const PROG_ATTACH: libc::c_long = 8;
        const SOCKMAP: u32 = 15;
        // BPF_PROG_TYPE_SK_MSG, BPF_SK_MSG_VERDICT; BPF_PROG_TYPE_SK_SKB,
        // BPF_SK_SKB_STREAM_VERDICT
        let (of_type, at) = match kind {
            Kind::Messages => (16, 7),
            Kind::Packets => (14, 5),
        };
        let map = bpf(MAP_CREATE, &[SOCKMAP, 4, 4, 2])?;
        // SAFETY: the kernel has just given it to us.
        let map = unsafe { OwnedFd::from_raw_fd(map) };
        let fd = map.as_raw_fd().cast_unsigned();
        let program = program(fd);
        let licence = *b"GPL\0";
        let [program_low, program_high] = address(program.as_ptr());
        let [licence_low, licence_high] = address(&raw const licence);
        let mut attribute = [0; 18];
        attribute[..6].copy_from_slice(&[
            of_type,
            program.len() as u32,
            program_low,
            program_high,
            licence_low,
            licence_high,
        ]);
        attribute[17] = at;
        let loaded = bpf(PROG_LOAD, &attribute)?;
        // SAFETY: as above.
        let loaded = unsafe { OwnedFd::from_raw_fd(loaded) };
        bpf(PROG_ATTACH, &[fd, loaded.as_raw_fd().cast_unsigned(), at])?;
        Ok(Self {
            map,
            _program: loaded,
        })
    }

    /// Puts a socket into the map.
    pub fn put(&self, key: u32, socket: &TcpStream) -> io::Result<()> {
        const MAP_UPDATE_ELEM: libc::c_long = 2;
        let value = socket.as_raw_fd();
        let [key_low, key_high] = address(&raw const key);
        let [value_low, value_high] = address(&raw const value);
        let fd = self.map.as_raw_fd().cast_unsigned();
        bpf(
            MAP_UPDATE_ELEM,
            &[fd, 0, key_low, key_high, value_low, value_high],
        )?;
        Ok(())
    }
}

/// bpf(2), with an attribute of these words of 32 bits.
fn bpf(command: libc::c_long, words: &[u32]) -> io::Result<RawFd> {
    let mut attribute = [0_u32; 32];
    attribute[..words.len()].copy_from_slice(words);
    // SAFETY: the attribute is valid for its size, and what it points to outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attribute.as_ptr(),
            size_of_val(&attribute),
        )
    };
    match result {
        0.. => Ok(result as RawFd),
        _ => Err(io::Error::last_os_error()),
    }
}

/// An address in two words.
fn address<T>(of: *const T) -> [u32; 2] {
    let address = of.addr() as u64;
    [address as u32, (address >> 32) as u32]
}
