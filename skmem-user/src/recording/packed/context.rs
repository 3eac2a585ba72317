//! What is known of a socket from the records of a block so far: predictions are made from it.

use skmem_common::record::{Open, Task, View};
use zerocopy::transmute;

/// Words of a call that are predicted from the last one of its hook.
pub(super) const CALL: usize = 4;
/// Words of a [`skmem_common::record::View`].
pub(super) const VIEW: usize = size_of::<View>() / 4;
/// Words of a [`skmem_common::receive::ReceiveView`].
pub(super) const RECEIVED: usize = 8;

/// Of one socket.
#[derive(Debug, Clone, Default)]
pub(super) struct Context {
    pub view: [u32; VIEW],
    pub event_no: u32,
    pub slot: u32,
    /// Process and thread.
    pub task: [u32; 2],
    /// The last bytes booked under each cause.
    pub booked: [u32; 32],
    pub received: Option<Box<Received>>,
    calls: Vec<Call>,
}

/// Of its receive side.
#[derive(Debug, Clone, Default)]
pub(super) struct Received {
    pub view: [u32; RECEIVED],
    pub booked: [u32; 32],
}

/// The last call of a hook.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    hook: u8,
    pub cpu: u16,
    pub words: [u32; CALL],
}

impl Context {
    /// Takes in the record that opens an account.
    pub fn opened(&mut self, open: &Open) {
        self.view = transmute!(open.view);
        (self.event_no, self.slot) = (open.event_no, open.slot);
        self.task = [open.ident.pid, open.ident.tid];
    }

    /// Takes in the record of a thread.
    pub fn named(&mut self, task: &Task) {
        (self.event_no, self.slot) = (task.event_no, task.slot);
        self.task = [task.pid, task.tid];
    }

    /// The last call of a hook; of a hook that was not called yet, all is 0.
    #[inline(always)]
    pub fn call(&mut self, hook: u8) -> &mut Call {
        let known = self.calls.iter().position(|call| call.hook == hook);
        let at = known.unwrap_or_else(|| {
            self.calls.push(Call {
                hook,
                cpu: 0,
                words: [0; CALL],
            });
            self.calls.len() - 1
        });
        &mut self.calls[at]
    }
}
