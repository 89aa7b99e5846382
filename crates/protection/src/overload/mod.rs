//! So much work at once and no more: fixed limits on concurrent requests, and load shedding that follows the app's latency.
//!
//! What is refused is answered 503 with `Retry-After` (RFC 9110, 15.6.4) at once, so that what is let in is still answered
//! in time. Requests of low priority go first; the app's health checks are never refused. This layer is the last one before
//! the app: what a cache answers costs the app nothing, and is not counted.

mod places;
mod sending;
mod service;
mod settings;
mod shedder;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use http::StatusCode;
use seaworthy_core::ProblemKind;
use tower::Layer;

pub(crate) use self::settings::validate;
use self::{places::Places, shedder::Shedder};
pub use self::{
    service::{OverloadFuture, OverloadService},
    settings::{OverloadSettings, Priority},
};
use crate::settings::RoutePolicy;

const FULL: ProblemKind = ProblemKind {
    code: "SEA_PROTECTION_CONCURRENCY_LIMITED",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "Too many requests at once",
    advice: "Try again shortly. Operators: `concurrency` of the route or of [protection.overload] sets the limit.",
};
const SHED: ProblemKind = ProblemKind {
    code: "SEA_PROTECTION_OVERLOADED",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "The app has more to do than it can",
    advice: "Try again shortly. Operators: its answers take longer than `latency_target`; add instances, or give what \
             matters least `priority = \"low\"`.",
};

/// What all routes and cores have together; it outlives a reload. Clones are one.
#[derive(Clone, Default)]
pub struct Load(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    places: HashMap<String, Weak<Places>>,
    shedders: HashMap<String, Weak<Shedder>>,
}

/// The layer of one route.
#[derive(Clone)]
pub struct Overload(Arc<Guard>);

struct Guard {
    priority: Priority,
    /// Of all routes together, and of this one; so many may be taken.
    places: Vec<(Arc<Places>, usize)>,
    shedding: Option<(Arc<Shedder>, Duration)>,
    /// The path of the app's health checks, and their query where they have one.
    health: Option<(String, Option<String>)>,
}

impl Load {
    /// The layer of this route, or none where nothing is limited.
    pub fn layer(
        &self,
        route: &str,
        settings: &OverloadSettings,
        policy: &RoutePolicy,
        health: Option<&str>,
    ) -> Option<Overload> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut places = Vec::new();
        let count = |most: u32| usize::try_from(most).unwrap_or(usize::MAX);
        if let Some(most) = settings.concurrency {
            // No route is named so.
            places.push((find(&mut known.places, "", Places::default), policy.priority.share(count(most))));
        }
        if let Some(most) = policy.concurrency {
            places.push((find(&mut known.places, route, Places::default), count(most)));
        }
        // A route with a target of its own is judged apart: its answers say nothing of the others'.
        let own = policy.latency_target.map(|target| (route, target));
        let shedding = own.or(settings.latency_target.map(|target| ("", target)));
        let shedding =
            shedding.map(|(name, target)| (find(&mut known.shedders, name, || Shedder::new(Instant::now())), target.0));
        // Without a query it is known by its path; with one, the path alone may be any page's.
        let health = health.map(|health| match health.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
            None => (health.to_owned(), None),
        });
        let guard = Guard { priority: policy.priority, places, shedding, health };
        (!guard.places.is_empty() || guard.shedding.is_some()).then(|| Overload(Arc::new(guard)))
    }
}

fn find<T>(known: &mut HashMap<String, Weak<T>>, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
    known.retain(|_, one| one.strong_count() > 0);
    known.get(name).and_then(Weak::upgrade).unwrap_or_else(|| {
        let one = Arc::new(make());
        known.insert(name.to_owned(), Arc::downgrade(&one));
        one
    })
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load").finish_non_exhaustive()
    }
}

impl fmt::Debug for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overload").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for Overload {
    type Service = OverloadService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        OverloadService::new(inner, self.0.clone())
    }
}
