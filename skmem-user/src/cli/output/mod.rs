//! Where a command writes what it was asked for: stdout, a device or pipe, or a regular file. One
//! rule for all commands:
//!
//! * `-`, and any name of what stdout is, is stdout.
//! * What is not a regular file (a device, a FIFO) is written to, never replaced.
//! * Symlinks are followed: the file that one points to is written, and the link stays.
//! * A regular file that is there is refused, unless `--force` was given.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

mod whole;

pub(crate) use whole::{Access, Output, begun};

/// Links that are followed at most, as the kernel does (`MAXSYMLINKS`).
const LINKS: usize = 40;

/// Where to write.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    named: PathBuf,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Stdout,
    /// A device, a FIFO, or an open descriptor under `/proc`: written to as it is.
    Stream,
    /// A regular file: its path, links followed, and whether it is there.
    File {
        path: PathBuf,
        there: bool,
    },
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Stdout => f.write_str("stdout"),
            _ => self.named.display().fmt(f),
        }
    }
}

impl Target {
    /// Looks what `path` is. A file that is there is refused unless `force`.
    ///
    /// # Errors
    /// What is wrong with it, with its name.
    pub(crate) fn new(path: &Path, force: bool) -> Result<Self> {
        let place = place(path).with_context(|| format!("cannot write {}", path.display()))?;
        let target = Self {
            named: path.to_path_buf(),
            place,
        };
        if !force && matches!(target.place, Place::File { there: true, .. }) {
            return Err(there(path));
        }
        Ok(target)
    }

    pub(crate) fn stdout() -> Self {
        Self {
            named: PathBuf::from("-"),
            place: Place::Stdout,
        }
    }

    /// The file's path, links followed; `None` for what is not a regular file.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::File { path, .. } => Some(path),
            _ => None,
        }
    }

    pub(crate) fn is_stdout(&self) -> bool {
        self.place == Place::Stdout
    }

    /// Opens what is not a regular file. A FIFO waits for its reader.
    ///
    /// # Errors
    /// Where the kernel refuses; for a regular file.
    pub(crate) fn stream(&self) -> io::Result<File> {
        match &self.place {
            Place::Stdout => Ok(rustix::stdio::stdout().try_clone_to_owned()?.into()),
            // A descriptor's file may be a regular one: what is in it stays.
            Place::Stream => OpenOptions::new().append(true).open(&self.named),
            Place::File { .. } => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// What went wrong while it was written, in one line that names it. Only of stdout, the error
    /// is one of a pipe whose reader has gone away: `| head` ends a command quietly.
    pub(crate) fn failed(&self, error: io::Error) -> anyhow::Error {
        let text = format!("cannot write {self}");
        if error.kind() == io::ErrorKind::BrokenPipe && !self.is_stdout() {
            return anyhow::anyhow!("{text}: its reader has gone away");
        }
        anyhow::Error::new(error).context(text)
    }
}

/// The refusal of a file that is there.
pub(crate) fn there(path: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "{} is there already: give another name, or --force to replace it",
        path.display()
    )
}

fn place(path: &Path) -> Result<Place> {
    if path == Path::new("-") {
        return Ok(Place::Stdout);
    }
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let path = followed(path)?;
            if path.file_name().is_none() {
                bail!("it is not the name of a file");
            }
            if !directory(&path).is_dir() {
                bail!("there is no directory {}", directory(&path).display());
            }
            return Ok(Place::File { path, there: false });
        }
        Err(e) => return Err(e.into()),
    };
    let kind = meta.file_type();
    if kind.is_dir() {
        bail!("it is a directory");
    }
    if let Ok(out) = rustix::fs::fstat(rustix::stdio::stdout())
        && (out.st_dev, out.st_ino) == (meta.dev(), meta.ino())
    {
        return Ok(Place::Stdout);
    }
    if kind.is_socket() {
        bail!("it is a socket");
    }
    let path = followed(path)?;
    Ok(if kind.is_file() && !is_descriptor(&path) {
        Place::File { path, there: true }
    } else {
        Place::Stream
    })
}

/// Where the links of a name lead to, up to a link of `/proc` that stands for an open file.
fn followed(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS {
        if is_descriptor(&path) || !path.is_symlink() {
            return Ok(path);
        }
        let to = fs::read_link(&path)?;
        // Absolute ones replace it.
        path = directory(&path).join(to);
    }
    bail!("too many symbolic links")
}

/// Whether it is an open descriptor's name, such as `/proc/self/fd/3`.
fn is_descriptor(path: &Path) -> bool {
    let real = directory(path).canonicalize().unwrap_or_default();
    real.starts_with("/proc") && real.ends_with("fd")
}

/// The directory that a file lies in.
pub(crate) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests;
