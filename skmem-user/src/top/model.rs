//! Looks and keys in, rows out: all that a frame is drawn from.

use std::{collections::BTreeSet, time::Duration};

use super::{
    columns::Column,
    history::Histories,
    line::{self, Key, Line, RowsBy},
    sample::{Booked, Causes, MachineSample},
};
use crate::{
    decode::Finding,
    explain::{Verdict, state_name},
    render::snapshot::Show,
    snapshot::{Row, group::KeyNames},
};

/// What is shown, and how.
#[derive(Debug)]
pub struct Model {
    /// What a row stands for.
    pub by: RowsBy,
    /// What rows are sorted by.
    pub sort: Column,
    /// Smallest first.
    pub reverse: bool,
    /// The columns chosen.
    pub columns: BTreeSet<Column>,
    /// Time from one look to the next.
    pub interval: Duration,
    /// No look is taken.
    pub paused: bool,
    /// Words of which each must be found in a row's names.
    pub filter: String,
    /// What is being typed as a filter.
    pub typing: Option<String>,
    /// Only the rows of this group.
    pub within: Option<(RowsBy, String)>,
    /// Something to say, until the next key.
    pub message: Option<Message>,
    /// The names of pods; they are read where samples are taken.
    pub known: KeyNames,
    /// How much of the past is kept for an export; None: nothing is.
    pub flight: Option<Duration>,
    /// What is on the screen.
    pub page: Page,
    /// Which row is chosen; None: the first.
    pub(super) selected: Option<Key>,
    /// Rows above the screen.
    pub(super) offset: usize,
    /// Rows that the screen has room for.
    pub(super) room: usize,
    pub(super) sample: Option<MachineSample>,
    pub(super) lines: Vec<Line>,
    pub(super) histories: Histories,
}

/// What is said below the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// A sentence or two.
    pub text: String,
    /// Something did not work.
    pub alarm: bool,
}

/// What is on the screen.
#[derive(Debug)]
pub enum Page {
    /// The rows.
    Table,
    /// What the keys do.
    Help,
    /// Which columns; the one that is chosen.
    Columns(usize),
    /// One socket.
    Socket(Box<Opened>),
}

/// The socket that is open.
#[derive(Debug)]
pub struct Opened {
    /// `SO_COOKIE`
    pub cookie: u64,
    /// As it was last seen.
    pub row: Row,
    /// It is not there any more.
    pub gone: bool,
    /// What its account says.
    pub verdict: Option<Box<Verdict>>,
    /// Lines above the screen.
    pub scroll: usize,
}

impl Model {
    /// Nothing was looked at yet.
    #[must_use]
    pub fn new(by: RowsBy, sort: Column, interval: Duration) -> Self {
        let chosen = Column::ALL.into_iter().filter(|c| c.by_default());
        Self {
            by,
            sort,
            reverse: false,
            columns: chosen.collect(),
            interval,
            paused: false,
            filter: String::new(),
            typing: None,
            within: None,
            message: None,
            known: KeyNames::default(),
            flight: None,
            page: Page::Table,
            selected: None,
            offset: 0,
            room: 1,
            sample: None,
            lines: Vec::new(),
            histories: Histories::default(),
        }
    }

    /// Takes in a sample.
    pub fn take(&mut self, sample: MachineSample) {
        let open = self.opened().map(|opened| opened.cookie);
        self.histories.take(&sample, open);
        if let Page::Socket(opened) = &mut self.page {
            let found = sample
                .captured
                .rows
                .iter()
                .find(|r| r.cookie == opened.cookie);
            opened.gone = found.is_none();
            if let Some(row) = found {
                opened.row = row.clone();
            }
        }
        self.sample = Some(sample);
        self.arrange();
    }

    /// The socket that is open.
    #[must_use]
    pub fn opened(&self) -> Option<&Opened> {
        match &self.page {
            Page::Socket(opened) => Some(opened),
            _ => None,
        }
    }

    /// What the account of the open socket says now.
    pub fn tell(&mut self, verdict: Verdict) {
        if let Page::Socket(opened) = &mut self.page {
            opened.verdict = Some(Box::new(verdict));
        }
    }

    /// The last sample.
    #[must_use]
    pub fn sample(&self) -> Option<&MachineSample> {
        self.sample.as_ref()
    }

    /// The rows, in order.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// What the programs booked of a socket.
    pub(super) fn booked(&self, cookie: u64) -> Option<&Booked> {
        match &self.sample.as_ref()?.causes {
            Causes::Kept(books) => books.sockets.get(&cookie),
            Causes::Unknown(_) => None,
        }
    }

    /// Whether there are causes.
    #[must_use]
    pub fn has_causes(&self) -> bool {
        let causes = self.sample.as_ref().map(|sample| &sample.causes);
        matches!(causes, Some(Causes::Kept(_)))
    }

    /// How the parts of a snapshot are shown that stand in frames.
    pub(super) fn show(&self) -> Option<Show<'_>> {
        let captured = &self.sample.as_ref()?.captured;
        Some(Show {
            most: 1,
            windows: false,
            exact: false,
            explain: true,
            words: None,
            rest: "",
            changes: false,
            namespaces: None,
            limits: &captured.limits,
            tcp_mem: captured.account.tcp_mem,
        })
    }

    /// What stands out in a row.
    pub(super) fn findings(&self, row: &Row) -> Vec<Finding> {
        self.show().map_or_else(Vec::new, |show| show.findings(row))
    }

    /// Filters, groups and sorts anew.
    pub(super) fn arrange(&mut self) {
        let Some(sample) = &self.sample else { return };
        let rows = &sample.captured.rows;
        let names = &sample.captured.namespaces;
        let typed = self.typing.as_deref().unwrap_or(&self.filter);
        let words: Vec<String> = typed.split_whitespace().map(str::to_lowercase).collect();
        let within = |row: &Row| {
            let group = self.within.as_ref();
            group.is_none_or(|(by, key)| by.key(row, names, &self.known) == *key)
        };
        let wanted = |row: &Row| {
            if words.is_empty() {
                return true;
            }
            let text = names_of(row).to_lowercase();
            words.iter().all(|word| text.contains(word))
        };
        let lines: Vec<Line> = (0..rows.len())
            .filter(|at| within(&rows[*at]) && wanted(&rows[*at]))
            .map(|at| Line::of(sample, at, &self.histories))
            .collect();
        let mut lines = match self.by {
            RowsBy::Socket => lines,
            by => line::grouped(lines, by, sample, &self.known),
        };
        line::sort(&mut lines, self.sort, self.reverse);
        self.lines = lines;
    }

    /// The place of the row that is chosen.
    #[must_use]
    pub fn at(&self) -> usize {
        let chosen = self.selected.as_ref();
        let at = chosen.and_then(|key| self.lines.iter().position(|line| line.key == *key));
        at.unwrap_or(0)
    }

    /// Chooses the row at a place, or the one nearest to it. Row 0 chooses none: the screen then
    /// stays at the first row.
    pub(super) fn choose(&mut self, at: usize) {
        let at = at.min(self.lines.len().saturating_sub(1));
        self.selected = match at {
            0 => None,
            at => self.lines.get(at).map(|line| line.key.clone()),
        };
    }

    /// The rows that are on a screen with room for `room` of them, with the place of the first.
    pub(super) fn visible(&mut self, room: usize) -> std::ops::Range<usize> {
        let at = self.at();
        self.room = room.max(1);
        let last = self.lines.len().saturating_sub(room);
        let offset = self.offset.min(last).min(at);
        self.offset = offset.max((at + 1).saturating_sub(room));
        self.offset..(self.offset + room).min(self.lines.len())
    }

    /// Opens the row that is chosen: a socket, or the sockets of a group.
    pub(super) fn open(&mut self) {
        let Some(line) = self.lines.get(self.at()) else {
            return;
        };
        match &line.key {
            Key::Socket(cookie) => {
                let row = self
                    .sample
                    .as_ref()
                    .map(|sample| &sample.captured.rows[line.first]);
                if let Some(row) = row {
                    self.page = Page::Socket(Box::new(Opened {
                        cookie: *cookie,
                        row: row.clone(),
                        gone: false,
                        verdict: None,
                        scroll: 0,
                    }));
                }
            }
            Key::Group(key) => {
                self.within = Some((self.by, key.clone()));
                self.by = RowsBy::Socket;
                self.begin_again();
            }
        }
    }

    /// Other rows, from the first one on.
    pub(super) fn begin_again(&mut self) {
        self.selected = None;
        self.offset = 0;
        if self.sort == Column::Sockets && self.by == RowsBy::Socket {
            self.sort = Column::W;
        }
        self.arrange();
    }
}

/// What filters look into.
fn names_of(row: &Row) -> String {
    let mut text = ends(row);
    for holder in &row.holders {
        text.push_str(&format!(" {} {}", holder.comm, holder.pid));
    }
    text.push(' ');
    text.push_str(state_name(state(row)));
    if let Some(cgroup) = &row.cgroup {
        text.push(' ');
        text.push_str(cgroup);
    }
    text
}

/// `10.0.0.1:4000>10.0.0.2:5001`, as `--socket` takes it.
pub(super) fn ends(row: &Row) -> String {
    let end = |ip, port| std::net::SocketAddr::new(ip, port).to_string();
    format!("{}>{}", end(row.src, row.sport), remote(row))
}

/// The remote end; `*` of a socket that listens.
pub(super) fn remote(row: &Row) -> String {
    match row.dport {
        0 => "*".to_owned(),
        port => std::net::SocketAddr::new(row.dst, port).to_string(),
    }
}

/// The state by the kernel's number (`tcp_states.h`).
pub(super) fn state(row: &Row) -> u8 {
    use crate::diag::TcpState as S;
    match row.state {
        S::Established => 1,
        S::SynSent => 2,
        S::SynRecv => 3,
        S::FinWait1 => 4,
        S::FinWait2 => 5,
        S::TimeWait => 6,
        S::Close => 7,
        S::CloseWait => 8,
        S::LastAck => 9,
        S::Listen => 10,
        S::Closing => 11,
        S::Other => 0,
    }
}
