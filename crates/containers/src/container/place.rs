//! On which line of a YAML text a key stands.

/// The line (from 1) of the key that a path of keys leads to; the last one that was found when the rest is written
/// another way, and 1 when none was.
pub fn line_of(text: &str, path: &[&str]) -> usize {
    let mut keys = path.iter();
    let (mut wanted, mut line, mut indent) = (keys.next(), 1, None);
    for (index, raw) in text.lines().enumerate() {
        let Some(key) = wanted else { break };
        let content = raw.trim_start().trim_start_matches("- ").trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let own = raw.len() - raw.trim_start().len();
        if indent.is_some_and(|indent| own <= indent) {
            break;
        }
        let name = content.split(':').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
        if name == *key && content.contains(':') && (indent.is_some() || own == 0) {
            (line, indent, wanted) = (index + 1, Some(own), keys.next());
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_keys() {
        let text = "x: 1\nservices:\n  # db:\n  web:\n    image: a\n  db:\n    image: b\nvolumes:\n  db:\n";
        assert_eq!(line_of(text, &["services", "db", "image"]), 7);
        assert_eq!(line_of(text, &["services", "web", "ports"]), 4);
        assert_eq!(line_of(text, &["volumes", "db"]), 9);
        assert_eq!(line_of(text, &["networks"]), 1);
    }
}
