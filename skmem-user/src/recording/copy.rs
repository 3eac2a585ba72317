//! A recording, or a part of one, as a recording.

use std::io::{self, Read, Write};

use super::{Item, Recording, Role, Writer, storage::Plain};

/// Writes what is read: blocks in the order of the whole, then its end where it has one.
///
/// # Errors
/// Where `out` cannot be written.
pub fn copy<R: Read>(mut recording: Recording<R>, out: impl Write) -> io::Result<()> {
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
    writer.get_mut().flush()
}
