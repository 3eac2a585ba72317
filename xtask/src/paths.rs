//! Where things are: the checkout, and the cache `.tools/` in it.

use std::path::{Path, PathBuf};

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the root of the checkout")
}

/// What the tasks fetch and build for themselves; ignored by git, safe to delete.
pub(crate) fn tools() -> PathBuf {
    root().join(".tools")
}

/// `path` as a person in the root of the checkout would write it.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}
