//! What anybody may send: values in the queries and paths of GET routes, with something put in their place.

mod payloads;
pub(super) mod sanitization;
pub(super) mod sql;

use percent_encoding::percent_decode_str;

use crate::{
    openapi::QueryParameter,
    routes::{Origin, Route},
    subject::Subject,
};

/// More are left out, and said to be.
const MOST: usize = 24;

/// One value that a GET route takes from its address.
#[derive(Debug, Clone)]
struct Parameter {
    /// `/items?q=` or `/items/{id}`: for people.
    title: String,
    /// A value that fits.
    value: String,
    /// The address before and behind the value.
    before: String,
    behind: String,
}

/// Those that are known, and how many are left out.
#[derive(Debug, Default)]
struct Parameters {
    all: Vec<Parameter>,
    left_out: usize,
}

impl Parameter {
    /// The path with this in the value's place, encoded.
    fn with(&self, value: &str) -> String {
        format!("{}{}{}", self.before, encoded(value), self.behind)
    }
}

impl Subject {
    /// The parameters of GET routes that anybody may call and that change nothing by their names.
    async fn parameters(&self) -> Parameters {
        let routes = self.routes().await.all.iter();
        let open = routes.filter(|route| route.method == "GET" && !route.secured && !route.changes_something());
        let mut found = Parameters::default();
        for parameter in open.flat_map(of_route) {
            match found.all.len() < MOST {
                true => found.all.push(parameter),
                false => found.left_out += 1,
            }
        }
        found
    }
}

fn of_route(route: &Route) -> Vec<Parameter> {
    let mut found = in_path(route);
    if route.origin == Origin::Named
        && let Some((path, query)) = route.path.split_once('?')
    {
        let pairs: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        for (place, (name, value)) in pairs.iter().enumerate() {
            let others = pairs.iter().enumerate().filter(|(other, _)| *other != place);
            let others: String = others.map(|(_, (name, value))| format!("&{name}={value}")).collect();
            found.push(in_query(path, name, &decoded(value), others));
        }
    }
    for parameter in &route.query {
        let needed = route.query.iter().filter(|other| other.required && other.name != parameter.name);
        let others: String =
            needed.map(|QueryParameter { name, value, .. }| format!("&{}={value}", encoded(name))).collect();
        found.push(in_query(&route.path, &encoded(&parameter.name), &decoded(&parameter.value), others));
    }
    found
}

fn in_query(path: &str, name: &str, value: &str, others: String) -> Parameter {
    Parameter {
        title: format!("{path}?{name}="),
        value: value.to_owned(),
        before: format!("{path}?{name}="),
        behind: others,
    }
}

/// Segments that the template names.
fn in_path(route: &Route) -> Vec<Parameter> {
    let (path, query) = route.path.split_once('?').map_or((route.path.as_str(), ""), |(path, query)| (path, query));
    let segments: Vec<&str> = path.split('/').collect();
    let template: Vec<&str> = route.template.split('?').next().unwrap_or_default().split('/').collect();
    if segments.len() != template.len() {
        return Vec::new();
    }
    let needed = route.query.iter().filter(|one| one.required);
    let needed: Vec<String> = needed.map(|one| format!("{}={}", encoded(&one.name), one.value)).collect();
    let query = if query.is_empty() { needed.join("&") } else { query.to_owned() };
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    let named = template.iter().enumerate().filter(|(_, part)| part.starts_with('{') && part.ends_with('}'));
    let of = |place: usize| {
        let (before, behind) = (segments[..place].join("/"), segments[place + 1..].join("/"));
        let behind = if place + 1 < segments.len() { format!("/{behind}") } else { behind };
        Parameter {
            title: route.template.clone(),
            value: decoded(segments[place]),
            before: format!("{before}/"),
            behind: format!("{behind}{query}"),
        }
    };
    named.map(|(place, _)| of(place)).collect()
}

/// Percent-encoded, everything but what is plain in every part of an address (RFC 3986, 2.3).
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_an_address_is_a_parameter() {
        let query = |name: &str, required| QueryParameter { name: name.into(), value: "a%20b".into(), required };
        let route = Route {
            path: "/shops/7/items".into(),
            query: vec![query("q", true), query("page", false)],
            ..Route::plain("GET", "/shops/{shop}/items", Origin::OpenApi)
        };
        let shown: Vec<String> =
            of_route(&route).iter().map(|one| format!("{} {}", one.value, one.with("'"))).collect();
        assert_eq!(
            shown,
            ["7 /shops/%27/items?q=a%20b", "a b /shops/7/items?q=%27", "a b /shops/7/items?page=%27&q=a%20b"]
        );
        let named = Route { path: "/a?b=1&c=2".into(), ..Route::plain("GET", "/a?b=1&c=2", Origin::Named) };
        let shown: Vec<String> = of_route(&named).iter().map(|one| one.with("x y")).collect();
        assert_eq!(shown, ["/a?b=x%20y&c=2", "/a?c=x%20y&b=1"]);
    }
}
