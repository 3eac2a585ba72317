//! What each path answers. Pure, but for what [`super::http`] asks the main thread for.

use super::{published::Latest, text::Format};

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub kind: &'static str,
    /// Body.
    pub body: String,
}

/// `Content-Type` of plain text.
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Sockets in `/sockets.json` where nobody says how many.
const TOP: usize = 100;

const INDEX: &str = "\
<!DOCTYPE html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<title>skmem</title>
<h1>skmem: TCP socket memory, by cause</h1>
<ul>
<li><a href=\"/metrics\">/metrics</a>: OpenMetrics, or Prometheus' text
<li><a href=\"/sockets.json\">/sockets.json</a>: the sockets that are charged most, as <code>skmem snapshot --json</code>
prints them; <code>?top=N</code>
<li>/explain/COOKIE: what <code>skmem explain</code> says of a socket; <code>?format=json</code>;
<code>?at=end</code>: of now, and not of the instant that was worst
<li><a href=\"/healthz\">/healthz</a>, <a href=\"/readyz\">/readyz</a>: whether it runs, and whether its values are of now
</ul>
</html>
";

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// What is here already.
    Index,
    /// It runs.
    Health,
    /// Its values are of now.
    Ready,
    /// Metrics in this format.
    Metrics(Format),
    /// The sockets that are charged most.
    Sockets(usize),
    /// A verdict, as JSON or text.
    Explain {
        /// `SO_COOKIE`
        cookie: u64,
        /// As JSON.
        json: bool,
        /// Of now, and not of the worst instant.
        now: bool,
    },
}

impl Asked {
    /// Of a request; its error is the answer.
    ///
    /// # Errors
    /// Where there is no such page.
    pub fn of(path: &str, query: &str, accept: &str) -> Result<Self, Page> {
        let parameter = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        Ok(match path {
            "/" => Self::Index,
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics(Format::wanted(accept)),
            "/sockets.json" => match parameter("top").map(str::parse) {
                None => Self::Sockets(TOP),
                Some(Ok(most)) => Self::Sockets(most),
                Some(Err(_)) => return Err(Page::error(400, "top: give a number, e.g. ?top=20")),
            },
            _ => {
                let cookie = path
                    .strip_prefix("/explain/")
                    .ok_or_else(|| Page::error(404, "no such page: / lists them"))?;
                let cookie = cookie.parse().map_err(|_| {
                    Page::error(
                        400,
                        "give a socket's cookie, a number: /sockets.json has them",
                    )
                })?;
                let json = parameter("format") == Some("json");
                let now = parameter("at") == Some("end");
                Self::Explain { cookie, json, now }
            }
        })
    }

    /// Whether anybody may ask, token or not: the kubelet's probes send none.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Health | Self::Ready)
    }

    /// Whether the answer should be of now.
    #[must_use]
    pub fn wants_fresh(&self) -> bool {
        matches!(self, Self::Metrics(_) | Self::Sockets(_))
    }

    /// The answer, where what was published is enough for one.
    #[must_use]
    pub fn answer(&self, latest: &Latest, stale: bool) -> Option<Page> {
        let published = &latest.look;
        Some(match self {
            Self::Index => Page::new("text/html; charset=utf-8", INDEX.to_owned()),
            Self::Health => Page::new(TEXT, "ok\n".to_owned()),
            Self::Ready => match &latest.failed {
                Some(why) => Page::error(503, &format!("the last look failed: {why}")),
                None if stale => Page::error(503, "the last look is older than it should be"),
                None => Page::new(TEXT, "ready\n".to_owned()),
            },
            Self::Metrics(format) => {
                Page::new(format.content_type(), published.text(*format).to_owned())
            }
            Self::Sockets(most) => match published.sockets(*most) {
                Ok(body) => Page::new(JSON, body),
                Err(e) => Page::error(500, &e.to_string()),
            },
            Self::Explain { .. } => return None,
        })
    }
}

impl Page {
    /// With status 200.
    #[must_use]
    pub fn new(kind: &'static str, body: String) -> Self {
        Self {
            status: 200,
            kind,
            body,
        }
    }

    /// One that says what is wrong.
    #[must_use]
    pub fn error(status: u16, text: &str) -> Self {
        Self {
            status,
            kind: TEXT,
            body: format!("{text}\n"),
        }
    }

    /// A verdict.
    #[must_use]
    pub fn verdict(text: String, json: bool) -> Self {
        Self::new(if json { JSON } else { TEXT }, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_what_is_wrong_with_them() {
        let of = |path: &str, query: &str| Asked::of(path, query, "");
        assert_eq!(of("/metrics", ""), Ok(Asked::Metrics(Format::Prometheus)));
        assert_eq!(of("/sockets.json", ""), Ok(Asked::Sockets(100)));
        assert_eq!(of("/sockets.json", "a=1&top=7"), Ok(Asked::Sockets(7)));
        let explain = Asked::Explain {
            cookie: 12,
            json: true,
            now: false,
        };
        assert_eq!(of("/explain/12", "format=json"), Ok(explain));
        let status = |path: &str, query: &str| of(path, query).unwrap_err().status;
        assert_eq!(status("/sockets.json", "top=many"), 400);
        assert_eq!(status("/explain/x", ""), 400);
        assert_eq!(status("/etc/passwd", ""), 404);
        assert_eq!(status("/metrics/", ""), 404);
        assert!(of("/readyz", "").unwrap().is_open() && !of("/", "").unwrap().is_open());
    }
}
