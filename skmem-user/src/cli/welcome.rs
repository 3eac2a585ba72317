//! `skmem` alone on a terminal: what this machine allows, and the commands that
//! fit.

use std::process::ExitCode;

use anyhow::Result;

use super::{print, style};
use crate::{
    kernel::{
        doctor::{self, Finding, State},
        system,
    },
    render::{self, Style},
};

/// Columns of the commands.
const COMMAND: usize = 30;

/// Prints one screen.
///
/// # Errors
/// Where stdout cannot be written to.
pub fn run() -> Result<ExitCode> {
    let root = rustix::process::geteuid().is_root();
    print(&text(
        &doctor::examine(false),
        &system::release(),
        root,
        &style(),
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn text(findings: &[Finding], release: &str, root: bool, style: &Style) -> String {
    let line = |text: &str| format!("{}\n", render::wrapped(text, style.width));
    let state = doctor::overall(findings);
    let worst = findings.iter().filter(|f| f.state == state);
    let worst = worst.map(|f| f.what.as_str()).collect::<Vec<_>>();
    let only_rights = state == State::Impossible && worst == [doctor::RIGHTS];
    let why = || worst.join(", ");
    let allows = match state {
        State::Good => format!(
            "Linux {release}: skmem can trace here, as far as is seen without loading programs."
        ),
        State::Reduced => format!(
            "Linux {release}: skmem can trace here, as far as is seen without loading programs; something is \
             missing ({}).",
            why()
        ),
        State::Impossible if only_rights && !root => format!(
            "Linux {release}: looking needs no rights; tracing needs root, or CAP_BPF and CAP_PERFMON."
        ),
        State::Impossible => format!(
            "Linux {release}: skmem cannot trace here ({}); all that needs no eBPF works.",
            why()
        ),
    };
    let look = (
        "skmem snapshot --explain",
        "every TCP socket's memory now, and what stands out",
    );
    let commands = match (state, root) {
        (State::Impossible, _) if !only_rights => [
            look,
            (
                "skmem why PORT --no-trace",
                "what stands out in the sockets of a port, a process or an address",
            ),
            (
                "skmem report FILE",
                "what a recording from another machine says",
            ),
        ],
        (_, true) => [
            (
                "skmem why nginx",
                "why the sockets of a process, a port or an address are stuck",
            ),
            look,
            (
                "skmem demo",
                "a socket goes past its limit on this kernel, explained",
            ),
        ],
        (_, false) => [
            look,
            (
                "sudo skmem why nginx",
                "why the sockets of a process, a port or an address are stuck",
            ),
            (
                "sudo skmem demo",
                "a socket goes past its limit on this kernel, explained",
            ),
        ],
    };
    line(
        "skmem says which kernel code put the bytes into a TCP socket's queues, under which limit, and what to do.",
    ) + "\n"
        + &line(&allows)
        + "\n"
        + &render::definitions(commands, COMMAND, style)
        + "\n"
        + &line("`skmem doctor` says more about this machine, `skmem help` lists all commands.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_screen_with_three_commands_that_fit() {
        let good = Finding {
            what: "kernel".into(),
            state: State::Good,
            found: "x".into(),
            consequence: None,
            remedy: None,
        };
        let rights = Finding {
            what: doctor::RIGHTS.into(),
            state: State::Impossible,
            ..good.clone()
        };
        let lockdown = Finding {
            what: "lockdown".into(),
            ..rights.clone()
        };
        for width in [60, 80, 120, 200] {
            let style = Style {
                width,
                ..Style::PLAIN
            };
            for (found, root, first) in [
                (vec![good.clone()], true, "\nskmem why nginx "),
                (
                    vec![good.clone(), rights.clone()],
                    false,
                    "\nskmem snapshot --explain ",
                ),
                (
                    vec![rights.clone(), lockdown.clone()],
                    true,
                    "\nskmem snapshot --explain ",
                ),
            ] {
                let text = text(&found, "6.12.1", root, &style);
                println!("{text}");
                assert!(text.contains(first), "{text}");
                assert!(text.lines().count() < 24);
                assert!(text.lines().all(|line| line.chars().count() <= width));
                assert_eq!(text.matches("sudo").count(), if root { 0 } else { 2 });
            }
        }
    }
}
