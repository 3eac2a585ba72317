//! Both tables as files, in directories where that is asked for.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{By, Export, Format, Options};
use crate::{
    cli::output::{Access, Output, Target},
    render::export::{
        Table, Value,
        columnar::{Columnar, Form},
        events::EVENTS,
        sockets::SOCKETS,
        table,
    },
};

/// Writes both tables.
pub fn write(export: &Export, options: &Options) -> Result<()> {
    let root = options.output.as_deref().context("no directory")?;
    let tree = Tree::new(export, options, root);
    let mut events = Files::new(&tree, &EVENTS);
    let verdicts = export.events(|told| events.row(&told.values(&export.origin)))?;
    let mut sockets = Files::new(&tree, &SOCKETS);
    for (verdict, cgroup) in verdicts.list()? {
        sockets.row(&export.socket_row(&verdict, cgroup))?;
    }
    let whole = [events.finish()?, sockets.finish()?];
    whole.into_iter().flatten().try_for_each(Output::keep)
}

/// Where files go.
struct Tree {
    root: PathBuf,
    force: bool,
    by: Vec<By>,
    left_out: Vec<&'static str>,
    form: Form,
    extension: &'static str,
    /// Name of a file in a directory that others write to as well.
    name: String,
    host: String,
    /// Day of a table without rows.
    day: i32,
}

impl Tree {
    fn new(export: &Export, options: &Options, root: &Path) -> Self {
        let mut by = options.partition.clone();
        by.sort_unstable();
        by.dedup();
        let (form, extension) = match options.format {
            Format::Arrow => (Form::Arrow, "arrow"),
            _ => (Form::Parquet, "parquet"),
        };
        Self {
            root: root.to_path_buf(),
            force: options.force,
            // The path tells them; in the file they would be there twice.
            left_out: by.iter().map(|by| by.column()).collect(),
            by,
            form,
            extension,
            name: escaped(&export.origin.recording),
            host: escaped(&export.origin.host),
            day: export.origin.day(export.recorded.span().0),
        }
    }

    /// The file for rows of this day.
    fn path(&self, table: &Table, day: i32) -> PathBuf {
        if self.by.is_empty() {
            return self.root.join(format!("{}.{}", table.name, self.extension));
        }
        let mut path = self.root.join(table.name);
        for by in &self.by {
            path.push(match by {
                By::Host => format!("host={}", self.host),
                By::Date => format!("date={}", table::date(day)),
            });
        }
        path.join(format!("{}.{}", self.name, self.extension))
    }
}

impl By {
    const fn column(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Date => "date",
        }
    }
}

/// The files of one table, by day.
struct Files<'a> {
    tree: &'a Tree,
    table: &'a Table,
    date: usize,
    open: BTreeMap<i32, One>,
}

struct One {
    columnar: Columnar<Box<dyn Write + Send>>,
    output: Output,
}

impl<'a> Files<'a> {
    fn new(tree: &'a Tree, table: &'a Table) -> Self {
        let date = table.columns.iter().position(|c| c.name == "date");
        Self {
            tree,
            table,
            date: date.unwrap_or(usize::MAX),
            open: BTreeMap::new(),
        }
    }

    fn row(&mut self, values: &[Value]) -> Result<()> {
        let day = match values.get(self.date) {
            Some(Value::Date(day)) if self.tree.by.contains(&By::Date) => *day,
            _ => self.tree.day,
        };
        let file = self.file(day)?;
        let written = file.columnar.row(values).map_err(Into::into);
        file.output.named(written)
    }

    fn file(&mut self, day: i32) -> Result<&mut One> {
        use std::collections::btree_map::Entry;
        Ok(match self.open.entry(day) {
            Entry::Occupied(file) => file.into_mut(),
            Entry::Vacant(place) => {
                let path = self.tree.path(self.table, day);
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent)
                        .with_context(|| format!("cannot make {}", parent.display()))?;
                }
                let output = Output::new(Target::new(&path, self.tree.force)?, Access::Owner)?;
                let columnar = Columnar::new(
                    self.table,
                    &self.tree.left_out,
                    self.tree.form,
                    output.writer()?,
                );
                let columnar = output.named(columnar.map_err(Into::into))?;
                place.insert(One { columnar, output })
            }
        })
    }

    /// All of its files, written; a table without rows is one, too.
    fn finish(mut self) -> Result<Vec<Output>> {
        if self.open.is_empty() {
            self.file(self.tree.day)?;
        }
        let all = self.open.into_values().map(|one| {
            let finished = one.columnar.finish().map_err(Into::into);
            one.output.named(finished)?;
            Ok(one.output)
        });
        all.collect()
    }
}

/// A name that is safe in a path, as Hive has it: everything but letters,
/// digits and `._-` as %XX.
fn escaped(name: &str) -> String {
    let mut safe = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => safe.push(byte.into()),
            // Not at the start: ".." is a directory, and ".x" is hidden.
            b'.' if !safe.is_empty() => safe.push('.'),
            _ => safe.push_str(&format!("%{byte:02X}")),
        }
    }
    if safe.is_empty() {
        // As Hive calls what has no name.
        safe.push_str("__HIVE_DEFAULT_PARTITION__");
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn no_host_leaves_its_directory() {
        assert_eq!(escaped("db-1.example"), "db-1.example");
        assert_eq!(escaped("../../x y"), "%2E.%2F..%2Fx%20y");
        assert_eq!(escaped("größe"), "gr%C3%B6%C3%9Fe");
        assert_eq!(escaped(""), "__HIVE_DEFAULT_PARTITION__");
    }
}
