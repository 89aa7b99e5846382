//! The effective config as TOML, each value with a comment that says where it came from.

use std::fmt::Write as _;

use toml::Value;

use crate::effective::{EffectiveValue, Step};

/// Comments stand in one column up to this width.
const WIDEST: usize = 60;

/// A file that says the same as everything that was read, and can be read again where no secret was masked.
pub fn effective_toml(values: &[EffectiveValue]) -> String {
    let mut text = String::new();
    let groups = values.chunk_by(|left, right| around(left) == around(right));
    for group in groups {
        if !text.is_empty() {
            text.push('\n');
        }
        let lines: Vec<(String, &EffectiveValue)> = group.iter().map(|value| (line(value), value)).collect();
        let set = lines.iter().filter(|(_, value)| value.value.is_some());
        let width = set.map(|(line, _)| line.chars().count()).max().unwrap_or(0).min(WIDEST);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", head(around(&group[0])));
        for (line, value) in lines {
            let _ = match value.value {
                Some(_) => writeln!(text, "{line:width$}  # {}", value.origin),
                None => writeln!(text, "{line}"),
            };
        }
    }
    text
}

/// A value as TOML writes it on one line.
pub fn inline(value: &Value) -> String {
    match value {
        // The library writes texts with line breaks on several lines.
        Value::String(text) if text.contains('\n') => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Table(table) => {
            let entries: Vec<String> =
                table.iter().map(|(key, value)| format!("{} = {}", bare(key), inline(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

fn around(value: &EffectiveValue) -> &[Step] {
    &value.steps[..value.steps.len() - 1]
}

fn line(value: &EffectiveValue) -> String {
    let key = match value.steps.last() {
        Some(Step::Key(key)) => bare(key),
        _ => String::new(),
    };
    match &value.value {
        Some(value) => format!("{key} = {}", inline(value)),
        None => format!("# {key} is not set"),
    }
}

fn head(steps: &[Step]) -> String {
    let keys: Vec<String> =
        steps.iter().filter_map(|step| if let Step::Key(key) = step { Some(bare(key)) } else { None }).collect();
    let name = keys.join(".");
    if matches!(steps.last(), Some(Step::Index(_))) { format!("[[{name}]]") } else { format!("[{name}]") }
}

fn bare(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter));
    if is_bare { key.to_owned() } else { quoted(key) }
}

/// A JSON text is a TOML basic string.
fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Document,
        fixture::{flag, sections, two_files},
    };

    #[test]
    fn says_where_every_value_came_from_and_can_be_read_again() {
        let mut document = two_files(
            "[edge]\nlisten = \"a\"\nhosts = [\"x\\ny\"]\n[edge.timeouts]\nfirst_byte = \"1s\"\n[app.env]\n\"A B\" = \"env:X\"\n",
            "[[route]]\nmatch = \"/a\"\n[edge]\nworkers = 3\n",
        )
        .with_overrides(&[flag("edge.timeouts.first_byte", "--first-byte", Some("2s"))]);
        sections(&mut document);
        let shown = effective_toml(&document.effective(false));
        for line in [
            "listen = \"a\"      # seaworthy.toml:2",
            "hosts = [\"x\\ny\"]  # seaworthy.toml:3",
            "workers = 3       # seaworthy.production.toml:4",
            "first_byte = \"2s\"  # --first-byte (command line)",
            "\"A B\" = \"env:X\"  # seaworthy.toml:7",
            "[[route]]\nmatch = \"/a\"  # seaworthy.production.toml:2",
        ] {
            assert!(shown.contains(line), "{line} is missing in\n{shown}");
        }
        let mut again = Document::parse("again", shown, std::iter::empty()).unwrap();
        let (_, edge, routes) = sections(&mut again);
        assert_eq!((edge.workers, edge.hosts[0].as_str(), routes.0.len()), (3, "x\ny", 1));
        again.finish().unwrap();
    }

    #[test]
    fn defaults_are_shown_when_asked_and_what_is_left_out_is_said() {
        let mut document = Document::parse("x", "[edge]\nworkers = 2\n".into(), std::iter::empty()).unwrap();
        sections(&mut document);
        let shown = effective_toml(&document.effective(true));
        for line in [
            "workers = 2  # x:2\nhosts = []   # default",
            "hosts = []   # default",
            "first_byte = \"0ms\"  # default",
            "# tls is not set",
            "# to is not set",
        ] {
            assert!(shown.contains(line), "{line} is missing in\n{shown}");
        }
        assert!(!shown.contains("passphrase"), "what is in a table that is not there is not there: {shown}");
    }

    #[test]
    fn no_secret_is_shown() {
        let text = "[app]\nto = \"http://me:hunter2@x\"\n[app.env]\nA = \"hunter2\"\nB = \"file:/hint\"\n\
                    [edge]\ntls = { passphrase = \"hunter2\", keys = [\"hunter2\", \"env:K\"] }\n";
        let variables = [("SEAWORTHY_APP__ENV__V".to_owned(), "hunter2".to_owned())];
        let mut document = Document::parse("x", text.into(), variables.into_iter()).unwrap();
        sections(&mut document);
        let values = document.effective(true);
        let shown = effective_toml(&values);
        let json: String = values.iter().map(|value| value.json().to_string()).collect();
        assert!(!shown.contains("hunter2") && !json.contains("hunter2"), "{shown}{json}");
        for part in
            ["http://me:***@x", "A = \"***\"", "B = \"file:/hint\"", "V = \"***\"", "keys = [\"***\", \"env:K\"]"]
        {
            assert!(shown.contains(part), "{part} is missing in\n{shown}");
        }
    }
}
