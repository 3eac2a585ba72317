//! Kernel releases as Debian names them: `5.10.0-46-cloud-amd64`, `6.12.117+deb13-arm64-16k`.

use crate::arch::{self, Arch, Flavour};

/// A release taken apart: its version, what machine it is for, and what kind of kernel it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    pub(crate) version: &'a str,
    pub(crate) arch: &'static Arch,
    pub(crate) flavour: Flavour,
}

/// None where it is not a whole release, or one of a kind that is not known here.
pub(crate) fn parts(release: &str) -> Option<Parts<'_>> {
    let all = arch::ALL
        .iter()
        .flat_map(|arch| arch.flavours.iter().map(move |known| (arch, known)));
    let fitting = all.filter_map(|(arch, (flavour, suffix))| {
        Some(Parts {
            version: release.strip_suffix(suffix)?,
            arch,
            flavour: *flavour,
        })
    });
    // The longest ending is the flavour: what ends in `-cloud-amd64` ends in `-amd64`, too.
    fitting.min_by_key(|parts| parts.version.len())
}

/// The suites of Debian that may be asked for the newest kernel that they carry.
const SUITES: [&str; 2] = ["sid", "experimental"];

/// What the user asked for: a release, or the beginning of one, or the newest of a suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    text: String,
    pub(crate) arch: &'static Arch,
    pub(crate) flavour: Flavour,
}

impl Request {
    /// None when it is not a release at all: at least a number must stand at the beginning.
    pub(crate) fn parse(text: &str, arch: &'static Arch, flavour: Flavour) -> Option<Self> {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b".+-~".contains(&byte);
        let release =
            text.starts_with(|first: char| first.is_ascii_digit()) && text.bytes().all(harmless);
        (release || SUITES.contains(&text)).then(|| Self {
            text: text.to_owned(),
            arch,
            flavour,
        })
    }

    /// The suite whose newest kernel is asked for, if so.
    pub(crate) fn suite(&self) -> Option<&'static str> {
        SUITES.into_iter().find(|suite| *suite == self.text)
    }

    /// Is `release` this one, or does it begin with these numbers? `6.1` is not the beginning of
    /// `6.12.0`.
    pub(crate) fn matches(&self, release: &str) -> bool {
        let Some(parts) = parts(release) else {
            return false;
        };
        let begins = || {
            release
                .strip_prefix(&self.text)
                .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
        };
        parts.arch == self.arch
            && parts.flavour == self.flavour
            && (self.suite().is_some() || begins())
    }

    /// The suites of Debian that carry it, the smallest lists first.
    pub(crate) fn suites(&self) -> Vec<&'static str> {
        if let Some(suite) = self.suite() {
            return vec![suite];
        }
        match series(&self.text).as_str() {
            "5.10" => vec!["bullseye-security", "bullseye"],
            "6.1" => vec!["bookworm-security", "bookworm"],
            "6.12" => vec!["trixie-security", "trixie", "bookworm-security"],
            _ => vec!["trixie-backports", "sid", "experimental"],
        }
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            text,
            arch,
            flavour,
        } = self;
        match parts(text) {
            Some(_) => formatter.write_str(text),
            None => write!(formatter, "{text} ({}, {})", arch.debian, flavour.name()),
        }
    }
}

/// The first two numbers: `6.12` of `6.12.117+deb13-cloud-amd64`.
pub(crate) fn series(release: &str) -> String {
    let numbers: Vec<&str> = release
        .split(|other: char| !other.is_ascii_digit())
        .take(2)
        .collect();
    numbers.join(".")
}

/// What releases are sorted by: the numbers of their versions. A release candidate comes before
/// what it becomes.
pub(crate) fn order(release: &str) -> Vec<i64> {
    let version = parts(release).map_or(release, |parts| parts.version);
    let (version, candidate) = match version.split_once("-rc").or(version.split_once("~rc")) {
        Some((version, candidate)) => (version, Some(candidate)),
        None => (version, None),
    };
    let numbers = |text: &str| -> Vec<i64> {
        text.split(|other: char| !other.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .collect()
    };
    let mut order = numbers(version);
    match candidate {
        Some(candidate) => order.extend([vec![-1], numbers(candidate)].concat()),
        None => order.push(0),
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str, arch: &str, flavour: Flavour) -> Option<Request> {
        let arch = arch::ALL.iter().find(|known| known.debian == arch).unwrap();
        Request::parse(text, arch, flavour)
    }

    #[test]
    fn a_request_matches_whole_numbers_only() {
        let cloud = |text: &str| request(text, "amd64", Flavour::Cloud).unwrap();
        assert!(cloud("6.1").matches("6.1.0-56-cloud-amd64"));
        assert!(!cloud("6.1").matches("6.12.117+deb13-cloud-amd64"));
        assert!(cloud("7").matches("7.2.13+deb14-cloud-amd64"));
        assert!(cloud("6.12.117+deb13-cloud-amd64").matches("6.12.117+deb13-cloud-amd64"));
    }

    #[test]
    fn flavours_and_architectures_are_kept_apart() {
        let releases = [
            "6.12.118+deb13-cloud-amd64",
            "6.12.118+deb13-rt-amd64",
            "6.12.118+deb13-amd64",
            "6.12.118+deb13-cloud-arm64",
            "6.12.118+deb13-arm64-16k",
            "6.12.118+deb13-arm64",
        ];
        let cases = [
            ("amd64", Flavour::Cloud, 0),
            ("amd64", Flavour::Rt, 1),
            ("amd64", Flavour::Generic, 2),
            ("arm64", Flavour::Cloud, 3),
            ("arm64", Flavour::Pages16k, 4),
            ("arm64", Flavour::Generic, 5),
        ];
        for (arch, flavour, expected) in cases {
            for text in ["6.12", "sid"] {
                let request = request(text, arch, flavour).unwrap();
                let matching: Vec<&str> = releases
                    .into_iter()
                    .filter(|release| request.matches(release))
                    .collect();
                assert_eq!(matching, [releases[expected]], "{arch} {flavour:?}");
            }
        }
        assert_eq!(parts("6.1.0-56-amd64-dbg"), None);
    }

    #[test]
    fn what_is_no_release_is_refused() {
        for text in ["", "latest", "-1", "6.1;reboot", "v6.1", "6 1", "bookworm"] {
            assert_eq!(request(text, "amd64", Flavour::Cloud), None, "{text:?}");
        }
    }

    #[test]
    fn series_and_order() {
        assert_eq!(series("6.12.117+deb13-cloud-amd64"), "6.12");
        assert_eq!(series("7"), "7");
        assert!(order("6.12.117+deb13-cloud-amd64") > order("6.12.9+deb13-cloud-amd64"));
        assert!(order("5.10.0-46-cloud-amd64") > order("5.10.0-9-cloud-amd64"));
        assert!(order("6.12.115+deb13.1-cloud-amd64") > order("6.12.115+deb13-cloud-amd64"));
        assert!(order("6.12.10+deb13-arm64-16k") < order("6.12.100+deb13-arm64"));
        assert!(order("7.3-rc7-cloud-amd64") < order("7.3.1+deb14-cloud-amd64"));
        assert!(order("7.3-rc7-cloud-amd64") < order("7.3-cloud-amd64"));
        assert!(order("7.3-rc7-cloud-amd64") > order("7.3-rc6-cloud-amd64"));
        assert!(order("7.3-rc7-cloud-amd64") > order("7.2.13+deb14-cloud-amd64"));
    }
}
