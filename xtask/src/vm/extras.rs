//! `--with`: Debian packages for the guest, unpacked with all they depend on.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::Result;

use crate::{
    arch::Arch,
    debian::{self, Apt},
    error, paths,
    setup::Setup,
};

/// The package of a tool that is called otherwise.
fn package_of(tool: &str) -> &str {
    match tool {
        "ip" | "tc" | "ss" | "nstat" => "iproute2",
        "nc" => "netcat-openbsd",
        "ping" => "iputils-ping",
        other => other,
    }
}

/// The directory with the unpacked packages; None when none are wanted.
pub(super) fn unpacked(
    setup: &Setup,
    guest: &Arch,
    suite: &str,
    tools: &[String],
) -> Result<Option<PathBuf>> {
    if tools.is_empty() {
        return Ok(None);
    }
    for tool in tools {
        let sound = tool.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte)
        });
        if !sound || !tool.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            return Err(error::usage(format!(
                "--with {tool:?}: this is not the name of a tool or a Debian package"
            )));
        }
    }
    // A real shell besides, for busybox's would call its own applets instead of these tools.
    let packages: BTreeSet<&str> = tools
        .iter()
        .map(|tool| package_of(tool))
        .chain(["dash"])
        .collect();
    let packages: Vec<String> = packages.into_iter().map(str::to_owned).collect();
    let directory = paths::tools().join("extras").join(format!(
        "{suite}_{}_{}",
        guest.debian,
        packages.join("_")
    ));
    if !directory.exists() {
        setup.needs(&format!("the packages {}", packages.join(", ")))?;
        debian::check_present()?;
        let apt = Apt::update(suite, guest)?;
        debian::download_closure(&apt, &packages, &directory)?;
    }
    Ok(Some(directory))
}
