//! The files of a recording: `run.skm`, and where there are more of them
//! `run.2.skm`, `run.3.skm` and so on.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// Where a recording goes.
#[derive(Debug, Clone)]
pub struct Parts {
    first: PathBuf,
}

impl Parts {
    /// A recording that starts with the file `first`.
    #[must_use]
    pub fn new(first: &Path) -> Self {
        Self {
            first: first.to_path_buf(),
        }
    }

    /// The name of part `n`, from 1.
    #[must_use]
    pub fn path(&self, n: u32) -> PathBuf {
        if n <= 1 {
            return self.first.clone();
        }
        let mut name = OsString::from(self.first.file_stem().unwrap_or_default());
        name.push(format!(".{n}"));
        if let Some(extension) = self.first.extension() {
            name.push(".");
            name.push(extension);
        }
        self.first.with_file_name(name)
    }

    /// The parts that are there already.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn existing(&self) -> io::Result<Vec<PathBuf>> {
        let directory = match self.first.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name();
            let path = self.first.with_file_name(&name);
            if path == self.first || self.number(&name).is_some() {
                found.push(path);
            }
        }
        Ok(found)
    }

    /// Which later part a file of this name is.
    fn number(&self, name: &OsString) -> Option<u32> {
        let middle = Path::new(name.to_str()?);
        let n = match self.first.extension() {
            Some(extension) if middle.extension() == Some(extension) => {
                Path::new(middle.file_stem()?)
                    .extension()?
                    .to_str()?
                    .parse()
            }
            Some(_) => return None,
            None => middle.extension()?.to_str()?.parse(),
        };
        n.ok()
            .filter(|n| self.path(*n).file_name() == Some(name.as_os_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let name = |first: &str, n| Parts::new(Path::new(first)).path(n);
        assert_eq!(name("a/run.skm", 1), Path::new("a/run.skm"));
        assert_eq!(name("a/run.skm", 2), Path::new("a/run.2.skm"));
        assert_eq!(name("run", 12), Path::new("run.12"));
        let parts = Parts::new(Path::new("a/run.skm"));
        let number = |name: &str| parts.number(&OsString::from(name));
        assert_eq!(number("run.12.skm"), Some(12));
        for other in ["run.skm", "run.x.skm", "run.02.skm", "sun.2.skm", "run.2"] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
