//! `--probe`: a look, a short trace of the send and receive queues that held most in it, and the
//! look that is shown.
//!
//! The trace comes first, so that what is shown is what the causes add up to. Only the sockets
//! chosen are traced: a filter that no process passes, and a walk that adopts sockets by inode.

use std::{collections::HashSet, path::PathBuf, time::Duration};

use anyhow::Result;
use skmem_common::{hook::Hook, layout::Records};

use super::Arranged;
use crate::{
    cli::{
        interrupted,
        live::{self, Detaching},
    },
    diag::{Protocol, TcpState, UpperLayer, empty_skb},
    explain::Verdict,
    kernel::{
        plan::{OF_CONNECTING, OF_MPTCP, Set},
        system, tracer,
    },
    snapshot::{
        Row,
        capture::Captured,
        probe::{Probe, is_candidate, receivers},
    },
    trace::{self, Older},
};

/// More sockets are traced than are shown, since by the end others may be the worst.
const SPARE: usize = 4;
/// The least number of sockets traced.
const LEAST: usize = 64;

/// What is asked for.
pub(super) struct ProbeRequest {
    /// Queues of each side that are shown.
    pub most: usize,
    /// For how long; Ctrl-C ends it earlier.
    pub time: Duration,
    /// Which hooks.
    pub set: Set,
    /// Say what is attached.
    pub verbose: bool,
}

/// Looks, traces, and looks again; the programs may still be being detached.
pub(super) async fn run(
    ProbeRequest {
        most,
        time,
        set,
        verbose,
    }: ProbeRequest,
    mut look: impl FnMut() -> Result<Arranged>,
) -> Result<(Arranged, Option<Detaching>)> {
    let first = look()?;
    let traced = LEAST.max(most * SPARE);
    let rows = &first.captured.rows;
    let receivers = receivers(rows, traced);
    let senders = rows.iter().filter(|row| is_candidate(row)).take(traced);
    let mut chosen: Vec<&Row> = senders.collect();
    let both: HashSet<u64> = chosen.iter().map(|row| row.cookie).collect();
    chosen.extend(receivers.iter().filter(|row| !both.contains(&row.cookie)));
    if chosen.is_empty() {
        let probe = Some(Probe::default());
        return Ok((Arranged { probe, ..first }, None));
    }
    let one = empty_skb();
    let how = How {
        time,
        rx: !receivers.is_empty(),
        at_end: true,
        set,
        verbose,
    };
    let (probe, look, detaching) = match trace(&first.captured, &chosen, &how).await {
        Ok(Traced {
            verdicts,
            ns,
            detaching,
        }) => {
            let look = look()?;
            let rows = &look.captured.rows;
            let probe = Probe::new(rows, &verdicts, most, ns, one);
            (probe, look, Some(detaching))
        }
        Err(error) => {
            eprintln!("skmem: nothing was traced: {error:#}");
            (Probe::failed(format!("{error:#}")), first, None)
        }
    };
    let probe = Some(probe);
    Ok((Arranged { probe, ..look }, detaching))
}

/// How sockets of a snapshot are traced.
pub(in crate::cli) struct How {
    /// For how long; Ctrl-C ends it earlier.
    pub time: Duration,
    /// The receive side, too.
    pub rx: bool,
    /// Explain the end, not the worst instant.
    pub at_end: bool,
    /// Which hooks.
    pub set: Set,
    /// Say what is attached.
    pub verbose: bool,
}

/// What a trace came to.
pub(in crate::cli) struct Traced {
    /// The worst first.
    pub verdicts: Vec<Verdict>,
    /// How long it was, ns.
    pub ns: u64,
    /// The programs are being detached.
    pub detaching: Detaching,
}

/// Traces these sockets.
///
/// # Errors
/// Where the kernel does not allow it.
pub(in crate::cli) async fn trace(seen: &Captured, chosen: &[&Row], how: &How) -> Result<Traced> {
    let inodes: Vec<u32> = chosen.iter().map(|row| row.inode).collect();
    // All sockets that no file refers to have the inode 0, and are adopted together.
    let nameless = match inodes.contains(&0) {
        true => seen.fileless,
        false => 0,
    };
    let mut session = live::attach(&tracer::Options {
        max_sockets: u32::try_from(chosen.len() + nameless + LEAST).unwrap_or(u32::MAX),
        // The accounts are all that is wanted.
        records: Records::Transitions,
        set: how.set,
        unneeded: unneeded(chosen),
        ring_bytes: 4096,
        rx: how.rx,
        verbose: how.verbose,
        ..trace::options_of_none()
    })
    .await?;
    let older = Older {
        namespaces: namespaces(seen, chosen),
        inodes,
    };
    live::adopt(&mut session, older);
    let begun = system::monotonic_ns();
    {
        let mut end = std::pin::pin!(tokio::time::sleep(how.time));
        let mut stop = std::pin::pin!(interrupted()?);
        loop {
            tokio::select! {
                () = &mut end => break,
                () = &mut stop => break,
                step = session.step(|_, _| {}) => step?,
            }
        }
    }
    session.finish(|_, _| {});
    live::say(&mut session);
    Ok(Traced {
        ns: system::monotonic_ns().saturating_sub(begun),
        verdicts: session.verdicts(true, how.at_end),
        detaching: live::detach(session),
    })
}

/// Hooks that none of these sockets comes by. Each takes time to attach and to detach.
fn unneeded(chosen: &[&Row]) -> Vec<Hook> {
    let mut hooks = Vec::new();
    // With one that no file refers to, all such are traced.
    if chosen.iter().any(|row| row.inode == 0) {
        return hooks;
    }
    // Some kernels tell only CAP_NET_ADMIN which sockets are subflows.
    let is_plain = |row: &Row| {
        row.protocol == Protocol::Tcp
            && row.privileged
            && row.upper_layer != Some(UpperLayer::Mptcp)
    };
    if chosen.iter().all(|row| is_plain(row)) {
        hooks.extend(OF_MPTCP);
    }
    let is_connected = |row: &Row| {
        use TcpState::{CloseWait, Closing, Established, FinWait1, FinWait2, LastAck};
        matches!(
            row.state,
            Established | FinWait1 | FinWait2 | CloseWait | Closing | LastAck
        )
    };
    if chosen.iter().all(|row| is_connected(row)) {
        hooks.extend(OF_CONNECTING);
    }
    hooks
}

/// Ways into the network namespaces of these sockets.
fn namespaces(seen: &Captured, chosen: &[&Row]) -> Vec<PathBuf> {
    let wanted = |inode: u64| chosen.iter().any(|row| row.netns == inode);
    let all = seen.ways.iter();
    all.filter(|(inode, _)| wanted(**inode))
        .map(|(_, path)| path.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rows::{mem, socket};

    fn row(state: TcpState) -> Row {
        Row::new(&socket(state, mem(5_000, 0, 0, 4_096)), 4_026_531_840)
    }

    #[test]
    fn hooks_are_left_out_only_where_no_socket_can_come_by_them() {
        let plain = row(TcpState::Established);
        let none = unneeded(&[&plain]);
        assert_eq!(none, [&OF_MPTCP[..], &OF_CONNECTING[..]].concat());
        let connecting = row(TcpState::SynSent);
        assert_eq!(unneeded(&[&plain, &connecting]), OF_MPTCP);
        // A socket that is closed may connect.
        let closed = row(TcpState::Close);
        assert_eq!(unneeded(&[&closed]), OF_MPTCP);
        let mut subflow = row(TcpState::Established);
        subflow.upper_layer = Some(UpperLayer::Mptcp);
        assert_eq!(unneeded(&[&plain, &subflow]), OF_CONNECTING);
        let mut above = row(TcpState::Established);
        above.protocol = Protocol::Mptcp;
        assert_eq!(unneeded(&[&above]), OF_CONNECTING);
        // It may be a subflow, and nobody says so.
        let mut hidden = row(TcpState::Established);
        hidden.privileged = false;
        assert_eq!(unneeded(&[&hidden]), OF_CONNECTING);
        let mut nameless = row(TcpState::FinWait1);
        nameless.inode = 0;
        assert_eq!(unneeded(&[&plain, &nameless]), []);
    }
}
