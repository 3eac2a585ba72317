//! The library as its example uses it: the sockets of a process, explained.

use std::{
    io::Write as _,
    net::{TcpListener, TcpStream},
    os::fd::AsFd as _,
    process,
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use skmem::MemInfo;

use crate::{bench, check::Check};

#[path = "../../examples/explain_pid.rs"]
#[expect(dead_code, reason = "its main is that of a program")]
mod explain_pid;

pub fn trials() -> Vec<Trial> {
    vec![Trial::test("library::explains-a-process", explains)]
}

/// A socket of this process that is older than the trace, and queues what nobody reads.
fn explains() -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    sender.set_nonblocking(true)?;
    let mut sent = 0_u64;
    while let Ok(n) = sender.write(&[0; 16 << 10]) {
        sent += n as u64;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let explained = explain_pid::explain(process::id(), Duration::from_millis(100));
    let verdicts = runtime.block_on(explained).map_err(bench::failed)?;
    let port = sender.local_addr()?.port();
    let mut check = Check::default();
    let own = verdicts.iter().find(|v| v.socket.sport == port);
    check.that(own.is_some(), || {
        format!("no verdict on port {port}, which sent {sent} bytes")
    });
    if let Some(verdict) = own {
        let now = MemInfo::read(sender.as_fd()).map_err(bench::failed)?;
        check.equal("process", verdict.socket.pid, process::id());
        check.that(verdict.wmem_queued >= i64::from(now.wmem_queued), || {
            format!(
                "{} bytes at the worst, {} now",
                verdict.wmem_queued, now.wmem_queued
            )
        });
        let named: i64 = verdict.ledger.iter().map(|cause| cause.bytes).sum();
        check.equal("what causes add up to", named, verdict.wmem_queued);
    }
    check.done()
}
