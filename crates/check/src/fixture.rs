//! Small known targets for control experiments: HTTP servers on loopback, and copies that stop well or badly.

use std::{
    any::Any, convert::Infallible, future::Future, io, net::TcpListener as StdListener, path::Path, pin::Pin,
    sync::Arc, time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use seaworthy_core::{Shutdown, UpstreamAddress};
use tokio::{net::TcpListener, time::sleep};

use crate::{
    http::Transcript,
    probe::Working,
    scratch::{Ending, Launcher, ScratchCopy},
    subject::{Fixture, Subject},
};

/// What a fixture answers.
pub(crate) type Reply = Response<Full<Bytes>>;
/// How a fixture answers.
pub(crate) type Answering = Arc<dyn Fn(Request<Incoming>) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync>;

/// A server on a free loopback port. Dropped, it ends at once, cutting its connections.
pub(crate) struct Server {
    pub address: UpstreamAddress,
    port: u16,
    /// Ends gracefully: the listener closes, requests in flight finish.
    drain: Shutdown,
    /// Ends at once.
    cut: Shutdown,
}

/// How a server treats slow clients.
#[derive(Clone, Copy, Default)]
pub(crate) struct ServerOptions {
    /// A request head must be complete within this time.
    pub head_timeout: Option<Duration>,
    /// Take this port instead of a free one.
    pub port: u16,
}

/// A plain answer.
pub(crate) fn reply(status: u16, headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
    response
}

/// An answer that needs no waiting.
pub(crate) fn answering(answer: impl Fn(&Request<Incoming>) -> Reply + Send + Sync + 'static) -> Answering {
    Arc::new(move |request| {
        let reply = answer(&request);
        Box::pin(async move { reply })
    })
}

impl Server {
    /// Starts answering.
    pub(crate) fn start(answering: Answering, options: ServerOptions) -> io::Result<Self> {
        let listener = StdListener::bind(("127.0.0.1", options.port))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let listener = TcpListener::from_std(listener)?;
        let (drain, cut) = (Shutdown::new(), Shutdown::new());
        let (accept_drain, accept_cut) = (drain.clone(), cut.clone());
        drain.spawn(async move {
            loop {
                let stream = tokio::select! {
                    () = accept_drain.ordered() => return,
                    () = accept_cut.ordered() => return,
                    accepted = listener.accept() => match accepted { Ok((stream, _)) => stream, Err(_) => continue },
                };
                let answering = answering.clone();
                let service = service_fn(move |request| {
                    let answer = answering(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let mut builder = http1::Builder::new();
                builder.timer(TokioTimer::new()).header_read_timeout(options.head_timeout);
                let connection = builder.serve_connection(TokioIo::new(stream), service);
                let (drain, cut) = (accept_drain.clone(), accept_cut.clone());
                accept_drain.spawn(async move {
                    let mut connection = std::pin::pin!(connection);
                    tokio::select! {
                        () = cut.ordered() => {}
                        _ = connection.as_mut() => {}
                        () = drain.ordered() => {
                            connection.as_mut().graceful_shutdown();
                            tokio::select! {
                                () = cut.ordered() => {}
                                _ = connection => {}
                            }
                        }
                    }
                });
            }
        });
        let address = UpstreamAddress::Tcp { host: "127.0.0.1".into(), port };
        Ok(Self { address, port, drain, cut })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cut.begin();
    }
}

/// A fixture of one public server.
pub(crate) fn public(answer: impl Fn(&Request<Incoming>) -> Reply + Send + Sync + 'static) -> io::Result<Fixture> {
    let server = Server::start(answering(answer), ServerOptions::default())?;
    let subject = Subject { url: Some(server.address.clone()), ..Subject::default() };
    Ok(Fixture { subject, _keep: vec![Box::new(server)] })
}

/// A fixture of a folder with these files.
pub(crate) fn folder(files: &[(&str, &str)]) -> io::Result<Fixture> {
    let folder = tempfile::tempdir()?;
    for (name, text) in files {
        let path = folder.path().join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, text)?;
    }
    let subject = Subject { repo: Some(folder.path().to_owned()), ..Subject::default() };
    Ok(Fixture { subject, _keep: vec![Box::new(folder)] })
}

/// Makes the fixture's folder a Git repository and commits these files (all, when none is named).
pub(crate) fn commit(folder: &Path, files: &[&str]) -> io::Result<()> {
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.arg("-C").arg(folder).args(["-c", "user.name=fixture", "-c", "user.email=fixture@localhost"]);
        let output = command.args(arguments).output()?;
        match output.status.success() {
            true => Ok(()),
            false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())),
        }
    };
    if !folder.join(".git").exists() {
        run(&["init", "-q"])?;
    }
    let mut adding = vec!["add", "-f"];
    adding.extend(if files.is_empty() { &["."][..] } else { files });
    run(&adding)?;
    run(&["commit", "-q", "--no-gpg-sign", "-m", "fixture"])
}

/// Appends a line to a fixture's log.
pub(crate) fn append(path: &Path, line: &str) {
    let file = std::fs::OpenOptions::new().append(true).open(path);
    // A fixture without its log is one that the probe must notice.
    let _ = file.and_then(|mut file| io::Write::write_all(&mut file, line.as_bytes()));
}

impl Fixture {
    /// Adds something that must live as long.
    pub(crate) fn keep(mut self, thing: impl Any + Send) -> Self {
        self._keep.push(Box::new(thing));
        self
    }
}

/// How a copy behaves in a drill.
#[derive(Clone, Copy)]
pub(crate) struct Manners {
    /// Finishes requests in flight on SIGTERM.
    pub drains: bool,
    /// Says *not ready* while it drains.
    pub tells_readiness: bool,
    /// Comes back after the app is killed.
    pub heals: bool,
}

/// Starts in-process copies: `GET /slow?seconds=N`, everything else answers at once.
pub(crate) struct FixtureLauncher(pub Manners);

struct FixtureCopy {
    manners: Manners,
    server: Option<Server>,
    admin: Server,
    url: UpstreamAddress,
    stopping: Shutdown,
    healing: Shutdown,
}

/// A fixture whose copies have these manners.
pub(crate) fn launching(manners: Manners) -> Fixture {
    let mut subject = Subject { launcher: Some(Arc::new(FixtureLauncher(manners))), ..Subject::default() };
    subject.hints.slow_path = Some("/slow?seconds={seconds}".into());
    Fixture { subject, _keep: Vec::new() }
}

fn slow_or_fast() -> Answering {
    Arc::new(|request| {
        let seconds = request.uri().query().and_then(|query| query.strip_prefix("seconds=")?.parse::<f64>().ok());
        Box::pin(async move {
            if let Some(seconds) = seconds {
                sleep(Duration::from_secs_f64(seconds.clamp(0.0, 60.0))).await;
            }
            reply(200, &[], "done")
        })
    })
}

impl Launcher for FixtureLauncher {
    fn start<'a>(&'a self, _: &'a Transcript) -> Working<'a, Result<Box<dyn ScratchCopy>, String>> {
        Box::pin(async move {
            let explain = |error: io::Error| error.to_string();
            let stopping = Shutdown::new();
            let (state, manners) = (stopping.clone(), self.0);
            let admin = answering(move |request| match request.uri().path() {
                "/livez" => reply(200, &[], "ok"),
                "/readyz" if !manners.tells_readiness => reply(200, &[], "ok"),
                "/readyz" => reply(if state.has_begun() { 503 } else { 200 }, &[], ""),
                _ => reply(404, &[], ""),
            });
            let server = Server::start(slow_or_fast(), ServerOptions::default()).map_err(explain)?;
            let admin = Server::start(admin, ServerOptions::default()).map_err(explain)?;
            let url = server.address.clone();
            let healing = Shutdown::new();
            Ok(Box::new(FixtureCopy { manners, server: Some(server), admin, url, stopping, healing })
                as Box<dyn ScratchCopy>)
        })
    }
}

impl ScratchCopy for FixtureCopy {
    fn url(&self) -> UpstreamAddress {
        self.url.clone()
    }

    fn admin(&self) -> Option<UpstreamAddress> {
        Some(self.admin.address.clone())
    }

    fn terminate(&mut self) -> Result<(), String> {
        self.stopping.begin();
        match &self.server {
            Some(server) if self.manners.drains => server.drain.begin(),
            _ => self.server = None,
        }
        Ok(())
    }

    fn kill_app<'a>(&'a mut self) -> Working<'a, Result<(), String>> {
        Box::pin(async move {
            let port = self.server.take().map_or(0, |server| server.port);
            if self.manners.heals {
                let order = self.healing.clone();
                self.healing.spawn(async move {
                    sleep(Duration::from_millis(100)).await;
                    // Lives until the copy is dropped.
                    if let Ok(server) =
                        Server::start(slow_or_fast(), ServerOptions { port, ..ServerOptions::default() })
                    {
                        order.ordered().await;
                        drop(server);
                    }
                });
            }
            Ok(())
        })
    }

    fn left_behind(&self) -> bool {
        false
    }

    fn ended<'a>(&'a mut self, patience: Duration) -> Working<'a, Option<Ending>> {
        Box::pin(async move {
            if let Some(server) = &self.server {
                server.drain.finished(sleep(patience)).await.then_some(())?;
            }
            let signal = if self.manners.drains { None } else { Some(15) };
            Some(Ending { code: signal.is_none().then_some(0), signal })
        })
    }
}

impl Drop for FixtureCopy {
    fn drop(&mut self) {
        self.healing.begin();
    }
}
