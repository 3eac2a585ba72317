//! Columns as wide as what stands in them.

/// A table that is filled row by row; numbers stand right, the last column, if it is text, left.
pub(super) struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(heads: Vec<&'static str>) -> Self {
        Self {
            heads,
            rows: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// Leaves out a column in which nothing but zeros stands.
    pub(super) fn drop_empty(&mut self, head: &str) {
        let Some(at) = self.heads.iter().position(|h| *h == head) else {
            return;
        };
        if self
            .rows
            .iter()
            .all(|row| row.get(at).is_none_or(|cell| cell == "0"))
        {
            self.remove(at);
        }
    }

    /// Leaves out columns, in the order of `least`, until the rest fits; those that it left out.
    pub(super) fn fit(&mut self, width: usize, least: &[&'static str]) -> Vec<&'static str> {
        let mut left_out = Vec::new();
        for head in least {
            let needed: usize = self.widths().iter().map(|width| width + 1).sum();
            if needed <= width + 1 {
                break;
            }
            if let Some(at) = self.heads.iter().position(|h| h == head) {
                self.remove(at);
                left_out.push(*head);
            }
        }
        left_out
    }

    fn remove(&mut self, at: usize) {
        self.heads.remove(at);
        for row in &mut self.rows {
            if at < row.len() {
                row.remove(at);
            }
        }
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.heads.iter().map(|head| head.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }

    /// The head line, and each row's line; all cells right-aligned, two spaces apart, or one where
    /// `width` columns are too few for that.
    pub(super) fn lines(&self, width: usize) -> (String, Vec<String>) {
        let widths = self.widths();
        let wide = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
        let apart = if wide > width { " " } else { "  " };
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let cells = cells
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:>width$}"));
            cells.collect::<Vec<_>>().join(apart)
        };
        let head = line(&mut self.heads.iter().copied());
        let rows = self
            .rows
            .iter()
            .map(|row| line(&mut row.iter().map(String::as_str)));
        (head, rows.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_and_empty_ones_go() {
        let mut table = Table::new(vec!["w", "o", "d"]);
        table.push(vec!["1,000".into(), "0".into(), "7".into()]);
        table.push(vec!["0".into(), "0".into(), "0".into()]);
        table.drop_empty("o");
        table.drop_empty("none");
        let (head, rows) = table.lines(8);
        assert_eq!((head.as_str(), rows[0].as_str()), ("    w  d", "1,000  7"));
        assert_eq!(table.lines(7).0, "    w d");
        assert_eq!(table.fit(7, &["d"]), Vec::<&str>::new());
        assert_eq!(table.fit(6, &["none", "d"]), ["d"]);
        assert_eq!(table.lines(6).0, "    w");
    }
}
