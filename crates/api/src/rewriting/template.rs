//! A route's new path: `/orders/{id}/*` from `/v1/order/{id}/*`.

use super::path::is_plain;

/// Why a template cannot be used, as a person reads it.
pub(super) type Wrong = String;

/// How a path becomes another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

/// A segment of the new path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(String),
    /// The segment at this place of the old path.
    Segment(usize),
    /// Everything from this place on.
    Rest(usize),
}

impl Template {
    /// From a route's path and what its paths become.
    pub(super) fn new(from: &str, to: &str) -> Result<Self, Wrong> {
        let Some(to) = to.strip_prefix('/') else { return Err("it must start with `/`".into()) };
        if to.contains(['?', '#']) {
            return Err("the query stays as it is, and cannot be written here".into());
        }
        // In more than one spelling it would be a place with more than one policy.
        if !is_plain(&format!("/{to}")) {
            return Err("it must be written plainly, without empty segments, dots and needless escapes".into());
        }
        let from: Vec<&str> = from.strip_prefix('/').unwrap_or(from).split('/').collect();
        let count = to.split('/').count();
        let piece = |(place, segment): (usize, &str)| match segment {
            "*" if place + 1 == count => match from.last() {
                Some(&"*") => Ok(Piece::Rest(from.len() - 1)),
                _ => Err("`*` stands for what `match` has in the place of its own `*`, and it has none".into()),
            },
            name if name.starts_with('{') && name.ends_with('}') => {
                match from.iter().position(|known| *known == name) {
                    Some(place) => Ok(Piece::Segment(place)),
                    None => Err(format!("`match` has no segment `{name}`")),
                }
            }
            literal if literal.contains(['{', '}', '*', '\\']) => {
                Err(format!("`{literal}`: a parameter or `*` takes a whole segment"))
            }
            literal => Ok(Piece::Literal(literal.to_owned())),
        };
        to.split('/').enumerate().map(piece).collect::<Result<_, Wrong>>().map(Self)
    }

    /// Segment by segment.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The new path; `None` for a path that the route does not have.
    pub(super) fn apply(&self, path: &str) -> Option<String> {
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let mut new = String::with_capacity(path.len());
        for piece in &self.0 {
            new.push('/');
            match piece {
                Piece::Literal(text) => new.push_str(text),
                Piece::Segment(place) => new.push_str(segments.get(*place)?),
                Piece::Rest(place) => new.push_str(&segments.get(*place..)?.join("/")),
            }
        }
        Some(new)
    }

    /// The part in front of `*`, when nothing but it changes.
    pub(super) fn prefix(&self) -> Option<String> {
        let (last, front) = self.0.split_last()?;
        let literals = front.iter().map(|piece| match piece {
            Piece::Literal(text) => Some(format!("/{text}")),
            Piece::Segment(_) | Piece::Rest(_) => None,
        });
        matches!(last, Piece::Rest(_)).then(|| literals.collect())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_the_rest_come_along() {
        let applied = |from: &str, to: &str, path: &str| Template::new(from, to).unwrap().apply(path).unwrap();
        assert_eq!(applied("/v1/*", "/api/*", "/v1/a/b"), "/api/a/b");
        assert_eq!(applied("/v1/*", "/api/*", "/v1/"), "/api/");
        assert_eq!(applied("/v1/*", "/*", "/v1/a%20b"), "/a%20b");
        assert_eq!(applied("/v1/{kind}/{id}", "/get/{id}/of/{kind}", "/v1/order/7"), "/get/7/of/order");
        assert_eq!(applied("/old", "/new/", "/old"), "/new/");
        assert_eq!(applied("/old", "/", "/old"), "/");
        assert_eq!(Template::new("/v1/*", "/api/x/*").unwrap().prefix().as_deref(), Some("/api/x"));
        assert_eq!(Template::new("/v1/*", "/*").unwrap().prefix().as_deref(), Some(""));
        assert_eq!(Template::new("/v1/{a}/*", "/{a}/*").unwrap().prefix(), None);
        assert_eq!(Template::new("/a", "/b").unwrap().prefix(), None);
    }

    #[test]
    fn what_cannot_be_filled_is_refused() {
        for (from, to) in [
            ("/a", "b"),
            ("/a", "/b/*"),
            ("/a/*", "/*/b"),
            ("/a/{x}", "/{y}"),
            ("/a/{x}", "/n{x}"),
            ("/a", "/b?c=1"),
            ("/a", "//b"),
            ("/a", "//"),
            ("/a", "/x/../login"),
            ("/a", "/%6cogin"),
        ] {
            assert!(Template::new(from, to).is_err(), "{from} {to}");
        }
    }
}
