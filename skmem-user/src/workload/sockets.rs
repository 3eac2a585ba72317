//! Sockets with the options set that a scenario is about, in the order in which they count.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    sync::Arc,
};

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    net::{Net, Netns},
    sender::Sender,
    skip::Skip,
};

/// A socket that listens on the server's side.
pub(crate) struct Listener {
    socket: Socket,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What is set on a socket before it connects or listens: buffer sizes after that come too late for
/// the window scale (`tcp_select_initial_window`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    /// `SO_SNDBUF`
    pub sndbuf: Option<u32>,
    /// `SO_RCVBUF`
    pub rcvbuf: Option<u32>,
    /// `TCP_NODELAY`
    pub nodelay: bool,
    /// `TCP_NOTSENT_LOWAT`
    pub notsent_lowat: Option<u32>,
    /// `SO_MAX_PACING_RATE`, bytes a second
    pub max_pacing_rate: Option<u32>,
    /// TCP or MPTCP
    pub protocol: Protocol,
}

impl Setup {
    /// A TCP socket as the kernel makes it.
    pub const PLAIN: Self = Self {
        sndbuf: None,
        rcvbuf: None,
        nodelay: false,
        notsent_lowat: None,
        max_pacing_rate: None,
        protocol: Protocol::TCP,
    };
}

impl Net {
    /// Listens in the server's namespace.
    pub fn listen(&self, setup: Setup) -> Result<Listener> {
        let address = SocketAddr::new(self.server_address, 0);
        let socket = make(&self.server, address, setup)?;
        socket
            .bind(&address.into())
            .with_context(|| format!("cannot bind to {address}"))?;
        // As many as may come at once; the kernel clamps to net.core.somaxconn.
        socket.listen(4096).context("cannot listen")?;
        let address = socket
            .local_addr()
            .ok()
            .and_then(|name| name.as_socket())
            .context("a listener without an address")?;
        Ok(Listener { socket, address })
    }

    /// A socket in the client's namespace, not connected yet.
    pub fn client(&self, setup: Setup) -> Result<Socket> {
        make(&self.client, SocketAddr::new(self.server_address, 0), setup)
    }

    /// Connects a client to `listener`: the sender, and the server's end of it.
    pub fn connect(&self, listener: &Listener, setup: Setup) -> Result<(Sender, Arc<Socket>)> {
        let client = self.client(setup)?;
        connect(&client, listener.address)?;
        Ok((Sender::new(client)?, listener.accept()?))
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Listener {
    /// The next connection.
    pub fn accept(&self) -> Result<Arc<Socket>> {
        let (socket, _) = self.socket.accept().context("cannot accept a connection")?;
        Ok(Arc::new(socket))
    }
}

/// A blocking connect.
pub(crate) fn connect(socket: &Socket, address: SocketAddr) -> Result<()> {
    socket
        .connect(&address.into())
        .with_context(|| format!("cannot connect to {address} inside our own namespaces"))
}

fn make(netns: &Netns, address: SocketAddr, setup: Setup) -> Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = netns.run(|| {
        Socket::new(domain, Type::STREAM, Some(setup.protocol)).map_err(|error| {
            match error.raw_os_error() {
                Some(libc::EPROTONOSUPPORT | libc::ENOPROTOOPT | libc::EINVAL)
                    if setup.protocol != Protocol::TCP =>
                {
                    Skip::error("this kernel has no MPTCP, or net.mptcp.enabled is 0")
                }
                Some(libc::EAFNOSUPPORT) => Skip::error("this kernel has no IPv6"),
                _ => anyhow::anyhow!(error).context("cannot open a TCP socket"),
            }
        })
    })?;
    if let Some(bytes) = setup.sndbuf {
        set_sndbuf(&socket, bytes)?;
    }
    if let Some(bytes) = setup.rcvbuf {
        socket
            .set_recv_buffer_size(bytes as usize)
            .with_context(|| format!("cannot set SO_RCVBUF to {bytes}"))?;
    }
    if setup.nodelay {
        socket
            .set_tcp_nodelay(true)
            .context("cannot set TCP_NODELAY")?;
    }
    if let Some(bytes) = setup.notsent_lowat {
        set_option(&socket, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, &bytes)
            .with_context(|| format!("cannot set TCP_NOTSENT_LOWAT to {bytes}"))?;
    }
    if let Some(rate) = setup.max_pacing_rate {
        set_option(&socket, libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE, &rate)
            .with_context(|| format!("cannot set SO_MAX_PACING_RATE to {rate}"))?;
    }
    Ok(socket)
}

/// `setsockopt(SO_SNDBUF)`.
pub(crate) fn set_sndbuf(socket: &Socket, bytes: u32) -> Result<()> {
    socket
        .set_send_buffer_size(bytes as usize)
        .with_context(|| format!("cannot set SO_SNDBUF to {bytes}"))
}

/// Sets an option that socket2 does not know. `T` is the structure that the kernel expects.
pub(crate) fn set_option<T: Copy>(
    socket: &impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: `value` is live and as long as stated.
    let rc = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if rc == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
