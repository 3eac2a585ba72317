//! Writes that queue an skb and put nothing into it: it is taken away again.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    ptr,
};

use anyhow::{Result, bail};

use super::{ONE_WRITER, Scenario, Stage, client_setup, drain, fill_until_blocked, server_setup};
use crate::workload::{
    Params,
    net::Net,
    protocol::{Done, Reason},
};

pub(super) const BAD_ADDRESS: Scenario = Scenario {
    name: "bad-address",
    summary: "Writes from memory that is not there: an skb is queued and taken away, each time",
    provokes: &["unused-skb", "new-skb"],
    needs: &[],
    accepts: ONE_WRITER,
    defaults: Params {
        rcvbuf: Some(29_200),
        ..Params::BASE
    },
    play: bad_address,
};

/// Writes that fail.
const WRITES: usize = 3;

fn bad_address(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    stage.ready(&net.client, &[])?;
    let listener = net.listen(server_setup(stage))?;
    let (sender, server) = net.connect(&listener, client_setup(stage))?;
    for _ in 0..WRITES {
        match write_from_nowhere(sender.socket.as_fd(), stage.params.write_len()) {
            Err(error) if error.raw_os_error() == Some(libc::EFAULT) => {}
            other => bail!("a write from memory that is not there gave {other:?}, not EFAULT"),
        }
    }
    let senders = [sender];
    fill_until_blocked(stage, &senders)?;
    stage.settled(&net.client, Reason::Blocked, &senders)?;
    drain(stage, &net.client, &senders, &mut [], &[server])
}

/// Writes `len` bytes from the first page of the address space, which no process has
/// (`vm.mmap_min_addr`).
fn write_from_nowhere(socket: BorrowedFd<'_>, len: usize) -> io::Result<usize> {
    // SAFETY: the kernel alone reads from the address, and answers EFAULT where nothing is mapped.
    let sent = unsafe {
        libc::send(
            socket.as_raw_fd(),
            ptr::without_provenance(1),
            len,
            libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}
