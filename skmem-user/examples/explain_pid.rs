//! Says why the sockets of a process queue more than their limits: `explain_pid PID [SECONDS]`, as
//! root.
//!
//! The library traces and explains; what is printed, and when, is the caller's affair.

use std::{env, time::Duration};

use anyhow::{Context as _, Result};
use skmem::{Selection, Session, Style, Verdict, render};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut words = env::args().skip(1);
    let pid = words.next().context("give a process id")?.parse()?;
    let seconds = words.next().map_or(Ok(10), |word| word.parse())?;
    let verdicts = explain(pid, Duration::from_secs(seconds)).await?;
    for verdict in &verdicts {
        println!("{}", render::text(verdict, &Style::PLAIN));
    }
    if verdicts.is_empty() {
        println!("process {pid} has no TCP socket that did something in {seconds} s");
    }
    Ok(())
}

/// The verdicts on the sockets of a process, the worst first: those that it has, and those that it
/// opens within `time`.
///
/// # Errors
/// Where the process cannot be traced.
pub async fn explain(pid: u32, time: Duration) -> Result<Vec<Verdict>> {
    let selection = Selection::of_processes([pid]);
    let mut session = Session::of(&selection).await?;
    session.run_for(time).await?;
    Ok(session.verdicts(true, false))
}
