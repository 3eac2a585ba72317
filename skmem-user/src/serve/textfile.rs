//! Metrics into a file for node_exporter's textfile collector, which reads it at any moment: the
//! file is replaced as a whole.

use std::{
    fs::Permissions,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use tempfile::Builder;

/// Who may read it: node_exporter runs as another user. The labels name no addresses.
const MODE: u32 = 0o644;

/// Replaces the file.
///
/// # Errors
/// Where it cannot be written; what was there before stays.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // The collector reads names that end in .prom only.
    let mut file = Builder::new()
        .prefix(".skmem-")
        .suffix(".tmp")
        .permissions(Permissions::from_mode(MODE))
        .tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    // The umask may have taken rights away.
    file.as_file()
        .set_permissions(Permissions::from_mode(MODE))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_file_is_replaced_as_a_whole() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("skmem.prom");
        write(&path, "one\n").unwrap();
        write(&path, "two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 1);
        assert!(write(&room.path().join("no/such/dir.prom"), "x").is_err());
    }
}
