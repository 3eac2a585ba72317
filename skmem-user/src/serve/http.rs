//! The server: HTTP/1.1 in a thread of its own, which has no rights. It hands out what was
//! published last, and asks the main thread for a look where that is too old. Everything has a
//! bound: connections, a request's head and its time, so that a slow client holds up nobody else.

use std::{
    convert::Infallible,
    fs::File,
    io::{self, Read as _},
    net::TcpListener as StdListener,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    thread::{self, JoinHandle},
    time::Duration,
};

use hyper::{
    Method, Request, Response,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header::{
        ACCEPT, AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, HeaderName,
        HeaderValue, WWW_AUTHENTICATE,
    },
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::{sleep, timeout},
};

use super::{
    flight::Files,
    pages::{Form, Page, PageRequest, RECORDING},
    published::Latest,
};
use crate::kernel::rights::{self, Rights};

/// Connections at a time; more wait in the listener's queue.
const CONNECTIONS: usize = 64;
/// Within this time a request's head must be there.
const HEAD: Duration = Duration::from_secs(5);
/// Within this time a connection has had its answer.
const CONNECTION: Duration = Duration::from_secs(30);
/// Within this time a file has been sent: it may be large, and the way there slow.
const DOWNLOAD: Duration = Duration::from_secs(600);
/// Files that are sent at a time.
const DOWNLOADS: usize = 4;
/// Bytes of a file that are read at once.
const PIECE: usize = 64 << 10;
/// Most bytes of a request's head; 8 KiB is the least that hyper takes.
const HEAD_BYTES: usize = 16 << 10;
/// Looks are not made more often for requests, however many there are.
pub const FRESH: Duration = Duration::from_secs(1);
/// What was published before is handed out where a look takes longer.
const LOOK: Duration = Duration::from_secs(5);
/// Connections get this time when skmem ends.
const END: Duration = Duration::from_millis(500);

/// What the server asks the main thread for.
#[derive(Debug)]
pub enum Ask {
    /// A look, where the last is older than [`FRESH`].
    Look,
    /// A verdict on an open socket.
    Explain {
        /// `SO_COOKIE`
        cookie: u64,
        /// How.
        form: Form,
        /// Of now, and not of the worst instant.
        now: bool,
        /// Where it goes; its error says why there is none.
        reply: oneshot::Sender<Result<String, Page>>,
    },
}

/// What the server needs.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub listener: StdListener,
    /// What clients must show.
    pub token: Option<String>,
    /// What was published last. The server ends with its other end.
    pub latest: watch::Receiver<Latest>,
    /// The main thread.
    pub asks: mpsc::Sender<Ask>,
    /// The files of the black box; None: there is none.
    pub files: Option<Files>,
    /// From this age on, what was published is stale.
    pub stale: Duration,
}

impl Server {
    /// Starts it.
    ///
    /// # Errors
    /// Where there can be no thread, or the listener cannot be used.
    pub fn start(self) -> io::Result<JoinHandle<()>> {
        self.listener.set_nonblocking(true)?;
        thread::Builder::new()
            .name("skmem-http".to_owned())
            .spawn(move || {
                // Who talks to the network needs none.
                let kept = rights::keep_only(Rights::empty());
                debug_assert!(kept.is_ok());
                if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
                    runtime.block_on(self.run());
                    runtime.shutdown_timeout(END);
                }
            })
    }

    async fn run(self) {
        let Ok(listener) = TcpListener::from_std(self.listener) else {
            return;
        };
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let shared = Arc::new(Shared {
            token: self.token,
            latest: self.latest.clone(),
            asks: self.asks,
            files: self.files,
            downloads: Arc::new(Semaphore::new(DOWNLOADS)),
            stale: self.stale,
        });
        let mut end = self.latest;
        let accept = async {
            loop {
                let Ok(place) = Arc::clone(&room).acquire_owned().await else {
                    return;
                };
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let shared = Arc::clone(&shared);
                        tokio::spawn(async move {
                            serve(stream, shared).await;
                            drop(place);
                        });
                    }
                    // Out of descriptors, or the client has gone: neither lasts.
                    Err(_) => sleep(Duration::from_millis(100)).await,
                }
            }
        };
        tokio::select! {
            () = accept => {}
            () = async { while end.changed().await.is_ok() {} } => {}
        }
    }
}

struct Shared {
    token: Option<String>,
    latest: watch::Receiver<Latest>,
    asks: mpsc::Sender<Ask>,
    files: Option<Files>,
    downloads: Arc<Semaphore>,
    stale: Duration,
}

/// A client that is too slow, or that went away, harms nobody.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let downloads = AtomicBool::new(false);
    let answer = |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        let downloads = &downloads;
        async move {
            let response = shared.answer(&request).await;
            let is_file = matches!(response.body(), Content::File { .. });
            downloads.store(is_file, Relaxed);
            Ok::<_, Infallible>(response)
        }
    };
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES)
            // A connection that stays open would hold a place.
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service_fn(answer))
    );
    if timeout(CONNECTION, &mut connection).await.is_err() && downloads.load(Relaxed) {
        let _ = timeout(DOWNLOAD, connection).await;
    }
}

/// An answer's body.
enum Content {
    Text(Option<Bytes>),
    /// A file, and how much of it is to come. It is read as the client takes it; disk and client
    /// are in no hurry.
    File {
        file: File,
        left: u64,
        _place: OwnedSemaphorePermit,
    },
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(match self.get_mut() {
            Self::Text(text) => text.take().map(|text| Ok(Frame::data(text))),
            Self::File { left: 0, .. } => None,
            Self::File { file, left, .. } => Some(piece(file, left)),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Text(None) | Self::File { left: 0, .. })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Text(text) => text.as_ref().map_or(0, |text| text.len() as u64),
            Self::File { left, .. } => *left,
        })
    }
}

/// The next piece of a file of which so much is left.
fn piece(file: &mut File, left: &mut u64) -> io::Result<Frame<Bytes>> {
    let most = usize::try_from(*left).map_or(PIECE, |left| left.min(PIECE));
    let mut piece = vec![0; most];
    let bytes = file.read(&mut piece)?;
    if bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    piece.truncate(bytes);
    *left -= bytes as u64;
    Ok(Frame::data(piece.into()))
}

impl Shared {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Content> {
        let page = match self.page(request).await {
            Ok(Answer::File(content, name)) => return file(content, &name),
            Ok(Answer::Page(page)) | Err(page) => page,
        };
        let status = page.status;
        let mut response = Response::new(Content::Text(Some(page.body.into())));
        if let Ok(status) = status.try_into() {
            *response.status_mut() = status;
        }
        let mut put = |name: HeaderName, value: &'static str| {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        };
        put(CONTENT_TYPE, page.kind);
        if status == 401 {
            put(WWW_AUTHENTICATE, "Bearer");
        }
        response
    }

    async fn page(&self, request: &Request<Incoming>) -> Result<Answer, Page> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return Err(Page::error(405, "only GET: nothing can be changed here"));
        }
        let uri = request.uri();
        let accept = text(request.headers(), &ACCEPT);
        let asked = PageRequest::of(uri.path(), uri.query().unwrap_or_default(), accept)?;
        let shown = text(request.headers(), &AUTHORIZATION);
        if !asked.is_open() && !may(self.token.as_deref(), shown) {
            return Err(Page::error(
                401,
                "give the token: Authorization: Bearer TOKEN",
            ));
        }
        if asked.wants_fresh() {
            self.freshen().await;
        }
        let latest = self.latest.borrow().clone();
        if let Some(page) = asked.answer(&latest, latest.look.age() > self.stale) {
            return Ok(Answer::Page(page));
        }
        match asked {
            PageRequest::Flight(form) => Ok(Answer::Page(Page::files(self.files.as_ref(), form))),
            PageRequest::File(name) => self.file(name),
            asked => self.explain(&asked).await.map(Answer::Page),
        }
    }

    fn file(&self, name: String) -> Result<Answer, Page> {
        let files = self.files.as_ref().ok_or_else(Page::no_flight)?;
        let found = files
            .read(&name)
            .map_err(|e| Page::error(500, &format!("cannot read the file: {e}")))?;
        let none = || Page::error(404, "no such file: /flight/ lists them");
        let (file, left) = found.ok_or_else(none)?;
        let place = Arc::clone(&self.downloads).try_acquire_owned();
        let place =
            place.map_err(|_| Page::error(503, "too many downloads at a time: try again"))?;
        let content = Content::File {
            file,
            left,
            _place: place,
        };
        Ok(Answer::File(content, name))
    }

    /// Has a look made where the last is too old; waits for it, but not for long.
    async fn freshen(&self) {
        let mut latest = self.latest.clone();
        if latest.borrow_and_update().look.age() <= FRESH {
            return;
        }
        // Where there is no room, others have asked already.
        let _ = self.asks.try_send(Ask::Look);
        let _ = timeout(LOOK, latest.changed()).await;
    }

    async fn explain(&self, asked: &PageRequest) -> Result<Page, Page> {
        let PageRequest::Explain { cookie, form, now } = *asked else {
            return Err(Page::error(404, "no such page: / lists them"));
        };
        let (reply, answer) = oneshot::channel();
        let ask = Ask::Explain {
            cookie,
            form,
            now,
            reply,
        };
        self.asks
            .try_send(ask)
            .map_err(|_| Page::error(503, "too many requests at a time: try again"))?;
        match timeout(LOOK, answer).await {
            Ok(Ok(Ok(text))) => Ok(Page::verdict(text, form)),
            Ok(Ok(Err(page))) => Err(page),
            _ => Err(Page::error(503, "no answer in time: try again")),
        }
    }
}

/// What a request gets.
enum Answer {
    Page(Page),
    /// A file, and its name.
    File(Content, String),
}

fn file(content: Content, name: &str) -> Response<Content> {
    let mut response = Response::new(content);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(RECORDING));
    // A name of the black box has nothing in it that must be quoted.
    let attached = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    if let Ok(attached) = attached {
        headers.insert(CONTENT_DISPOSITION, attached);
    }
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

/// Whether a client that shows this may ask. The time that it takes says nothing of the token but
/// its length.
fn may(token: Option<&str>, shown: &str) -> bool {
    let Some(token) = token else {
        return true;
    };
    let Some((scheme, shown)) = shown.split_once(' ') else {
        return false;
    };
    let shown = shown.trim_start();
    let differs = token.bytes().zip(shown.bytes());
    let differs = differs.fold(0, |all, (a, b)| all | (a ^ b));
    scheme.eq_ignore_ascii_case("bearer") && token.len() == shown.len() && differs == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_asked_for_where_there_is_one() {
        assert!(may(None, "") && may(None, "Bearer x"));
        assert!(may(Some("abc"), "Bearer abc") && may(Some("abc"), "bearer  abc"));
        for wrong in [
            "",
            "abc",
            "Bearer",
            "Bearer ",
            "Bearer abd",
            "Bearer abcd",
            "Basic abc",
        ] {
            assert!(!may(Some("abc"), wrong), "{wrong}");
        }
    }
}
