//! Finding the newest package of a kernel in Debian's lists, and fetching it.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow};

use super::{
    cache::Cached,
    release::{self, Request},
};
use crate::debian::{self, Apt, Candidate, Unreachable};

/// Fetches and unpacks the newest kernel that answers the request.
pub(crate) fn fetch(request: &Request) -> Result<Cached> {
    debian::check_present()?;
    let (mut without, mut reasons) = (Vec::new(), Vec::<String>::new());
    for suite in request.suites() {
        match from_suite(suite, request, None) {
            Ok(Some(cached)) => return Ok(cached),
            Ok(None) => without.push(suite),
            Err(failure) if failure.is::<Unreachable>() => {
                return Err(failure.context(format!(
                    "kernel {request} is not on this machine yet (run the same command again once there is a network)"
                )));
            }
            Err(failure) => {
                crate::process::check_interrupted()?;
                let reason = format!("{failure:#}");
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
        }
    }
    if reasons.is_empty() {
        let suites = without.join(", ");
        reasons.push(format!(
            "Debian does not carry it ({suites}): `cargo xtask kernels` lists what it does carry"
        ));
    }
    Err(anyhow!(
        "kernel {request} cannot be had: {}",
        reasons.join("; ")
    ))
}

/// Fetches the newest kernel that answers the request if it is newer than this one, which came from
/// the same suite.
pub(crate) fn fetch_newer(request: &Request, than: &Cached) -> Result<Option<Cached>> {
    debian::check_present()?;
    for suite in request.suites() {
        if let Some(newer) = from_suite(suite, request, Some(than))? {
            return Ok(Some(newer));
        }
    }
    Ok(None)
}

fn from_suite(
    suite: &str,
    request: &Request,
    newer_than: Option<&Cached>,
) -> Result<Option<Cached>> {
    let apt = Apt::update(suite, request.arch)?;
    let Some(found) = newest(&apt, request)? else {
        return Ok(None);
    };
    if newer_than.is_some_and(|old| release::order(&found.release) <= release::order(&old.release))
    {
        return Ok(None);
    }
    let debs = found
        .packages
        .iter()
        .map(|candidate| debian::download(&apt, candidate));
    Cached::unpack(
        &found.release,
        request.arch,
        suite,
        debs.collect::<Result<_>>()?,
    )
    .map(Some)
}

struct Found {
    release: String,
    packages: Vec<Candidate>,
}

fn newest(apt: &Apt, request: &Request) -> Result<Option<Found>> {
    let mut names = apt.names("linux-image-")?;
    names.extend(apt.names("linux-binary-")?);
    for (release, packages) in sorted(&names, request) {
        // The lists also hold names of packages that are gone, where another one still refers to
        // them.
        let candidates: Option<Vec<Candidate>> = packages
            .iter()
            .map(|package| apt.candidate(package))
            .collect::<Result<_>>()?;
        if let Some(packages) = candidates {
            return Ok(Some(Found { release, packages }));
        }
    }
    Ok(None)
}

/// The releases that answer the request, newest first, each with the packages that make it up.
fn sorted(names: &[String], request: &Request) -> Vec<(String, Vec<String>)> {
    let of = |prefix: &str| -> BTreeSet<&str> {
        names
            .iter()
            .filter_map(|name| name.strip_prefix(prefix))
            .filter(|release| request.matches(release))
            .collect()
    };
    let split = of("linux-binary-");
    let mut releases: Vec<&str> = split.union(&of("linux-image-")).copied().collect();
    releases.sort_by_key(|release| std::cmp::Reverse(release::order(release)));
    let packages = |release: &str| {
        if split.contains(release) {
            // From 7.x on, linux-image is an empty package that depends on these.
            vec![
                format!("linux-binary-{release}"),
                format!("linux-modules-{release}"),
            ]
        } else {
            vec![format!("linux-image-{release}")]
        }
    };
    releases
        .into_iter()
        .map(|release| (release.to_owned(), packages(release)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(text: &str) -> Request {
        let amd64 = &crate::arch::ALL[0];
        Request::parse(text, amd64, amd64.usual_flavour()).unwrap()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn the_newest_of_the_series_comes_first() {
        let names = names(&[
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.1.0-56-amd64",
            "linux-image-6.12.1+deb12-cloud-amd64",
            "linux-image-cloud-amd64",
        ]);
        let found = sorted(&names, &cloud("6.1"));
        let releases: Vec<&str> = found.iter().map(|(release, _)| release.as_str()).collect();
        assert_eq!(releases, ["6.1.0-56-cloud-amd64", "6.1.0-9-cloud-amd64"]);
        assert_eq!(found[0].1, ["linux-image-6.1.0-56-cloud-amd64"]);
    }

    #[test]
    fn split_packages_are_fetched_instead_of_the_empty_one() {
        let names = names(&[
            "linux-image-7.2.13+deb14-cloud-amd64",
            "linux-binary-7.2.13+deb14-cloud-amd64",
            "linux-binary-unsigned-7.3.4+deb14-cloud-amd64",
        ]);
        let found = sorted(&names, &cloud("7"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            found[0].1,
            [
                "linux-binary-7.2.13+deb14-cloud-amd64",
                "linux-modules-7.2.13+deb14-cloud-amd64"
            ]
        );
    }
}
