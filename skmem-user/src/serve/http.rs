//! The server: HTTP/1.1 in a thread of its own, which has no rights. It hands out what was
//! published last, and asks the main thread for a look where that is too old. Everything has a
//! bound: connections, a request's head and its time, so that a slow client holds up nobody else.

use std::{
    convert::Infallible,
    io,
    net::TcpListener as StdListener,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, WWW_AUTHENTICATE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::{Semaphore, mpsc, oneshot, watch},
    time::{sleep, timeout},
};

use super::{
    pages::{Asked, Page},
    published::Latest,
};
use crate::kernel::rights::{self, Rights};

/// Connections at a time; more wait in the listener's queue.
const CONNECTIONS: usize = 64;
/// Within this time a request's head must be there.
const HEAD: Duration = Duration::from_secs(5);
/// Within this time a connection has had its answer.
const CONNECTION: Duration = Duration::from_secs(30);
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
        /// As JSON.
        json: bool,
        /// Of now, and not of the worst instant.
        now: bool,
        /// Where it goes; its error is why there is none.
        reply: oneshot::Sender<Result<String, String>>,
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
                            // A client that is too slow, or that went away, harms nobody.
                            let _ = timeout(CONNECTION, serve(stream, shared)).await;
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
    stale: Duration,
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) -> hyper::Result<()> {
    let answer = |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(shared.answer(&request).await) }
    };
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        // A connection that stays open would hold a place.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await
}

impl Shared {
    async fn answer(&self, request: &Request<Incoming>) -> Response<String> {
        let page = match self.page(request).await {
            Ok(page) | Err(page) => page,
        };
        let status = page.status;
        let mut response = Response::new(page.body);
        if let Ok(status) = status.try_into() {
            *response.status_mut() = status;
        }
        let mut put = |name: HeaderName, value: &'static str| {
            let value = hyper::header::HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        };
        put(CONTENT_TYPE, page.kind);
        if status == 401 {
            put(WWW_AUTHENTICATE, "Bearer");
        }
        response
    }

    async fn page(&self, request: &Request<Incoming>) -> Result<Page, Page> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return Err(Page::error(405, "only GET: nothing can be changed here"));
        }
        let uri = request.uri();
        let accept = text(request.headers(), &ACCEPT);
        let asked = Asked::of(uri.path(), uri.query().unwrap_or_default(), accept)?;
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
        match asked.answer(&latest, latest.look.age() > self.stale) {
            Some(page) => Ok(page),
            None => self.explain(&asked).await,
        }
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

    async fn explain(&self, asked: &Asked) -> Result<Page, Page> {
        let Asked::Explain { cookie, json, now } = *asked else {
            return Err(Page::error(404, "no such page: / lists them"));
        };
        let (reply, answer) = oneshot::channel();
        let ask = Ask::Explain {
            cookie,
            json,
            now,
            reply,
        };
        self.asks
            .try_send(ask)
            .map_err(|_| Page::error(503, "too many requests at a time: try again"))?;
        match timeout(LOOK, answer).await {
            Ok(Ok(Ok(text))) => Ok(Page::verdict(text, json)),
            Ok(Ok(Err(why))) => Err(Page::error(404, &why)),
            _ => Err(Page::error(503, "no answer in time: try again")),
        }
    }
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
