//! What each key does.

use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    columns::Column,
    line::RowsBy,
    model::{Message, Model, Page},
};

/// Least time between samples.
const LEAST: Duration = Duration::from_millis(100);
/// Most.
const MOST: Duration = Duration::from_secs(3600);

/// What the caller has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Draw.
    Draw,
    /// End.
    Quit,
    /// Stop, as Ctrl-Z does.
    Suspend,
    /// Look at once, and from now on at the new interval.
    Look,
    /// Write what is chosen into a recording: [`Model::chosen`].
    Export,
}

/// What the keys do, for the help page.
pub const HELP: [(&str, &str); 13] = [
    ("↑ ↓ PgUp PgDn Home End", "choose a row (also j k g G)"),
    ("Enter", "open it: a socket, or the sockets of a group"),
    ("Esc", "back; clears the filter"),
    ("q, Ctrl-C", "quit"),
    ("b", "rows: socket, process, unit, container, pod, …"),
    ("< >", "sort by the column to the left, to the right"),
    ("R", "smallest first"),
    ("c", "choose columns"),
    ("/", "show only rows with these words in their names"),
    ("p, Space", "pause: no look is taken; again to go on"),
    ("+ -", "look more often, less often"),
    ("e", "export the row's last minutes (--flight)"),
    ("?", "this page"),
];

impl Model {
    /// A key was pressed.
    pub fn press(&mut self, key: KeyEvent) -> Action {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Action::Quit,
            KeyCode::Char('z') if control => return Action::Suspend,
            KeyCode::Char(_) if control || key.modifiers.contains(KeyModifiers::ALT) => {
                return Action::Draw;
            }
            _ => {}
        }
        self.message = None;
        if let Some(typed) = self.typing.take() {
            self.type_filter(typed, key.code);
            return Action::Draw;
        }
        match key.code {
            KeyCode::Char('q') => return Action::Quit,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => {
                self.page = match self.page {
                    Page::Help => Page::Table,
                    _ => Page::Help,
                };
                return Action::Draw;
            }
            KeyCode::Char('p' | ' ') if !matches!(self.page, Page::Columns(_)) => {
                self.paused = !self.paused;
                return if self.paused {
                    Action::Draw
                } else {
                    Action::Look
                };
            }
            KeyCode::Char('e') => {
                let why = self.why_not_exported();
                let export = why.is_none();
                self.message = why.map(|text| Message { text, alarm: true });
                return if export { Action::Export } else { Action::Draw };
            }
            KeyCode::Char('+' | '-') => {
                let faster = key.code == KeyCode::Char('+');
                let to = if faster {
                    self.interval / 2
                } else {
                    self.interval * 2
                };
                self.interval = to.clamp(LEAST, MOST);
                return Action::Look;
            }
            _ => {}
        }
        match &mut self.page {
            Page::Table => self.in_table(key.code),
            Page::Help => {
                self.page = Page::Table;
            }
            Page::Columns(at) => {
                let last = Column::ALL.len() - 1;
                let chosen = Column::ALL[*at];
                match key.code {
                    KeyCode::Up | KeyCode::Char('k') => *at = at.saturating_sub(1),
                    KeyCode::Down | KeyCode::Char('j') => *at = (*at + 1).min(last),
                    KeyCode::Home => *at = 0,
                    KeyCode::End => *at = last,
                    KeyCode::Char(' ') => {
                        if !self.columns.remove(&chosen) {
                            self.columns.insert(chosen);
                        }
                    }
                    KeyCode::Enter | KeyCode::Esc | KeyCode::Char('c') => self.page = Page::Table,
                    _ => {}
                }
            }
            Page::Socket(opened) => match key.code {
                KeyCode::Up | KeyCode::Char('k') => opened.scroll = opened.scroll.saturating_sub(1),
                KeyCode::Down | KeyCode::Char('j') => opened.scroll += 1,
                KeyCode::PageUp => opened.scroll = opened.scroll.saturating_sub(10),
                KeyCode::PageDown => opened.scroll += 10,
                KeyCode::Home | KeyCode::Char('g') => opened.scroll = 0,
                KeyCode::Esc | KeyCode::Left | KeyCode::Backspace | KeyCode::Enter => {
                    self.page = Page::Table;
                }
                _ => {}
            },
        }
        Action::Draw
    }

    fn in_table(&mut self, key: KeyCode) {
        let at = self.at();
        match key {
            KeyCode::Up | KeyCode::Char('k') => self.choose(at.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.choose(at + 1),
            KeyCode::PageUp => self.choose(at.saturating_sub(self.room)),
            KeyCode::PageDown => self.choose(at + self.room),
            KeyCode::Home | KeyCode::Char('g') => self.choose(0),
            KeyCode::End | KeyCode::Char('G') => self.choose(usize::MAX),
            KeyCode::Enter => self.open(),
            KeyCode::Esc | KeyCode::Backspace => self.back(),
            KeyCode::Char('b') => {
                self.by = self.by.next();
                self.within = None;
                self.begin_again();
            }
            KeyCode::Char('<' | ',') => self.sort_by(-1),
            KeyCode::Char('>' | '.') => self.sort_by(1),
            KeyCode::Char('R') => {
                self.reverse = !self.reverse;
                self.arrange();
            }
            KeyCode::Char('c') => self.page = Page::Columns(0),
            KeyCode::Char('/') => self.typing = Some(self.filter.clone()),
            _ => {}
        }
    }

    /// Leaves the group, or clears the filter.
    fn back(&mut self) {
        if let Some((by, _)) = self.within.take() {
            self.by = by;
        } else {
            self.filter.clear();
        }
        self.begin_again();
    }

    /// Sorts by another column that is known here.
    fn sort_by(&mut self, step: isize) {
        let all: Vec<Column> = Column::SORTS
            .into_iter()
            .filter(|c| self.has_causes() || !c.needs_causes())
            .filter(|c| *c != Column::Sockets || self.by != RowsBy::Socket)
            .collect();
        let at = all.iter().position(|c| *c == self.sort).unwrap_or(0);
        let to = (at as isize + step).rem_euclid(all.len() as isize);
        self.sort = all[to as usize];
        self.arrange();
    }

    /// A key while a filter is typed.
    fn type_filter(&mut self, mut typed: String, key: KeyCode) {
        match key {
            KeyCode::Enter => self.filter = typed,
            KeyCode::Esc => {}
            KeyCode::Backspace => {
                typed.pop();
                self.typing = Some(typed);
            }
            KeyCode::Char(c) => {
                typed.push(c);
                self.typing = Some(typed);
            }
            _ => self.typing = Some(typed),
        }
        self.begin_again();
    }
}
