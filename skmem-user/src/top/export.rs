//! The key `e`: which sockets it is about; why nothing is exported, and what to run instead.

use super::{
    line::RowsBy,
    model::{Model, Page},
    sample::Causes,
};
use crate::{model::whose::Whose, render::sanitized, snapshot::Row};

/// The sockets of the row that is chosen, or the one that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// `this socket`, `this process`, …
    pub what: &'static str,
    /// `SO_COOKIE` of each.
    pub cookies: Vec<u64>,
    /// The options of skmem that choose the same ones, with their values; none where there are no
    /// such options.
    pub options: Vec<(String, String)>,
}

impl Model {
    /// What is chosen; None: there is no row.
    #[must_use]
    pub fn chosen(&self) -> Option<Chosen> {
        if let Page::Socket(opened) = &self.page {
            return Some(Chosen {
                what: name(RowsBy::Socket),
                cookies: vec![opened.cookie],
                options: options(RowsBy::Socket, &opened.row),
            });
        }
        let line = self.lines.get(self.at())?;
        let rows = &self.sample.as_ref()?.captured.rows;
        let all = std::iter::once(&line.first).chain(&line.others);
        Some(Chosen {
            what: name(self.by),
            cookies: all.map(|at| rows[*at].cookie).collect(),
            options: options(self.by, rows.get(line.first)?),
        })
    }

    /// Why nothing can be exported, and what to run instead; None: it can.
    pub(super) fn why_not_exported(&self) -> Option<String> {
        let Some(chosen) = self.chosen() else {
            return Some("Nothing is exported: there is no row.".to_owned());
        };
        if self.flight.is_some() {
            return None;
        }
        let mut run = "skmem top --flight 5m".to_owned();
        for (option, value) in &chosen.options {
            run.push_str(&format!(" --{option} {}", quoted(value)));
        }
        let causes = self.sample.as_ref().map(|sample| &sample.causes);
        Some(match causes {
            Some(Causes::Unknown(_)) => format!(
                "Nothing is exported: calls are recorded as root only. sudo {run} keeps those of the next minutes for e."
            ),
            _ => format!(
                "Nothing is exported: top was started without --flight. {run} keeps the calls of the next minutes for e."
            ),
        })
    }
}

fn name(by: RowsBy) -> &'static str {
    match by {
        RowsBy::Socket => "this socket",
        RowsBy::Process => "this process",
        RowsBy::Unit => "this container or unit",
        RowsBy::Container => "this container",
        RowsBy::Pod => "this pod",
        RowsBy::Netns => "this network namespace",
        RowsBy::Remote => "this remote address",
    }
}

/// The options that choose the same sockets; none where there is no such option.
fn options(by: RowsBy, row: &Row) -> Vec<(String, String)> {
    let option = |name: &str, value: String| (name.to_owned(), value);
    match by {
        RowsBy::Socket if row.listens() => vec![option("sport", row.sport.to_string())],
        RowsBy::Socket => vec![
            option("sport", row.sport.to_string()),
            option("dst", row.dst.to_string()),
            option("dport", row.dport.to_string()),
        ],
        RowsBy::Process => {
            let first = row.holders.first();
            let pid = first.map(|holder| option("pid", holder.pid.to_string()));
            pid.into_iter().collect()
        }
        RowsBy::Unit | RowsBy::Container | RowsBy::Pod => {
            let path = row.cgroup.as_deref().and_then(|path| match by {
                RowsBy::Unit => Some(path),
                RowsBy::Container => Whose::of(path).container.map(|_| path),
                _ => Whose::pod_path(path),
            });
            path.map(|path| option("cgroup", path.to_owned()))
                .into_iter()
                .collect()
        }
        RowsBy::Netns => vec![option("netns", row.netns.to_string())],
        RowsBy::Remote => vec![option("dst", row.dst.to_string())],
    }
}

/// As one word of a shell.
fn quoted(word: &str) -> String {
    let word = sanitized(word);
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-@:".contains(c);
    match word.chars().all(plain) {
        true => word,
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
