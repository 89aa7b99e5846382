//! What the app says of its paths, as clients know them: `Location` and the paths of cookies.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_LOCATION, LOCATION, SET_COOKIE},
};

use super::path::below;

/// Turns the app's paths round: what begins with `app` begins with `client` instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Back {
    pub app: String,
    pub client: String,
}

impl Back {
    /// Changes the headers of one answer. `hosts` are the names under which the client asked: addresses of others stay.
    pub(super) fn turn(&self, headers: &mut HeaderMap, hosts: &[HeaderValue]) {
        for name in [LOCATION, CONTENT_LOCATION] {
            self.each(headers, &name, |text| self.location(text, hosts));
        }
        self.each(headers, &SET_COOKIE, |text| self.cookie(text));
    }

    fn each(&self, headers: &mut HeaderMap, name: &HeaderName, change: impl Fn(&str) -> Option<String>) {
        let http::header::Entry::Occupied(mut entry) = headers.entry(name) else { return };
        for value in entry.iter_mut() {
            let changed = value.to_str().ok().and_then(&change).and_then(|text| HeaderValue::try_from(text).ok());
            if let Some(changed) = changed {
                *value = changed;
            }
        }
    }

    /// A path that the client can ask for; `None` when it stays.
    fn path(&self, path: &str) -> Option<String> {
        let end = path.find(['?', '#']).unwrap_or(path.len());
        let (path, rest) = path.split_at(end);
        // An app that heeds X-Forwarded-Prefix has said it already.
        if below(path, &self.client).is_some() && below(&self.client, &self.app).is_some() {
            return None;
        }
        let path = below(path, &self.app)?;
        Some(format!("{}{path}{rest}", self.client))
    }

    fn location(&self, text: &str, hosts: &[HeaderValue]) -> Option<String> {
        if text.starts_with('/') && !text.starts_with("//") {
            return self.path(text);
        }
        let (scheme, rest) = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
        let (host, path) = rest.split_at(rest.find('/')?);
        let ours = hosts.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(host.as_bytes()));
        ours.then(|| self.path(path).map(|path| format!("{scheme}://{host}{path}"))).flatten()
    }

    /// `Path=/items` becomes `Path=/v1/items`. `Path=/` stays: it holds for the paths below the prefix too.
    fn cookie(&self, text: &str) -> Option<String> {
        let mut changed = false;
        let parts = text.split(';').enumerate().map(|(place, part)| {
            let Some((name, path)) = part.split_once('=').filter(|_| place > 0) else { return part.to_owned() };
            let path = path.trim();
            match self.path(path).filter(|_| name.trim().eq_ignore_ascii_case("path") && path != "/") {
                Some(path) => {
                    changed = true;
                    format!("{name}={path}")
                }
                None => part.to_owned(),
            }
        });
        let parts: Vec<String> = parts.collect();
        changed.then(|| parts.join(";"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_app_says_of_its_paths_is_turned_round() {
        let back = Back { app: String::new(), client: "/v1".into() };
        let hosts = [HeaderValue::from_static("shop.test")];
        let location = |text: &str| back.location(text, &hosts).unwrap_or_else(|| text.to_owned());
        assert_eq!(location("/items/7?a=/b"), "/v1/items/7?a=/b");
        assert_eq!(location("https://shop.test/items"), "https://shop.test/v1/items");
        for same in [
            "/v1/items",
            "/v1",
            "https://other.test/items",
            "https://shop.test",
            "//other.test/x",
            "next",
            "?page=2",
            "mailto:a@b",
        ] {
            assert_eq!(location(same), same);
        }
        assert_eq!(location("/v10"), "/v1/v10");
        let cookie = |text: &str| back.cookie(text).unwrap_or_else(|| text.to_owned());
        assert_eq!(cookie("a=1; Path=/items; HttpOnly"), "a=1; Path=/v1/items; HttpOnly");
        for same in ["path=/x", "a=1; path=/", "a=1; Path=/v1/items", "a=1", "a=path=/x; Secure"] {
            assert_eq!(cookie(same), same);
        }
        let other = Back { app: "/api".into(), client: "/v1".into() };
        assert_eq!(other.location("/api/items", &hosts).as_deref(), Some("/v1/items"));
        assert_eq!(other.location("/login", &hosts), None);
    }
}
