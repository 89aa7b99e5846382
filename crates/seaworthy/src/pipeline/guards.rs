//! No way past a policy: what a route says of a place in the app holds on every way there.
//!
//! A route that rewrites paths can end where another route has limits, a sign-in or uploads: with `strip_prefix = "/api"`,
//! `/api/login` is the app's `/login`. So such a way gets a pipeline of its own, with what both routes ask for: the stricter
//! where one is, and both where they count.

use seaworthy_api::{Reach, Way};
use seaworthy_config::ByteSize;
use seaworthy_edge::{Pattern, RouteError};
use seaworthy_protection::{Load, Login, Overload, RateHeaders, RateLimit, RateSetting};
use seaworthy_uploads::Upload;

use super::{Shared, body_limit};
use crate::config::{Config, RouteEntry};

/// The route of a place in the app, to which another route leads.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    /// What it counts under, whichever way a request came.
    pub name: String,
    pub entry: RouteEntry,
}

/// A way that no route names, through one that rewrites paths to the place of another one.
pub(super) struct Detour {
    pub pattern: Pattern,
    /// Of the route that rewrites.
    pub name: String,
    pub entry: RouteEntry,
    pub guard: Guard,
}

/// All ways of a config that lead to places with routes of their own.
#[derive(Default)]
pub(super) struct Ways {
    pub detours: Vec<Detour>,
    /// By number of the route, what guards the place to which all of it leads.
    whole: Vec<Option<Guard>>,
}

impl Ways {
    /// What guards the place to which this route leads as a whole.
    pub(super) fn guard(&self, number: usize) -> Option<&Guard> {
        self.whole.get(number)?.as_ref()
    }

    /// Of a config.
    ///
    /// # Errors
    /// A pattern that cannot be used.
    pub(super) fn of(config: &Config) -> Result<Self, RouteError> {
        let prefix = &config.api.prefix;
        let reach = |route: &RouteEntry| {
            let to_app = route.edge.files.is_none();
            to_app.then(|| Reach::of(&route.edge.r#match, &route.api.rewrite, prefix)).flatten()
        };
        let reaches: Vec<Option<Reach>> = config.routes.iter().map(reach).collect();
        // The most specific place first: of two whose routes a whole one leads to, it decides.
        let known = config.routes.iter().zip(&reaches).filter_map(|(route, reach)| Some((route, reach.as_ref()?)));
        let mut places: Vec<(&RouteEntry, &Reach)> = known.filter(|(_, reach)| reach.is_of_its_place()).collect();
        places.sort_by_key(|(_, reach)| reach.openness());
        let mut ways = Self::default();
        for (route, reach) in config.routes.iter().zip(&reaches) {
            let name = route.edge.r#match.trim();
            let guard = reach.as_ref().map(|reach| ways.through((name, route), reach, &places)).transpose()?.flatten();
            ways.whole.push(guard);
        }
        if prefix.version_prefix.is_some() {
            // Without a route of its own, all that has the prefix goes this way too.
            let mut fallback = RouteEntry::default();
            if let Some(reach) = Reach::of("/*", &fallback.api.rewrite, prefix) {
                fallback.edge.r#match = reach.asked_for();
                if let Some(guard) = ways.through(("*", &fallback), &reach, &places)? {
                    let pattern: Pattern = reach.asked_for().parse()?;
                    ways.detours.push(Detour { name: "*".into(), pattern, entry: fallback, guard });
                }
            }
        }
        Ok(ways)
    }

    /// Adds the detours through this route; what guards it as a whole.
    fn through(
        &mut self,
        (name, route): (&str, &RouteEntry),
        reach: &Reach,
        places: &[(&RouteEntry, &Reach)],
    ) -> Result<Option<Guard>, RouteError> {
        let (own, asked) = method_and_path(&route.edge.r#match);
        let mut whole = None;
        for (target, place) in places.iter().filter(|(target, _)| !std::ptr::eq(*target, route)) {
            let (wanted, _) = method_and_path(&target.edge.r#match);
            // HEAD is GET without the body, in the route table too.
            let method = match (own, wanted) {
                (Some("HEAD"), Some("GET")) => own,
                (Some(one), Some(other)) if one != other => continue,
                (one, other) => one.or(other),
            };
            let guard = || Guard { name: target.edge.r#match.trim().to_owned(), entry: (*target).clone() };
            let path = match reach.way_to(place) {
                None => continue,
                // All of its methods, or some of them through a pipeline of their own.
                Some(Way::Whole) if whole.is_some() => continue,
                Some(Way::Whole) if wanted.is_none() || own.is_some() => {
                    whole = Some(guard());
                    continue;
                }
                Some(Way::Whole) => asked.to_owned(),
                Some(Way::Part(path)) => path,
            };
            let pattern = method.map_or_else(|| path.clone(), |method| format!("{method} {path}")).parse()?;
            self.detours.push(Detour { pattern, name: name.to_owned(), entry: route.clone(), guard: guard() });
        }
        Ok(whole)
    }
}

fn method_and_path(matched: &str) -> (Option<&str>, &str) {
    match matched.trim().split_once(char::is_whitespace) {
        Some((method, path)) => (Some(method), path.trim()),
        None => (None, matched.trim()),
    }
}

/// What the guard adds beside the route's own layers: what it counts is counted there, under its name.
#[derive(Default)]
pub(super) struct Added {
    pub rate: Option<RateLimit>,
    pub login: Option<Login>,
    pub upload: Option<Upload>,
    pub load: Option<Overload>,
}

impl Guard {
    /// The layers of the guard.
    pub(super) fn layers(&self, config: &Config, shared: &Shared) -> Added {
        let Self { name, entry } = self;
        let protection = &entry.protection;
        let rates = protection.rate.as_ref().map(RateSetting::policies).unwrap_or_default();
        let login = protection.login.as_ref();
        let limits_load = protection.concurrency.is_some() || protection.latency_target.is_some();
        let health = config.app.health.as_deref();
        let load = |load: &Load| load.layer(name, &config.protection.overload, protection, health);
        Added {
            // The route's own rate tells of itself; two of them in one answer would be read as one.
            rate: shared.limits.layer(name, rates, protection.cost.unwrap_or(1), RateHeaders::Off),
            login: login.map(|login| Login::layer(name, login, &shared.guesses, &shared.limits)),
            upload: shared.uploads.layer(name, entry.uploads.upload.as_ref()),
            load: if limits_load { load(&shared.load) } else { None },
        }
    }

    /// A route with what the guard asks for: the stricter of both, and the guard's where the route says nothing.
    pub(super) fn over(&self, route: &RouteEntry, config: &Config, shared: &Shared) -> RouteEntry {
        let (place, mut both) = (&self.entry, route.clone());
        let limit = |route: &RouteEntry| body_limit(route, config, shared);
        both.protection.body_limit = Some(ByteSize(limit(route).0.min(limit(place).0)));
        let auth = |route: &RouteEntry| route.identity.auth.unwrap_or(config.identity.auth);
        both.identity.auth = Some(auth(route).max(auth(place)));
        let mode = |route: &RouteEntry| route.validation.validate.unwrap_or(config.validation.mode);
        both.validation.validate = Some(mode(route).max(mode(place)));
        let limits = |route: &RouteEntry| route.validation.json_limits.unwrap_or(config.validation.json.everywhere);
        both.validation.json_limits = Some(limits(route) || limits(place));
        both.protection.cors = route.protection.cors.clone().or_else(|| place.protection.cors.clone());
        both.protection.headers = route.protection.headers.clone().or_else(|| place.protection.headers.clone());
        both.protection.traces = route.protection.traces.or(place.protection.traces);
        both.cache.cache = route.cache.cache.clone().or_else(|| place.cache.cache.clone());
        both.api.idempotency = route.api.idempotency.clone().or_else(|| place.api.idempotency.clone());
        both.api.deprecated = route.api.deprecated.clone().or_else(|| place.api.deprecated.clone());
        both
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_config::Document;
    use seaworthy_identity::AuthMode;
    use seaworthy_validation::Mode;

    use super::*;

    fn config(text: &str) -> Config {
        let text = format!("[app]\nto = \"http://127.0.0.1:1\"\n{text}");
        let mut document = Document::parse("seaworthy.toml", text, std::iter::empty()).unwrap();
        let config = Config::read(&mut document);
        document.finish().unwrap();
        config
    }

    /// The detours, each with its route and its guard, and the guards of whole routes.
    fn ways(text: &str) -> (Vec<String>, Vec<Option<String>>) {
        let ways = Ways::of(&config(text)).unwrap();
        let detour = |one: &Detour| format!("{}: {} over {}", one.pattern, one.guard.name, one.name);
        let whole = ways.whole.iter().map(|guard| guard.as_ref().map(|guard| guard.name.clone()));
        (ways.detours.iter().map(detour).collect(), whole.collect())
    }

    #[test]
    fn every_way_to_a_guarded_place_is_found() {
        let routes = "[[route]]\nmatch = \"POST /login\"\n[[route]]\nmatch = \"/login\"\n[[route]]\nmatch = \"/*\"\n\
                      [[route]]\nmatch = \"/api/*\"\nstrip_prefix = \"/api\"\n\
                      [[route]]\nmatch = \"GET /sign-in\"\nrewrite = \"/login\"\n";
        let (detours, whole) = ways(routes);
        assert_eq!(detours, ["POST /api/login: POST /login over /api/*", "/api/login: /login over /api/*"]);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(whole, [None, None, None, some("/*"), some("/login")], "the most specific place, by its method");
        let versioned = "[api]\nversion_prefix = \"/v1\"\n[[route]]\nmatch = \"/login\"\nversioned = false\n\
                         [[route]]\nmatch = \"/v1/orders\"\n";
        assert_eq!(ways(versioned), (vec!["/v1/login: /login over *".to_owned()], vec![None, None]));
        assert_eq!(ways("[[route]]\nmatch = \"/a\"\n[[route]]\nmatch = \"/*\"\n").0, Vec::<String>::new());
    }

    #[test]
    fn the_stricter_of_both_holds() {
        let config = config(
            "[validation]\nmode = \"report\"\n[[route]]\nmatch = \"/a\"\nauth = \"optional\"\nbody_limit = \"3B\"\n\
             validate = \"enforce\"\n[[route]]\nmatch = \"/b\"\nrewrite = \"/a\"\nbody_limit = \"9B\"\n\
             auth = \"off\"\nvalidate = \"off\"\n",
        );
        let ways = Ways::of(&config).unwrap();
        let both = ways.guard(1).unwrap().over(&config.routes[1], &config, &Shared::default());
        assert_eq!((both.protection.body_limit, both.identity.auth), (Some(ByteSize(3)), Some(AuthMode::Optional)));
        assert_eq!(both.validation.validate, Some(Mode::Enforce));
        assert_eq!(both.api.rewrite.rewrite.as_deref(), Some("/a"));
    }
}
