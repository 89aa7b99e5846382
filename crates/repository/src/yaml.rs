//! YAML as data. What somebody else wrote may be built to explode: the reader has a budget for anchors, depth and size.

use serde_json::Value;

/// Every document of a text.
///
/// # Errors
/// Why it cannot be read, in one line.
pub fn yaml(text: &str) -> Result<Vec<Value>, String> {
    let error = |error: serde_saphyr::Error| error.to_string().lines().next().unwrap_or("no YAML").to_owned();
    serde_saphyr::from_multiple::<Value>(text).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_anchors_and_words_of_github_are_read() {
        let text = "on:\n  push:\n    branches: [main]\nx: &a {b: 1}\ny:\n  <<: *a\n  c: yes\n---\n- 1\n";
        let read = yaml(text).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0]["on"]["push"]["branches"][0], "main");
        assert_eq!(read[0]["y"]["b"], 1);
        assert!(yaml("a: [").is_err() && yaml("{{ helm }}: x").is_err());
    }

    #[test]
    fn what_is_built_to_explode_is_refused() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let before = vec![format!("*a{}", level - 1); 9].join(",");
            bomb.push_str(&format!("a{level}: &a{level} [{before}]\n"));
        }
        assert!(yaml(&bomb).is_err());
        assert!(yaml(&"[".repeat(100_000)).is_err());
    }
}
