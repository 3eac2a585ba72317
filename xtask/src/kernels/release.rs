//! Kernel releases as Debian names them: `5.10.0-46-cloud-amd64`, `6.12.117+deb13-cloud-amd64`.

/// What the user asked for: a release, or the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    text: String,
}

impl Request {
    /// None when it is no release at all: at least a number must stand at the beginning.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b".+-~".contains(&byte);
        let sound =
            text.starts_with(|first: char| first.is_ascii_digit()) && text.bytes().all(harmless);
        sound.then(|| Self {
            text: text.to_owned(),
        })
    }

    /// Is `release` this one, or does it begin with these numbers? `6.1` is not the beginning of `6.12.0`.
    pub(crate) fn matches(&self, release: &str) -> bool {
        release
            .strip_prefix(&self.text)
            .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
    }

    /// The suites of Debian that carry it, the smallest lists first.
    pub(crate) fn suites(&self) -> &'static [&'static str] {
        match series(&self.text).as_str() {
            "5.10" => &["bullseye-security"],
            "6.1" => &["bookworm-security", "bookworm"],
            "6.12" => &["trixie-security", "trixie", "bookworm-security"],
            _ => &["trixie-backports", "sid"],
        }
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.text)
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

/// What releases are sorted by: their numbers, without that of the architecture at the end.
pub(crate) fn order(release: &str) -> Vec<u64> {
    let version = release.split("-cloud-").next().unwrap_or(release);
    version
        .split(|other: char| !other.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_matches_whole_numbers_only() {
        let request = Request::parse("6.1").unwrap();
        assert!(request.matches("6.1.0-56-cloud-amd64"));
        assert!(!request.matches("6.12.117+deb13-cloud-amd64"));
        assert!(
            Request::parse("7")
                .unwrap()
                .matches("7.2.13+deb14-cloud-amd64")
        );
        assert!(
            Request::parse("6.12.117+deb13-cloud-amd64")
                .unwrap()
                .matches("6.12.117+deb13-cloud-amd64")
        );
    }

    #[test]
    fn what_is_no_release_is_refused() {
        for text in ["", "latest", "-1", "6.1;reboot", "v6.1", "6 1"] {
            assert_eq!(Request::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn series_and_order() {
        assert_eq!(series("6.12.117+deb13-cloud-amd64"), "6.12");
        assert_eq!(series("7"), "7");
        assert!(order("6.12.117+deb13-cloud-amd64") > order("6.12.9+deb13-cloud-amd64"));
        assert!(order("5.10.0-46-cloud-amd64") > order("5.10.0-9-cloud-amd64"));
        assert!(order("6.12.115+deb13.1-cloud-amd64") > order("6.12.115+deb13-cloud-amd64"));
    }
}
