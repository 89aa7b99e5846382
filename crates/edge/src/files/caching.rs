//! How long clients may keep a file without asking again (RFC 9111, 5.2.2; `immutable` is RFC 8246).

use http::HeaderValue;

use super::{FilesPolicy, hashed_name, media_type};

/// A year, the longest that anyone honours.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Keep it, but ask each time.
const ASK: HeaderValue = HeaderValue::from_static("no-cache");

/// The rules of one route.
#[derive(Debug, Clone)]
pub(crate) struct Caching {
    others: HeaderValue,
    hashed_names: bool,
    /// Each ends in a slash.
    immutable: Vec<String>,
}

impl Caching {
    /// From the route's policy.
    pub(crate) fn new(policy: &FilesPolicy) -> Self {
        let others = match policy.max_age.0.as_secs() {
            0 => ASK,
            seconds => HeaderValue::try_from(format!("max-age={seconds}")).unwrap_or(ASK),
        };
        let immutable = policy.immutable.iter().map(|folder| format!("{}/", folder.trim_matches('/'))).collect();
        Self { others, hashed_names: policy.hashed_names, immutable }
    }

    /// `Cache-Control` of a file. Pages name the files that belong to them, so a page is always asked for again.
    pub(crate) fn control(&self, request_path: &str, relative: &str, media_type: &str) -> HeaderValue {
        if media_type::is_page(media_type) {
            return ASK;
        }
        let named = self.immutable.iter().any(|folder| relative.starts_with(folder));
        if named || (self.hashed_names && hashed_name::is_hashed(request_path)) { FOREVER } else { self.others.clone() }
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_config::HumanDuration;

    use super::*;

    #[test]
    fn pages_are_asked_for_and_hashed_names_are_kept() {
        let policy = FilesPolicy { immutable: vec!["/build".into()], ..FilesPolicy::default() };
        let caching = Caching::new(&policy);
        let control = |path: &str, kind: &str| caching.control(path, path.trim_start_matches('/'), kind);
        assert_eq!(control("/index.html", "text/html"), ASK);
        assert_eq!(control("/page-3f2a9c1b.html", "text/html"), ASK);
        assert_eq!(control("/main.3f2a9c1b.js", "text/javascript"), FOREVER);
        assert_eq!(control("/main.js", "text/javascript"), ASK);
        assert_eq!(control("/build/main.js", "text/javascript"), FOREVER);
        assert_eq!(control("/builder/main.js", "text/javascript"), ASK);
        assert_eq!(control("/build/a.html", "text/html"), ASK);
    }

    #[test]
    fn the_policy_decides_about_the_rest() {
        let policy =
            FilesPolicy { max_age: HumanDuration::seconds(300), hashed_names: false, ..FilesPolicy::default() };
        let caching = Caching::new(&policy);
        assert_eq!(caching.control("/main.3f2a9c1b.js", "main.3f2a9c1b.js", "text/javascript"), "max-age=300");
    }
}
