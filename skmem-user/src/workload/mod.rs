//! Built-in reproductions: real sockets on real kernels, made to grow their send memory on purpose.
//!
//! A scenario runs in a child process (`skmem workload NAME`), so that its pid, its namespaces and
//! its exit are its own; the tracer drives it over two pipes ([`protocol`] has the messages,
//! [`Driver`] the parent's side). Order of events: the child prepares its network, says `ready`,
//! and waits; the tracer attaches, says `go`; the child makes the sockets, sends until its scenario
//! is at rest and says `settled`; the tracer compares; `finish` lets the child close what it
//! opened, and end.
//!
//! Everything is bounded in count and time and lives in namespaces without a name: it ends with the
//! process. What must change outside (`tcp_mem`, a cgroup) is put back by a guard process, see
//! `undo`.

mod catalog;
mod cgroup;
mod driver;
pub mod fix;
mod net;
pub(crate) mod options;
pub mod protocol;
mod reader;
mod reading_server;
mod scenario;
mod sender;
mod settle;
mod skip;
mod sockets;
mod stage;
mod undo;
mod writer;

use std::{
    net::{TcpListener, TcpStream},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
pub use catalog::{Scenario, find, list};
pub use driver::{Driver, DriverError};
use net::Net;
pub use options::{Options, Params};
pub use skip::SKIP_STATUS;
use stage::Stage;

/// The hidden subcommand under which the binary runs [`run`]; children of a scenario use it too.
pub const SUBCOMMAND: &str = "workload";

/// Two network namespaces with a veth pair between them, for `skmem bench`. They are gone with this
/// value.
pub struct BenchLink(Net);

impl BenchLink {
    /// Makes them.
    ///
    /// # Errors
    /// Where they cannot be made: that needs root.
    pub fn new() -> Result<Self> {
        Net::veth(&Params::BASE).map(Self)
    }

    /// A listener at one end, and a connection to it from the other.
    ///
    /// # Errors
    /// Where the kernel makes none.
    pub fn connect(&self) -> Result<(TcpListener, TcpStream)> {
        let Self(net) = self;
        let bind = || TcpListener::bind((net.server_address, 0)).context("cannot listen");
        let listener = net.server.run(bind)?;
        let address = (net.server_address, listener.local_addr()?.port());
        let connect = || TcpStream::connect(address).context("cannot connect over veth");
        Ok((listener, net.client.run(connect)?))
    }
}

/// The child's side: runs the scenario `name` over this process's stdin and stdout, to the end.
///
/// Every outcome is one JSON line and an exit status: 0 after `done`, 77 after `skip`, 1 after
/// `error`, 2 for a name or an option that does not exist.
#[must_use]
pub fn run(name: &str, options: &Options) -> ExitCode {
    match name {
        undo::NAME => return undo::guard(),
        scenario::STORM_WORKER => return scenario::storm_worker(),
        _ => {}
    }
    let stage = match find(name).and_then(|found| Ok((found, options.resolve(found)?))) {
        Ok((found, params)) => Stage::new(found, params),
        Err(error) => {
            protocol::Reply::error(format!("{error:#}")).print();
            return ExitCode::from(2);
        }
    };
    stage.play()
}
