//! Whose socket it is, in words.

use std::sync::OnceLock;

use skmem_common::record::Ident;

use super::{escape::escaped, event_json::Object};
use crate::explain::{address, verdict::Socket};

/// A socket whose ends and owner are text already, for those who name it often.
#[derive(Debug, Clone)]
pub struct Named {
    /// Who it is.
    pub ident: Ident,
    /// Local address.
    pub src: String,
    /// Remote address.
    pub dst: String,
    /// Command name of the process that used it first.
    pub comm: String,
    /// It in JSON, once it was asked for.
    pub(super) object: OnceLock<Object>,
}

impl Named {
    /// Of an [`Ident`].
    #[must_use]
    pub fn of(ident: &Ident) -> Self {
        Self {
            ident: *ident,
            src: address(ident.family, ident.saddr),
            dst: address(ident.family, ident.daddr),
            comm: comm(&ident.comm),
            object: OnceLock::new(),
        }
    }
}

/// `client (pid 123)`; the socket's ends where no process is known.
pub(super) fn owner(socket: &Socket) -> String {
    if socket.pid == 0 {
        return format!("the socket {}", ends(socket));
    }
    format!("{} (pid {})", escaped(&socket.comm), socket.pid)
}

/// `10.0.0.1:4000`, `[fd00::1]:4000`.
pub(super) fn endpoint(address: &str, port: u16) -> String {
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

/// `10.0.0.1:4000 → 10.0.0.2:5001`.
pub(super) fn ends(socket: &Socket) -> String {
    format!(
        "{} → {}",
        endpoint(&socket.src, socket.sport),
        endpoint(&socket.dst, socket.dport)
    )
}

/// `cookie 17`, or `socket 0x8000…` where the kernel gives tracing programs no cookie.
pub(super) fn name(socket: &Socket) -> String {
    match socket.cookie {
        Some(cookie) => format!("cookie {cookie}"),
        None => format!(
            "socket {:#x} (skmem's own id; this kernel does not expose the socket cookie)",
            socket.id
        ),
    }
}

/// `shop/web-0`: namespace and name of its pod; None where they are not known.
pub(super) fn pod(socket: &Socket) -> Option<String> {
    let (namespace, pod) = socket.namespace.as_ref().zip(socket.pod.as_ref())?;
    Some(format!("{}/{}", escaped(namespace), escaped(pod)))
}

/// `10.0.0.1:4000>10.0.0.2:5001`: one word, for lists.
pub(super) fn pair(socket: &Socket) -> String {
    format!(
        "{}>{}",
        endpoint(&socket.src, socket.sport),
        endpoint(&socket.dst, socket.dport)
    )
}

/// The same of an [`Ident`].
pub(super) fn short(ident: &Ident) -> String {
    format!(
        "{}>{}",
        endpoint(&address(ident.family, ident.saddr), ident.sport),
        endpoint(&address(ident.family, ident.daddr), ident.dport)
    )
}

/// The command name in `comm`, NUL-padded as the kernel has it.
pub(super) fn comm(comm: &[u8; 16]) -> String {
    let name = comm.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// The command name, safe for a terminal.
pub(super) fn escaped_comm(socket: &Socket) -> String {
    escaped(&socket.comm)
}

/// The command name, safe for a terminal, with the process, and both ends.
pub(super) fn whose(ident: &Ident) -> String {
    used_by(short(ident), &comm(&ident.comm), ident.pid)
}

/// The same of a verdict's socket.
pub(super) fn whose_socket(socket: &Socket) -> String {
    used_by(pair(socket), &socket.comm, socket.pid)
}

fn used_by(ends: String, comm: &str, pid: u32) -> String {
    match pid {
        0 => ends,
        pid => format!("{ends}  {} (pid {pid})", escaped(comm)),
    }
}
