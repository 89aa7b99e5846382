//! Where the paths of a document begin: the paths of its servers (OpenAPI 3.1.1, 4.8.5).

use serde_json::Value;

/// Values of variables that are tried together; a server of more is taken by its defaults.
const MOST_WAYS: usize = 64;

/// The paths under which an operation is served, without a slash at the end: its own servers', else its path's, else the
/// document's. `base` is the path that the document itself was read from, to which relative addresses belong.
pub(crate) fn base_paths(document: &Value, item: &Value, operation: &Value, base: &str) -> Vec<String> {
    let servers = [operation, item, document].into_iter().find_map(|one| one["servers"].as_array());
    let mut paths: Vec<String> = servers.into_iter().flatten().flat_map(|server| of_server(server, base)).collect();
    paths.sort();
    paths.dedup();
    if paths.is_empty() { vec![String::new()] } else { paths }
}

fn of_server(server: &Value, base: &str) -> Vec<String> {
    let url = server["url"].as_str().unwrap_or_default();
    let path = match url.split_once("://").map(|(_, rest)| rest).or_else(|| url.strip_prefix("//")) {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => url,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut ways = vec![path.to_owned()];
    for (name, variable) in server["variables"].as_object().into_iter().flatten() {
        let place = format!("{{{name}}}");
        if !path.contains(&place) {
            continue;
        }
        let listed = variable["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut values: Vec<&str> = variable["default"].as_str().into_iter().chain(listed).collect();
        values.dedup();
        if ways.len() * values.len() > MOST_WAYS {
            values.truncate(1);
        }
        ways = ways.iter().flat_map(|way| values.iter().map(|value| way.replace(&place, value))).collect();
    }
    ways.iter().map(|way| absolute(way, base)).collect()
}

/// RFC 3986, 5.2, for paths.
fn absolute(path: &str, base: &str) -> String {
    let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    let whole = if path.is_empty() || path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    let mut segments: Vec<&str> = Vec::new();
    for segment in whole.split('/') {
        match segment {
            "" | "." => {}
            ".." => _ = segments.pop(),
            name => segments.push(name),
        }
    }
    segments.iter().map(|segment| format!("/{segment}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_way_to_write_a_server_has_its_path() {
        let paths = |server: Value| {
            let document = json!({ "servers": [server] });
            base_paths(&document, &Value::Null, &Value::Null, "/docs/openapi.json")
        };
        for (url, path) in [
            ("https://api.example.test/v1", "/v1"),
            ("https://api.example.test", ""),
            ("//api.example.test/v1/", "/v1"),
            ("/v1", "/v1"),
            ("/", ""),
            ("", ""),
            (".", "/docs"),
            ("v1", "/docs/v1"),
            ("./v1", "/docs/v1"),
            ("../v1?x#y", "/v1"),
            ("../../..", ""),
        ] {
            assert_eq!(paths(json!({ "url": url })), [path], "{url}");
        }
        let variables =
            json!({ "version": { "default": "v1", "enum": ["v1", "v2"] }, "host": { "default": "a", "enum": ["b"] } });
        let both = paths(json!({ "url": "https://{host}.test/{version}/api", "variables": variables }));
        assert_eq!(both, ["/v1/api", "/v2/api"]);
        let operation = json!({ "servers": [{ "url": "/mine" }] });
        assert_eq!(base_paths(&json!({ "servers": [{ "url": "/all" }] }), &Value::Null, &operation, "/"), ["/mine"]);
        assert_eq!(base_paths(&Value::Null, &Value::Null, &Value::Null, "/"), [""]);
    }
}
