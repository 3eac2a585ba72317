//! `getsockopt` with the length that the kernel wrote.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::{DiagError, Result};

/// Reads a socket option into `out` and returns how many bytes the kernel wrote: old kernels write
/// shorter structures than new ones (`do_tcp_getsockopt`, `sk_getsockopt` clamp to the caller's
/// length).
///
/// # Errors
/// Where the kernel refuses, or answers otherwise than it should.
pub fn get_bytes(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    what: &'static str,
    out: &mut [u8],
) -> Result<usize> {
    let mut len = libc::socklen_t::try_from(out.len()).unwrap_or(libc::socklen_t::MAX);
    // SAFETY: `out` is valid for `len` bytes of writes, `len` is a live socklen_t.
    let rc = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            name,
            out.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if rc != 0 {
        return Err(DiagError::last_os(what));
    }
    Ok((len as usize).min(out.len()))
}

/// Reads an `int` option.
///
/// # Errors
/// Where the kernel refuses, or answers otherwise than it should.
pub fn get_int(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    what: &'static str,
) -> Result<i32> {
    let mut bytes = [0; 4];
    let got = get_bytes(fd, level, name, what, &mut bytes)?;
    if got < bytes.len() {
        return Err(DiagError::Short { what, got, need: 4 });
    }
    Ok(i32::from_ne_bytes(bytes))
}

/// `SO_SNDBUF` as the kernel reads it back: `sk->sk_sndbuf` in bytes, already doubled
/// (`sk_getsockopt`; `sock_getsockopt` on 5.10).
///
/// # Errors
/// Where the kernel refuses, or answers otherwise than it should.
pub fn so_sndbuf(fd: BorrowedFd<'_>) -> Result<i32> {
    get_int(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, "SO_SNDBUF")
}

/// `SO_COOKIE`: the socket's number for life (`sock_gen_cookie`), never reused while the kernel
/// runs.
///
/// # Errors
/// Where the kernel refuses, or answers otherwise than it should.
pub fn socket_cookie(fd: BorrowedFd<'_>) -> Result<u64> {
    let mut bytes = [0; 8];
    let got = get_bytes(
        fd,
        libc::SOL_SOCKET,
        libc::SO_COOKIE,
        "SO_COOKIE",
        &mut bytes,
    )?;
    if got < bytes.len() {
        return Err(DiagError::Short {
            what: "SO_COOKIE",
            got,
            need: 8,
        });
    }
    Ok(u64::from_ne_bytes(bytes))
}
