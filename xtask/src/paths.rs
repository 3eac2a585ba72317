//! Where things are: the checkout, and the cache `.tools/` in it.

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        // Cargo says where the package is that it runs. What was compiled in is where it was built:
        // cargo does not build it again in a checkout that was copied or moved together
        // with its target/.
        let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let package = package.filter(|directory| directory.ends_with("xtask"));
        let mut root = package.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        root.pop();
        root
    });
    &ROOT
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
