//! A folder, served: the last service of a route's pipeline in place of [`crate::Forward`].
//!
//! In order: the path is understood ([`path`]), the file opened below the root and nowhere else ([`beneath`]), a variant
//! chosen ([`lookup`]), conditions and ranges evaluated ([`answer`]), the body streamed ([`body`]). All that touches the
//! disk runs off the core; a file of up to 64 KB costs one such trip.

mod answer;
mod beneath;
mod body;
mod caching;
mod conditions;
pub(crate) mod fuzzing;
mod hashed_name;
mod lookup;
mod media_type;
mod path;
mod policy;
mod problems;
mod ranges;

use std::{
    convert::Infallible,
    env,
    future::Future,
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Method, Request, Response, header, request::Parts};
use seaworthy_core::{Body, RequestContext, empty_body};
use thiserror::Error;
use tokio::task::spawn_blocking;
use tower::Service;

pub use policy::FilesPolicy;

use crate::routing::Pattern;
use answer::Refusal;
use beneath::{Entry, Root};
use caching::Caching;
use lookup::{Finder, Lookup};
use path::{Place, RequestPath};

/// Serves the files of one route.
#[derive(Debug, Clone)]
pub struct Files {
    folder: Arc<Folder>,
}

/// What a route needs to know of its folder.
#[derive(Debug)]
struct Folder {
    root: PathBuf,
    strip: String,
    finder: Finder,
    caching: Caching,
}

/// A route whose files cannot be served. Nothing is started then.
#[derive(Debug, Error)]
pub enum FilesError {
    /// Not there, no folder, or no permission.
    #[error(
        "the route `{route}` cannot serve `{root}`: {reason}. Build the files first, or correct `files.root`; it is \
         relative to the working folder"
    )]
    Root {
        /// The route's pattern.
        route: String,
        /// As written.
        root: String,
        /// The system's.
        reason: io::Error,
    },
    /// It would publish the config and the source.
    #[error(
        "the route `{route}` would serve `{root}`, which holds the working folder with its config and source code. Put \
         what is public into a folder of its own, and name that as `files.root`"
    )]
    TooMuch {
        /// The route's pattern.
        route: String,
        /// As written.
        root: String,
    },
    /// A single-page app without its page.
    #[error(
        "the route `{route}` has `spa = true`, but `{root}` has no file `{index}`. Build the app first, or correct \
         `files.root` or `files.index`"
    )]
    NoIndex {
        /// The route's pattern.
        route: String,
        /// As written.
        root: String,
        /// As written.
        index: String,
    },
    /// Not the front of a path.
    #[error("the route `{route}` cannot take `{strip}` off its paths: write for example `/assets`")]
    Strip {
        /// The route's pattern.
        route: String,
        /// As written, or from the pattern.
        strip: String,
    },
}

impl Files {
    /// Looks at the folder and makes the service of a route with this pattern.
    pub fn build(policy: &FilesPolicy, pattern: &Pattern) -> Result<Self, FilesError> {
        let (route, written) = (pattern.to_string(), policy.root.clone());
        let unusable = |reason| FilesError::Root { route: route.clone(), root: written.clone(), reason };
        // Made absolute but not resolved: a deploy may point a link at the next release.
        let root = std::path::absolute(&policy.root).map_err(unusable)?;
        let real = root.canonicalize().map_err(unusable)?;
        let opened = Root::open(&root).map_err(unusable)?;
        if env::current_dir().and_then(|working| working.canonicalize()).is_ok_and(|working| working.starts_with(&real))
        {
            return Err(FilesError::TooMuch { route, root: written });
        }
        if policy.spa && !matches!(opened.entry(&policy.index).map_err(unusable)?, Entry::File(_)) {
            return Err(FilesError::NoIndex { route, root: written, index: policy.index.clone() });
        }
        let strip = policy.strip.as_deref().unwrap_or_else(|| literal_front(pattern.path()));
        let Some(strip) = path::prefix(strip) else { return Err(FilesError::Strip { route, strip: strip.into() }) };
        let finder = Finder { index: policy.index.clone(), spa: policy.spa };
        Ok(Self { folder: Arc::new(Folder { root, strip, finder, caching: Caching::new(policy) }) })
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        drop(body);
        let Some(context) = parts.extensions.get::<Arc<RequestContext>>().cloned() else {
            // Only the edge calls a pipeline, and it always adds the context.
            return Response::new(empty_body());
        };
        let answered = match self.folder.place(&parts) {
            Ok(RequestPath::Place(place)) => {
                let navigates = context.wants_html;
                let folder = self.folder;
                let answered = spawn_blocking(move || folder.answer(&place, &parts, navigates)).await;
                answered.unwrap_or_else(|stopped| Err(io::Error::other(stopped).into()))
            }
            Ok(RequestPath::Respelled(path)) => answer::redirect(&path, parts.uri.query()),
            Err(refusal) => Err(refusal),
        };
        answered.unwrap_or_else(|refusal| refusal.into_response(&context))
    }
}

impl Folder {
    /// Which place a request names, or where it should go to name it. Touches no disk.
    fn place(&self, request: &Parts) -> Result<RequestPath, Refusal> {
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return Err(Refusal::new(&problems::METHOD).with(header::ALLOW, HeaderValue::from_static("GET, HEAD")));
        }
        path::parse(request.uri.path(), &self.strip).ok_or(Refusal::new(&problems::NOT_FOUND))
    }

    /// Answers from the disk; blocks.
    fn answer(&self, place: &Place, request: &Parts, navigates: bool) -> Result<Response<Body>, Refusal> {
        let root = Root::open(&self.root)?;
        match self.finder.find(&root, place, &request.headers, navigates)? {
            Lookup::Found(found) => {
                let cache = self.caching.control(request.uri.path(), &found.name, found.media_type);
                answer::answer(found, request, cache)
            }
            Lookup::Redirect => answer::redirect(&format!("{}/", request.uri.path()), request.uri.query()),
            Lookup::Missing => Err(Refusal::new(&problems::NOT_FOUND)),
        }
    }
}

impl Service<Request<Body>> for Files {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let files = self.clone();
        Box::pin(async move { Ok(files.answer(request).await) })
    }
}

/// The part of a pattern that every path of it begins with, up to a slash; nothing for a pattern that is one path.
fn literal_front(pattern: &str) -> &str {
    let Some(end) = pattern.find(['*', '{']) else { return "" };
    let front = &pattern[..end];
    front.rfind('/').map_or("", |slash| &front[..slash])
}

#[cfg(test)]
mod tests;
