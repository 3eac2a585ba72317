//! The two offloads that a scenario turns off, by the old ethtool ioctl, which every kernel has.

use std::{io, mem, os::fd::AsRawFd};

use anyhow::{Context, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// linux/sockios.h
const SIOCETHTOOL: libc::Ioctl = 0x8946;
/// linux/ethtool.h: TCP segmentation by the device.
const ETHTOOL_STSO: u32 = 0x1f;
/// linux/ethtool.h: segmentation late in the stack.
const ETHTOOL_SGSO: u32 = 0x24;

/// `struct ethtool_value`
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Turns TSO and GSO off on `interface` of the calling thread's network namespace.
pub(super) fn disable_segmentation(interface: &str) -> Result<()> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .context("cannot open a socket for ethtool")?;
    for (command, what) in [(ETHTOOL_STSO, "TSO"), (ETHTOOL_SGSO, "GSO")] {
        let mut value = Value { command, data: 0 };
        // SAFETY: an ifreq of zeroes is valid: a name and a union of plain data.
        let mut request: libc::ifreq = unsafe { mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
            // c_char is signed on x86-64 and unsigned on arm64.
            *to = libc::c_char::from_ne_bytes([from]);
        }
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        // SAFETY: the kernel reads the ifreq and the Value that it points to; both are live.
        if unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) } != 0 {
            return Err(io::Error::last_os_error())
                .with_context(|| format!("cannot turn {what} off on {interface}"));
        }
    }
    Ok(())
}
