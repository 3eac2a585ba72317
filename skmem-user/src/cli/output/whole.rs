//! An output that is written once and is then whole: a file has its name only when all of it is
//! there. Until then it has none (`O_TMPFILE`), so that nothing stays of it, however skmem ends;
//! or, where the filesystem knows no such files, a hidden one.

use std::{
    fs::{self, File, Permissions},
    io::{self, BufWriter, Write},
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, linkat, openat},
    io::Errno,
};
use tempfile::{NamedTempFile, TempPath};

use super::{Place, Target, directory, there};

/// Bytes that are written at once.
const AT_ONCE: usize = 1 << 16;

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Its owner only: it says who talked to whom.
    Owner,
    /// Whom the umask lets.
    Umask,
}

impl Access {
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Umask => 0o666,
        }
    }
}

/// An output under way. Dropped before [`Output::keep`], it leaves nothing.
pub(crate) struct Output {
    target: Target,
    file: File,
    /// The name that a file has until it is whole, where it must have one.
    hidden: Option<TempPath>,
    access: Access,
    /// The first failure to write, which libraries tell in words of their own.
    failure: Arc<Mutex<Option<io::Error>>>,
    /// Somebody else says that it is written.
    quiet: bool,
}

impl Output {
    /// Begins.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn new(target: Target, access: Access) -> Result<Self> {
        let (file, hidden) = match &target.place {
            Place::File { path, .. } => begin(path, access),
            _ => target.stream().map(|file| (file, None)),
        }
        .map_err(|e| target.failed(e))?;
        Ok(Self {
            target,
            file,
            hidden,
            access,
            failure: Arc::default(),
            quiet: false,
        })
    }

    /// Nothing is said on stderr once it is written.
    #[must_use]
    pub(crate) fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// What to write to; it is flushed when it is dropped.
    ///
    /// # Errors
    /// Where the kernel has no more descriptors.
    pub(crate) fn writer(&self) -> Result<Box<dyn Write + Send>> {
        let file = self.file.try_clone().map_err(|e| self.target.failed(e))?;
        let failure = Arc::clone(&self.failure);
        Ok(Box::new(BufWriter::with_capacity(
            AT_ONCE,
            Watched { file, failure },
        )))
    }

    /// Writes all of it, and keeps it.
    ///
    /// # Errors
    /// What `write` says; where the file could not be written, that and its name.
    pub(crate) fn write(
        self,
        write: impl FnOnce(Box<dyn Write + Send>) -> Result<()>,
    ) -> Result<()> {
        let written = write(self.writer()?);
        self.named(written)?;
        self.keep()
    }

    /// A result in which a failure to write names the file.
    pub(crate) fn named<T>(&self, result: Result<T>) -> Result<T> {
        match self.taken() {
            Some(error) => Err(self.target.failed(error)),
            None => result,
        }
    }

    /// All of it was written: the file gets its name.
    ///
    /// # Errors
    /// Where it cannot have it.
    pub(crate) fn keep(self) -> Result<()> {
        if let Some(error) = self.taken() {
            return Err(self.target.failed(error));
        }
        let Place::File { path, there: old } = &self.target.place else {
            if !self.target.is_stdout() {
                crate::cli::tell(&format!("wrote {}", self.target));
            }
            return Ok(());
        };
        if *old {
            as_before(&self.file, path, self.access);
        }
        let named = self.file.sync_all().and_then(|()| match self.hidden {
            Some(hidden) if *old => Ok(hidden.persist(path)?),
            Some(hidden) => Ok(hidden.persist_noclobber(path)?),
            None => name(&self.file, path, *old),
        });
        match named {
            // It came meanwhile.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(there(&self.target.named)),
            Err(e) => Err(self.target.failed(e)),
            Ok(()) => {
                if !self.quiet {
                    crate::cli::tell(&format!("wrote {}", self.target));
                }
                Ok(())
            }
        }
    }

    fn taken(&self) -> Option<io::Error> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.take()
    }
}

/// A file that has no name; where that cannot be, one that has a hidden name.
fn begin(path: &Path, access: Access) -> io::Result<(File, Option<TempPath>)> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(access.mode());
    match openat(CWD, directory(path), flags, mode) {
        Ok(file) => return Ok((file.into(), None)),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {}
        Err(e) => return Err(e.into()),
    }
    let (file, hidden) = hidden(path, access)?.into_parts();
    Ok((file, Some(hidden)))
}

/// A file beside `path` that has a hidden name.
fn hidden(path: &Path, access: Access) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(&prefix(path))
        .suffix(".partial")
        .permissions(Permissions::from_mode(access.mode()))
        .tempfile_in(directory(path))
}

fn prefix(path: &Path) -> std::ffi::OsString {
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(".");
    prefix
}

/// Gives a file without a name one; `old`: in place of the file that has it.
fn name(file: &File, path: &Path, old: bool) -> io::Result<()> {
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    let link = |to: &Path| linkat(CWD, &from, CWD, to, AtFlags::SYMLINK_FOLLOW);
    if !old {
        return Ok(link(path)?);
    }
    // A link replaces nothing: over a hidden name.
    let hidden: PathBuf = tempfile::Builder::new()
        .prefix(&prefix(path))
        .suffix(".partial")
        .make_in(directory(path), |to| Ok(link(to)?))
        .and_then(|made| made.into_temp_path().keep().map_err(Into::into))?;
    fs::rename(&hidden, path).inspect_err(|_| {
        let _ = fs::remove_file(&hidden);
    })
}

/// The file that replaces another one belongs to whom that belonged. Where it may not, it is ours.
fn as_before(file: &File, path: &Path, access: Access) {
    let Ok(before) = fs::metadata(path) else {
        return;
    };
    let (uid, gid) = (Some(before.uid()), Some(before.gid()));
    let _ = std::os::unix::fs::fchown(file, uid, gid);
    if access == Access::Umask {
        let _ = file.set_permissions(Permissions::from_mode(before.mode() & 0o777));
    }
}

/// Begins a file that has its name from the start, since it is written for long: a recording. What
/// `start` writes to it is in it when it gets the name, in place of the file that has it if
/// `replace`.
///
/// # Errors
/// Where it cannot be made, or `start` fails; then there is none, and the old one stays.
pub(crate) fn begun<T>(
    path: &Path,
    replace: bool,
    start: impl FnOnce(File) -> io::Result<T>,
) -> io::Result<T> {
    let (file, hidden) = hidden(path, Access::Owner)?.into_parts();
    if replace {
        as_before(&file, path, Access::Owner);
    }
    let started = start(file)?;
    if replace {
        hidden.persist(path)?;
    } else {
        hidden.persist_noclobber(path)?;
    }
    Ok(started)
}

/// A file that keeps the first failure to write it.
struct Watched {
    file: File,
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Watched {
    fn kept<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            if error.kind() == io::ErrorKind::Interrupted {
                return;
            }
            let same = match error.raw_os_error() {
                Some(number) => io::Error::from_raw_os_error(number),
                None => error.kind().into(),
            };
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert(same);
        })
    }
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.file.write(bytes);
        self.kept(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
