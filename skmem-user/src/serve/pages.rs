//! What each path answers. Pure, but for what [`super::http`] asks the main thread for.

use super::{
    flight::{Files, List},
    published::Latest,
    text::{Format, wanted},
};

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
const HTML: &str = "text/html; charset=utf-8";
/// A recording.
pub(super) const RECORDING: &str = "application/octet-stream";

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
<li>/explain/COOKIE: what <code>skmem explain</code> says of a socket; <code>?format=text</code>, <code>json</code>,
<code>html</code> (with a plot of the last seconds, of <code>--flight</code>); <code>?at=end</code>: of now, and not of the
instant that was worst
<li><a href=\"/flight/\">/flight/</a>: recordings of sockets that met a condition (<code>--flight</code>), each to download;
<a href=\"/flight.json\">/flight.json</a>
<li><a href=\"/healthz\">/healthz</a>, <a href=\"/readyz\">/readyz</a>: whether it runs, and whether its values are of now
</ul>
</html>
";

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageRequest {
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
    /// A verdict.
    Explain {
        /// `SO_COOKIE`
        cookie: u64,
        /// How.
        form: Form,
        /// Of now, and not of the worst instant.
        now: bool,
    },
    /// The files of the black box.
    Flight(Form),
    /// One of them, by its name.
    File(String),
}

/// How something is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lines.
    Text,
    /// For programs.
    Json,
    /// For a browser.
    Html,
}

impl Form {
    /// By `?format=`, else by `Accept`; text where nobody says.
    fn of(format: Option<&str>, accept: &str) -> Result<Self, Page> {
        let known = [
            ("text", "text/plain", Self::Text),
            ("json", JSON, Self::Json),
            ("html", "text/html", Self::Html),
        ];
        match format {
            None => {
                let named = |kind: &str| {
                    let found = known.iter().find(|(_, known, _)| *known == kind);
                    let any = ["text/*", "*/*"].contains(&kind).then_some(Self::Text);
                    found.map(|(_, _, form)| *form).or(any)
                };
                Ok(wanted(accept, |kind, _| named(kind)).unwrap_or(Self::Text))
            }
            Some(format) => {
                let found = known.iter().find(|(name, ..)| *name == format);
                found.map(|(_, _, form)| *form).ok_or_else(|| {
                    Page::error(400, "format: give text, json or html, e.g. ?format=json")
                })
            }
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Text => TEXT,
            Self::Json => JSON,
            Self::Html => HTML,
        }
    }
}

impl PageRequest {
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
            "/flight.json" => Self::Flight(Form::Json),
            "/flight" | "/flight/" => Self::Flight(Form::of(parameter("format"), accept)?),
            _ => {
                if let Some(name) = path.strip_prefix("/flight/") {
                    return Ok(Self::File(name.to_owned()));
                }
                let cookie = path
                    .strip_prefix("/explain/")
                    .ok_or_else(|| Page::error(404, "no such page: / lists them"))?;
                let cookie = cookie.parse().map_err(|_| {
                    Page::error(
                        400,
                        "give a socket's cookie, a number: /sockets.json has them",
                    )
                })?;
                Self::Explain {
                    cookie,
                    form: Form::of(parameter("format"), accept)?,
                    now: parameter("at") == Some("end"),
                }
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
            Self::Index => Page::new(HTML, INDEX.to_owned()),
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
            Self::Explain { .. } | Self::Flight(_) | Self::File(_) => return None,
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
    pub fn verdict(text: String, form: Form) -> Self {
        Self::new(form.content_type(), text)
    }

    /// The files of the black box.
    #[must_use]
    pub fn files(files: Option<&Files>, form: Form) -> Self {
        let Some(files) = files else {
            return Self::no_flight();
        };
        let list = files.list().map_err(|e| e.to_string());
        let body = list.and_then(|list| match form {
            Form::Text => Ok(list.text()),
            Form::Html => Ok(list.html()),
            Form::Json => json(&list).map_err(|e| e.to_string()),
        });
        match body {
            Ok(body) => Self::new(form.content_type(), body),
            Err(why) => Self::error(500, &format!("cannot list the files: {why}")),
        }
    }

    /// There is no black box.
    #[must_use]
    pub fn no_flight() -> Self {
        Self::error(
            404,
            "there is no black box: skmem serve --flight DIR keeps one",
        )
    }
}

fn json(list: &List) -> serde_json::Result<String> {
    Ok(serde_json::to_string(list)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_what_is_wrong_with_them() {
        let of = |path: &str, query: &str| PageRequest::of(path, query, "");
        assert_eq!(
            of("/metrics", ""),
            Ok(PageRequest::Metrics(Format::Prometheus))
        );
        assert_eq!(of("/sockets.json", ""), Ok(PageRequest::Sockets(100)));
        assert_eq!(
            of("/sockets.json", "a=1&top=7"),
            Ok(PageRequest::Sockets(7))
        );
        let explain = |form| {
            Ok(PageRequest::Explain {
                cookie: 12,
                form,
                now: false,
            })
        };
        assert_eq!(of("/explain/12", "format=json"), explain(Form::Json));
        assert_eq!(of("/explain/12", "format=html"), explain(Form::Html));
        assert_eq!(of("/explain/12", ""), explain(Form::Text));
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (accept, form) in [
            (browser, Form::Html),
            ("application/json", Form::Json),
            ("*/*", Form::Text),
            ("text/html;q=0.5, text/plain", Form::Text),
        ] {
            assert_eq!(
                PageRequest::of("/explain/12", "", accept),
                explain(form),
                "{accept}"
            );
        }
        assert_eq!(of("/flight.json", ""), Ok(PageRequest::Flight(Form::Json)));
        assert_eq!(
            PageRequest::of("/flight/", "", browser),
            Ok(PageRequest::Flight(Form::Html))
        );
        // Whether there is such a file is asked of the directory.
        let file = PageRequest::File("../../etc/passwd".to_owned());
        assert_eq!(of("/flight/../../etc/passwd", ""), Ok(file));
        let status = |path: &str, query: &str| of(path, query).unwrap_err().status;
        assert_eq!(status("/sockets.json", "top=many"), 400);
        assert_eq!(status("/explain/x", ""), 400);
        assert_eq!(status("/explain/1", "format=pdf"), 400);
        assert_eq!(status("/etc/passwd", ""), 404);
        assert_eq!(status("/metrics/", ""), 404);
        assert!(of("/readyz", "").unwrap().is_open() && !of("/", "").unwrap().is_open());
    }
}
