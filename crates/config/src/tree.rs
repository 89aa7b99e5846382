//! Ways through a TOML value by the keys and indexes of a path.

use toml::{Table, Value};

pub(crate) fn find<'a>(value: &'a Value, keys: &[&str]) -> Option<&'a Value> {
    keys.iter().try_fold(value, |value, key| match value {
        Value::Table(table) => table.get(*key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// True when there was something to remove.
pub(crate) fn remove(value: &mut Value, keys: &[&str]) -> bool {
    let [key, rest @ ..] = keys else { return false };
    let next = match value {
        Value::Table(table) if rest.is_empty() => return table.remove(*key).is_some(),
        Value::Table(table) => table.get_mut(*key),
        Value::Array(items) => key.parse().ok().and_then(|index: usize| items.get_mut(index)),
        _ => None,
    };
    next.is_some_and(|next| remove(next, rest))
}

/// False when the path leads through something that has no such place.
pub(crate) fn insert(target: &mut Value, keys: &[&str], value: Value) -> bool {
    let [key, rest @ ..] = keys else {
        *target = value;
        return true;
    };
    match target {
        Value::Table(table) => {
            let next = table.entry(*key).or_insert_with(|| Value::Table(Table::new()));
            insert(next, rest, value)
        }
        Value::Array(items) => {
            let next = key.parse().ok().and_then(|index: usize| items.get_mut(index));
            next.is_some_and(|next| insert(next, rest, value))
        }
        _ => false,
    }
}

/// Text from a variable or a flag as the TOML value that it looks like, else as text.
pub(crate) fn guess(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>();
    parsed.ok().and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(text.into()))
}

/// True for a list that TOML can write as `[[name]]`.
pub(crate) fn is_list_of_tables(value: &Value) -> bool {
    value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(Value::is_table))
}
