//! A part of a recording as a recording.

use std::io::Write;

use anyhow::Result;

use crate::{
    cli::chosen::Chosen,
    recording::{Item, Role, Writer, storage::Plain},
};

/// Writes what `part` is of: blocks in the order of the whole, then its end where it has one.
pub(super) fn write(part: &Chosen, out: impl Write) -> Result<()> {
    let mut recording = part.open()?;
    let mut writer = Writer::new(Plain(out), recording.meta())?;
    // Those of an end that is earlier lie in the end alone.
    let mut open = Vec::new();
    while let Some(item) = recording.next_item() {
        match item {
            Item::Record(record) => writer.record(&record)?,
            Item::Accounts(accounts) if accounts.role == Role::Final => {
                open.extend(accounts.accounts);
            }
            Item::Accounts(accounts) => {
                writer.accounts(accounts.role, accounts.now_ns, &accounts.accounts)?;
            }
        }
    }
    match recording.end() {
        Some(end) if recording.ends_early() => writer.end(&end.open, &end.totals)?,
        Some(end) => writer.end(&open, &end.totals)?,
        None => writer.flush()?,
    }
    Ok(writer.get_mut().flush()?)
}
