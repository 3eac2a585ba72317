//! What the key `e` says: the command that records what is chosen.

use super::{
    line::By,
    model::{Model, Page},
};
use crate::{render::tamed, snapshot::Row};

impl Model {
    /// Why nothing is exported, and what to run instead, for the socket or the group chosen.
    pub(super) fn how_to_export(&self) -> String {
        let chosen = self.chosen();
        let (what, options) = match chosen.map(|(by, row)| (name(by), options(by, row))) {
            Some((what, options)) if !options.is_empty() => (what, format!(" {options}")),
            _ => ("all sockets", String::new()),
        };
        format!(
            "Nothing is exported: top keeps accounts, and no record of each call. To keep the last five minutes of \
             {what} from now on, run in another terminal: skmem record --flight 5m -o run.skm{options}. It writes them \
             into run.skm when it gets SIGUSR1; then: skmem report run.skm."
        )
    }

    /// The row that is chosen, or open, and what it stands for.
    fn chosen(&self) -> Option<(By, &Row)> {
        if let Page::Socket(opened) = &self.page {
            return Some((By::Socket, &opened.row));
        }
        let line = self.lines.get(self.at())?;
        let row = self.look.as_ref()?.captured.rows.get(line.first)?;
        Some((self.by, row))
    }
}

fn name(by: By) -> &'static str {
    match by {
        By::Socket => "this socket",
        By::Process => "this process",
        By::Unit => "this container or unit",
        By::Netns => "this network namespace",
        By::Remote => "this remote address",
    }
}

/// The options that choose the same sockets; none where there is no such option.
fn options(by: By, row: &Row) -> String {
    match by {
        By::Socket if row.listens() => format!("--sport {}", row.sport),
        By::Socket => format!(
            "--sport {} --dst {} --dport {}",
            row.sport, row.dst, row.dport
        ),
        By::Process => {
            let first = row.holders.first();
            first.map_or_else(String::new, |holder| format!("--pid {}", holder.pid))
        }
        By::Unit => {
            let path = row.cgroup.as_deref();
            path.map_or_else(String::new, |path| format!("--cgroup {}", quoted(path)))
        }
        By::Netns => format!("--netns {}", row.netns),
        By::Remote => format!("--dst {}", row.dst),
    }
}

/// As one word of a shell.
fn quoted(word: &str) -> String {
    let word = tamed(word);
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-@:".contains(c);
    match word.chars().all(plain) {
        true => word,
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
