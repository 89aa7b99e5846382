//! One section from a TOML value to its type, with every wrong value and not only the first.

use crate::{
    document::Section,
    tree::{find, remove},
};

/// Reads a section and finds every wrong value in it, as path and message: serde stops at the first, so that one is taken
/// out and the rest is read again.
pub(crate) fn read_all<S: Section>(mut value: toml::Value) -> (S, Vec<(String, String)>) {
    let mut wrong = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize::<_, S>(value.clone()) {
            Ok(section) => return (section, wrong),
            Err(error) => error,
        };
        let message = error.inner().to_string().trim().to_owned();
        let path = error.path().to_string().replace(['[', ']'], "");
        let path = culprit::<S>(&value, if path == "." { "" } else { &path });
        wrong.push((path.clone(), message));
        let keys: Vec<&str> = path.split('.').filter(|key| !key.is_empty()).collect();
        if keys.is_empty() || !remove(&mut value, &keys) {
            return (S::default(), wrong);
        }
    }
}

/// Flattened structs lose the last part of a path: the key is the one whose absence changes the error.
fn culprit<S: Section>(value: &toml::Value, path: &str) -> String {
    let keys: Vec<&str> = path.split('.').filter(|key| !key.is_empty()).collect();
    let Some(toml::Value::Table(table)) = find(value, &keys) else { return path.to_owned() };
    let complaint =
        |value: toml::Value| serde_path_to_error::deserialize::<_, S>(value).err().map(|error| error.to_string());
    let before = complaint(value.clone());
    for key in table.keys() {
        let mut without = value.clone();
        let longer = [&keys[..], &[key.as_str()]].concat();
        if remove(&mut without, &longer) && complaint(without) != before {
            return longer.join(".");
        }
    }
    path.to_owned()
}
