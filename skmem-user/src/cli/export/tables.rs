//! The tables as files, in directories where that is asked for.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{Export, Format, Options, PartitionBy, walk::Exported};
use crate::{
    cli::output::{Access, Output, Target},
    render::export::{
        Table,
        columnar::{Batch, Columnar, Form},
        events::EVENTS,
        receives::RECEIVES,
        sockets::SOCKETS,
        table,
    },
};

/// Writes all tables.
pub fn write(export: &Export, options: &Options) -> Result<()> {
    let root = options.output.as_deref().context("no directory")?;
    let tree = Tree::new(export, options, root);
    let mut events = Files::new(&tree, &EVENTS);
    let mut receives = Files::new(&tree, &RECEIVES);
    let verdicts = export.records(|exported| match exported {
        Exported::Event(row, wait) => {
            let day = export.origin.day(row.record.time_ns);
            events.row(day, |cells| row.put(&export.origin, *wait, cells))
        }
        Exported::Receive(row) => {
            let day = export.origin.day(row.record.time_ns);
            receives.row(day, |cells| row.put(&export.origin, cells))
        }
    })?;
    let mut sockets = Files::new(&tree, &SOCKETS);
    for (verdict, cgroup) in verdicts.list()? {
        let row = export.socket_row(&verdict, cgroup);
        let day = export.origin.day(row.began_ns);
        sockets.row(day, |cells| row.put(&export.origin, cells))?;
    }
    let whole = [events.finish()?, receives.finish()?, sockets.finish()?];
    whole.into_iter().flatten().try_for_each(Output::keep)
}

/// Where files go.
struct Tree {
    root: PathBuf,
    force: bool,
    by: Vec<PartitionBy>,
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
        let compressed = !options.uncompressed;
        let (form, extension) = match options.format {
            Format::Arrow => (Form::Arrow { compressed }, "arrow"),
            Format::ArrowStream => (Form::ArrowStream { compressed }, "arrows"),
            _ => (Form::Parquet, "parquet"),
        };
        Self {
            root: root.to_path_buf(),
            force: options.force,
            by,
            form,
            extension,
            name: plain(&export.origin.recording),
            host: plain(&export.origin.host),
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
                // Never taken for a number or a date: Spark reads 1e9 as one.
                PartitionBy::Host => format!("by_host=h-{}", self.host),
                PartitionBy::Date => format!("by_date={}", table::date(day)),
            });
        }
        path.join(format!("{}.{}", self.name, self.extension))
    }
}

/// The files of one table, by day.
struct Files<'a> {
    tree: &'a Tree,
    table: &'a Table,
    open: BTreeMap<i32, OpenFile>,
}

struct OpenFile {
    columnar: Columnar<Box<dyn Write + Send>>,
    output: Output,
}

impl<'a> Files<'a> {
    fn new(tree: &'a Tree, table: &'a Table) -> Self {
        Self {
            tree,
            table,
            open: BTreeMap::new(),
        }
    }

    fn row(&mut self, day: i32, put: impl FnOnce(&mut Batch)) -> Result<()> {
        let day = match self.tree.by.contains(&PartitionBy::Date) {
            true => day,
            false => self.tree.day,
        };
        let file = self.file(day)?;
        let written = file.columnar.row(put).map_err(Into::into);
        file.output.named(written)
    }

    fn file(&mut self, day: i32) -> Result<&mut OpenFile> {
        use std::collections::btree_map::Entry;
        Ok(match self.open.entry(day) {
            Entry::Occupied(file) => file.into_mut(),
            Entry::Vacant(place) => {
                let path = self.tree.path(self.table, day);
                if let Some(parent) = path.parent() {
                    make(parent)?;
                }
                let output = Output::new(Target::new(&path, self.tree.force)?, Access::Owner)?;
                let columnar = Columnar::new(self.table, self.tree.form, output.writer()?);
                let columnar = output.named(columnar.map_err(Into::into))?;
                place.insert(OpenFile { columnar, output })
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

/// Makes a directory, where there is none.
fn make(directory: &Path) -> Result<()> {
    // What it lies in may be a file as well.
    let file = directory
        .ancestors()
        .find(|path| path.exists() && !path.is_dir());
    if let Some(file) = file {
        bail!(
            "cannot write into {}: it is not a directory, and the tables need one",
            file.display()
        );
    }
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))
}

/// A name that is safe in a path, and that every engine reads as it stands:
/// letters, digits and `._-`. Where others had to go, a checksum of the whole
/// keeps names apart; the column `host` has the true one.
fn plain(name: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut plain: String = name
        .chars()
        .map(|c| if keep(c) { c } else { '_' })
        .collect();
    // At the start, ".." is a directory, and ".x" and "_x" are hidden.
    let first = plain.chars().next();
    if plain != name || !first.is_some_and(|c| c.is_ascii_alphanumeric()) {
        plain = format!("x{plain}-{:08x}", crc32fast::hash(name.as_bytes()));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn no_host_leaves_its_directory() {
        assert_eq!(plain("db-1.example"), "db-1.example");
        assert_eq!(plain("../../x y"), "x.._.._x_y-248aea17");
        assert_eq!(plain("größe"), "xgr__e-5bd3a989");
        assert_eq!(plain(""), "x-00000000");
        assert_ne!(plain("a b"), plain("a_b"));
    }
}
