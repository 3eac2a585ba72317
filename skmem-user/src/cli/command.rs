//! A command that is run and whose sockets are watched: `-- CMD…` of `explain`
//! and `record`.

use std::{
    env,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{ExitCode, ExitStatus},
};

use anyhow::{Context as _, Result, ensure};
use skmem_common::filter::BY_PID;
use tokio::process::{Child, Command};

use crate::kernel::{rights::Rights, tracer};

mod user;

use user::User;

/// Traces what this process starts: its children are traced from their birth.
pub fn follow_children(tracing: &mut tracer::Options) {
    tracing.filter.flags |= BY_PID;
    tracing.pids.push(std::process::id());
    tracing.follow = true;
}

/// Looks whether there is such a program, before the tracer is attached for it.
///
/// # Errors
/// Where there is none.
pub fn look_up(command: &[String]) -> Result<()> {
    let [program, ..] = command else {
        return Ok(());
    };
    let path = Path::new(program);
    let found = if program.contains('/') {
        path.is_file()
    } else {
        let dirs = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&dirs).any(|dir| dir.join(path).is_file())
    };
    ensure!(found, "cannot run {program:?}: there is no such program");
    Ok(())
}

/// Starts it, under sudo as the user who called that; None where there is none. It ends with the
/// handle.
///
/// # Errors
/// Where it cannot be run.
pub fn start(command: &[String]) -> Result<Option<Child>> {
    let [program, arguments @ ..] = command else {
        return Ok(None);
    };
    let mut command = Command::new(program);
    command.args(arguments).kill_on_drop(true);
    if let Some(user) = User::who_called_sudo() {
        user.becomes(&mut command);
    }
    command
        .spawn()
        .with_context(|| format!("cannot run {program:?}"))
        .map(Some)
}

/// What ending it needs.
#[must_use]
pub fn rights(command: &[String]) -> Rights {
    match !command.is_empty() && User::who_called_sudo().is_some() {
        true => Rights::KILL,
        false => Rights::empty(),
    }
}

/// Waits for its end; for ever where there is none.
///
/// # Errors
/// Where it cannot be waited for.
pub async fn ended(child: Option<&mut Child>) -> std::io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}

/// Its exit status, as a shell would give it.
#[must_use]
pub fn code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|s| 128 + s))
        .unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
