//! What changed between two looks, for `--watch`.

use std::collections::HashMap;

use super::{group::Group, row::Row};

/// The snapshot before.
#[derive(Debug, Default)]
pub struct Previous {
    sockets: Option<HashMap<u64, i64>>,
    groups: HashMap<String, i64>,
}

/// Sockets that came and went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turnover {
    /// New ones.
    pub come: u64,
    /// Those that are gone.
    pub gone: u64,
    /// What the latter were charged with, bytes.
    pub gone_bytes: i64,
}

impl Previous {
    /// Notes each row's change since the last look, and keeps this one. `None` at the first.
    pub fn rows(&mut self, rows: &mut [Row]) -> Option<Turnover> {
        let mut now = HashMap::with_capacity(rows.len());
        let mut turnover = Turnover::default();
        for row in rows {
            now.insert(row.cookie, row.charged);
            if let Some(last) = &mut self.sockets {
                row.change = last.remove(&row.cookie).map(|before| row.charged - before);
                turnover.come += u64::from(row.change.is_none());
            }
        }
        let gone = self.sockets.replace(now)?;
        turnover.gone = gone.len() as u64;
        turnover.gone_bytes = gone.values().sum();
        Some(turnover)
    }

    /// The same of groups.
    pub fn groups(&mut self, groups: &mut [Group]) {
        let first = self.groups.is_empty();
        let mut now = HashMap::with_capacity(groups.len());
        for group in groups {
            now.insert(group.key.clone(), group.charged);
            let before = self.groups.get(&group.key).copied().unwrap_or(0);
            group.change = (!first).then(|| group.charged - before);
        }
        self.groups = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diag::TcpState,
        testing::rows::{mem, socket},
    };

    #[test]
    fn sockets_come_change_and_go() {
        let row = |cookie, w| {
            let mut one = socket(TcpState::Established, mem(w, 0, 0, 1));
            one.cookie = cookie;
            Row::new(&one, 1)
        };
        let mut last = Previous::default();
        assert_eq!(last.rows(&mut [row(1, 10), row(2, 20)]), None);
        let mut rows = [row(2, 15), row(3, 1)];
        let turnover = last.rows(&mut rows).unwrap();
        assert_eq!((rows[0].change, rows[1].change), (Some(-5), None));
        assert_eq!(
            (turnover.come, turnover.gone, turnover.gone_bytes),
            (1, 1, 10)
        );
    }

    #[test]
    fn a_new_group_changed_by_all_it_has() {
        let group = |key: &str, charged| Group {
            key: key.into(),
            charged,
            ..Group::default()
        };
        let mut last = Previous::default();
        let mut first = [group("a", 5)];
        last.groups(&mut first);
        assert_eq!(first[0].change, None);
        let mut second = [group("a", 3), group("b", 9)];
        last.groups(&mut second);
        assert_eq!((second[0].change, second[1].change), (Some(-2), Some(9)));
    }
}
