//! A sending socket that is reported on.

use std::sync::Arc;

use anyhow::Result;
use socket2::Socket;

use crate::diag::{Endpoint, KernelReading};

/// A connected socket whose send memory the scenario is about.
#[derive(Clone)]
pub(crate) struct Sender {
    /// The socket, which writers share.
    pub socket: Arc<Socket>,
    /// Who it is, kept for when the connection is gone.
    pub endpoint: Endpoint,
}

impl Sender {
    /// Takes a connected socket.
    pub fn new(socket: Socket) -> Result<Self> {
        Self::shared(Arc::new(socket))
    }

    /// Takes a connected socket that others hold too.
    pub fn shared(socket: Arc<Socket>) -> Result<Self> {
        Ok(Self {
            endpoint: Endpoint::of(&*socket)?,
            socket,
        })
    }

    /// A reading.
    pub fn truth(&self) -> Result<KernelReading> {
        Ok(KernelReading::read(&*self.socket, &self.endpoint)?)
    }
}

/// A reading of each.
pub(crate) fn truths(senders: &[Sender]) -> Result<Vec<KernelReading>> {
    senders.iter().map(Sender::truth).collect()
}
