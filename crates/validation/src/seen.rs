//! Paths as the app sees them: the document describes those, whatever clients ask for.

use std::{fmt, sync::Arc};

use http::Method;

use crate::{contract::Contract, paths::Found};

/// The path that the app gets for one that was asked for.
pub type PathSeen = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// How a route changes paths on the way to the app.
#[derive(Clone)]
pub struct SeenByApp {
    /// The path that the app gets for this one; `None`: it gets none.
    pub path: PathSeen,
    /// Its document may have the path with what was taken off too: an app that heeds `X-Forwarded-Prefix` puts it back.
    pub also_as_asked: bool,
}

impl fmt::Debug for SeenByApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenByApp").field("also_as_asked", &self.also_as_asked).finish_non_exhaustive()
    }
}

impl Contract {
    /// What the document has for a request. `seen` is the app's path where it is another one.
    pub(crate) fn find<'a>(
        &'a self,
        method: &Method,
        asked: &'a str,
        seen: Option<&'a str>,
        also_as_asked: bool,
    ) -> Found<'a> {
        let Some(seen) = seen else { return self.paths.find(method, asked) };
        let first = self.paths.find(method, seen);
        let is_known = |found: &Found<'_>| matches!(found, Found::Operation(..));
        if is_known(&first) {
            return first;
        }
        // What its servers begin with was taken off, perhaps: then only the templates themselves are left.
        let others = [
            also_as_asked.then(|| self.paths.find(method, asked)),
            self.without_servers.as_ref().map(|paths| paths.find(method, seen)),
        ];
        others.into_iter().flatten().find(is_known).unwrap_or(first)
    }
}
