//! `seaworthy config explain`: one key with everything that is to be known about it, or the keys of a section.

use std::process::ExitCode;

use seaworthy_config::{Document, EffectiveValue, Key, inline};
use serde_json::{Value, json};

use super::empty;
use crate::{
    cli::ExplainArguments,
    config::{Config, ConfigSource},
    failure::Failure,
    terminal,
};

/// Tells what is to be known about a key.
pub fn explain(source: &ConfigSource, arguments: &ExplainArguments) -> Result<ExitCode, Failure> {
    // What a key means does not depend on whether the config is right; what it is now may.
    let (document, is_read) = match source.open() {
        Ok(mut document) => {
            Config::read(&mut document);
            (document, true)
        }
        Err(_) => (empty()?, false),
    };
    if !is_read {
        terminal::error_line("the config cannot be read, so values of now are left out; see `seaworthy config check`");
    }
    let Some(name) = &arguments.key else {
        list(&document, |key| !key.path.contains('.'), arguments.json);
        return Ok(ExitCode::SUCCESS);
    };
    let Some(key) = document.key(name) else { return Err(unknown(&document, name)) };
    if key.is_table {
        let within = format!("{}.", key.path);
        if !arguments.json {
            terminal::line(&format!("{}\n", wrapped(&key.about, "", terminal::width())));
        }
        list(&document, |other| other.path.starts_with(&within) && !other.is_table, arguments.json);
        return Ok(ExitCode::SUCCESS);
    }
    let now: Vec<EffectiveValue> =
        document.effective(true).into_iter().filter(|value| is_read && is_of(value, &key)).collect();
    if arguments.json {
        let mut object = key.json();
        object["values"] = now.iter().map(EffectiveValue::json).collect();
        terminal::line(&object.to_string());
    } else {
        show(&key, &now);
    }
    Ok(ExitCode::SUCCESS)
}

fn unknown(document: &Document, name: &str) -> Failure {
    let like = document.keys_like(name);
    let help = match like.is_empty() {
        true => "`seaworthy config explain` lists the sections".to_owned(),
        false => format!("did you mean {}?", like.join(" or ")),
    };
    Failure::text("SEA_CONFIG_NO_SUCH_KEY", format!("the config has no key `{name}`; {help}")).with_status(2)
}

/// Whether a value is the key's own, or inside of it where the user chooses names.
fn is_of(value: &EffectiveValue, key: &Key) -> bool {
    let path = value.path();
    let plain: Vec<&str> = path.split('.').filter(|step| step.parse::<usize>().is_err()).collect();
    let plain = plain.join(".");
    plain == key.path || plain.strip_prefix(&key.path).is_some_and(|rest| key.is_open && rest.starts_with('.'))
}

fn show(key: &Key, now: &[EffectiveValue]) {
    let width = terminal::width();
    terminal::line(&format!("{}\n\n{}\n", key.path, wrapped(&key.about, "  ", width)));
    let kind = if key.is_open { "table; its keys are names that you choose".into() } else { key.kind.replace('`', "") };
    let kind = key.form.map_or_else(|| kind.clone(), |form| format!("{kind}: {form}"));
    let secret = if key.secret { ", never shown" } else { "" };
    terminal::line(&format!("  type      {kind}{secret}"));
    let default = key.default.as_ref().map_or_else(|| "none; it may be left out".to_owned(), Value::to_string);
    terminal::line(&format!("  default   {default}"));
    if now.is_empty() {
        terminal::line("  now       not set");
    }
    for value in now {
        let text = value.value.as_ref().map_or_else(|| "not set".to_owned(), inline);
        let path = value.path();
        let path = if path == key.path { String::new() } else { format!("{path} = ") };
        let origin = if value.value.is_some() { format!("  ({})", value.origin) } else { String::new() };
        terminal::line(&format!("  now       {path}{text}{origin}"));
    }
    let head = if key.is_open { format!("[{}]", key.path) } else { key.head.clone() };
    terminal::line(&format!("  in file   {head}"));
    let variable = match &key.variable {
        Some(variable) => variable.clone(),
        None if key.is_open => format!("SEAWORTHY_{}__NAME", key.path.to_uppercase().replace('.', "__")),
        None => "none: lists of tables are set in files".to_owned(),
    };
    terminal::line(&format!("  variable  {variable}"));
}

/// A row a key, or one object for a machine.
fn list(document: &Document, wanted: impl Fn(&Key) -> bool, as_json: bool) {
    let keys: Vec<Key> = document.keys().into_iter().filter(wanted).collect();
    if as_json {
        let keys: Vec<Value> = keys.iter().map(Key::json).collect();
        terminal::line(&json!({ "keys": keys }).to_string());
        return;
    }
    let column = keys.iter().map(|key| key.path.len()).max().unwrap_or(0) + 2;
    let room = terminal::width().saturating_sub(column).max(20);
    for key in keys {
        let about = wrapped(&key.about, "", room).replace('\n', &format!("\n{:column$}", ""));
        terminal::line(&format!("{:column$}{about}", key.path));
    }
}

/// Words on lines of at most `width` columns.
fn wrapped(text: &str, indent: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines
            .last_mut()
            .filter(|line| line.is_empty() || line.chars().count() + word.chars().count() + indent.len() < width);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| format!("{indent}{line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_and_none_is_lost() {
        let text = "one two three four five";
        let shown = wrapped(text, "  ", 12);
        assert_eq!(shown, "  one two\n  three four\n  five");
        assert_eq!(wrapped("", "", 10), "");
        assert_eq!(wrapped("averylongwordthatdoesnotfit a", "", 10), "averylongwordthatdoesnotfit\na");
    }
}
