//! Where an export goes: stdout, or a file that is there only when it is
//! whole, and readable by its owner only.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// An output under way. Dropped before [`Output::keep`], it leaves nothing.
pub struct Output {
    /// None: stdout.
    path: Option<PathBuf>,
    kept: bool,
}

impl Output {
    /// To this file, or to stdout.
    ///
    /// # Errors
    /// Where the name is none of a file.
    pub fn new(path: Option<&Path>) -> Result<Self> {
        if let Some(path) = path {
            path.file_name()
                .with_context(|| format!("{} is no name of a file", path.display()))?;
        }
        Ok(Self {
            path: path.map(Path::to_path_buf),
            kept: false,
        })
    }

    /// What to write to.
    ///
    /// # Errors
    /// Where the file cannot be made.
    pub fn writer(&self) -> Result<Box<dyn Write + Send>> {
        Ok(match self.partial() {
            None => Box::new(BufWriter::with_capacity(1 << 16, std::io::stdout())),
            Some(partial) => Box::new(BufWriter::with_capacity(1 << 16, create(&partial)?)),
        })
    }

    /// All of it was written: it gets its name.
    ///
    /// # Errors
    /// Where it cannot have it.
    pub fn keep(mut self) -> Result<()> {
        self.kept = true;
        let (Some(path), Some(partial)) = (&self.path, self.partial()) else {
            return Ok(());
        };
        fs::rename(&partial, path).with_context(|| format!("cannot write {}", path.display()))?;
        crate::cli::tell(&format!("wrote {}", path.display()));
        Ok(())
    }

    /// The file's name until it is whole.
    fn partial(&self) -> Option<PathBuf> {
        let path = self.path.as_ref()?;
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name()?);
        name.push(format!(".{}.partial", std::process::id()));
        Some(path.with_file_name(name))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(partial) = self.partial().filter(|_| !self.kept) {
            // It may not be there yet.
            let _ = fs::remove_file(partial);
        }
    }
}

fn create(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))
}
