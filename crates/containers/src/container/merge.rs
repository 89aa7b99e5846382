//! How one compose file is laid over another.

use serde_json::{Map, Value};

/// Lists whose later one replaces the earlier.
const REPLACED: &[&str] = &["command", "entrypoint", "test"];
/// Lists that may also be written as a mapping.
const PAIRS: &[&str] = &["environment", "labels", "args", "extra_hosts", "depends_on", "networks", "driver_opts"];

/// Puts `over` on `base`: mappings are joined, lists are too, all else is replaced.
pub fn merged(base: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        let value = if PAIRS.contains(&key.as_str()) { as_mapping(&key, value) } else { value };
        let Some(mut old) = base.shift_remove(&key) else {
            base.insert(key, value);
            continue;
        };
        if PAIRS.contains(&key.as_str()) {
            old = as_mapping(&key, old);
        }
        let joined = match (old, value) {
            (Value::Object(mut old), Value::Object(new)) => {
                merged(&mut old, new);
                Value::Object(old)
            }
            (Value::Array(old), Value::Array(new)) if key == "volumes" => Value::Array(by_target(old, new)),
            (Value::Array(mut old), Value::Array(new)) if !REPLACED.contains(&key.as_str()) => {
                old.extend(new);
                Value::Array(old)
            }
            (old, Value::Null) => old,
            (_, new) => new,
        };
        base.insert(key, joined);
    }
}

/// `[A=1, B]` as a mapping.
pub fn as_mapping(key: &str, value: Value) -> Value {
    let Value::Array(list) = value else { return value };
    let pair = |item: &Value| {
        let text = item.as_str()?;
        let (name, value) = match text.split_once(if key == "extra_hosts" { ':' } else { '=' }) {
            Some((name, value)) => (name, Value::String(value.to_owned())),
            None => (text, Value::Null),
        };
        Some((name.to_owned(), value))
    };
    Value::Object(list.iter().filter_map(pair).collect())
}

fn by_target(old: Vec<Value>, new: Vec<Value>) -> Vec<Value> {
    let target = |mount: &Value| match mount {
        Value::String(text) => text.split(':').nth(1).unwrap_or(text).to_owned(),
        other => other["target"].as_str().unwrap_or_default().to_owned(),
    };
    let kept = old.into_iter().filter(|mount| !new.iter().any(|other| target(other) == target(mount)));
    let mut joined: Vec<Value> = kept.collect();
    joined.extend(new);
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn as_compose_merges() {
        let Value::Object(mut base) = json!({"services": {"a": {"command": ["x"], "environment": ["A=1", "B=2"],
            "volumes": [".:/app", "d:/data"], "ports": ["1:1"]}}})
        else {
            panic!()
        };
        let Value::Object(over) = json!({"services": {"a": {"command": ["y"], "environment": {"B": "3"},
            "volumes": ["e:/app"], "ports": ["2:2"], "restart": "always"}}})
        else {
            panic!()
        };
        merged(&mut base, over);
        let a = &base["services"]["a"];
        assert_eq!(a["command"], json!(["y"]));
        assert_eq!(a["environment"], json!({"A": "1", "B": "3"}));
        assert_eq!(a["volumes"], json!(["d:/data", "e:/app"]));
        assert_eq!(a["ports"], json!(["1:1", "2:2"]));
    }
}
