//! What a project says elsewhere about how it starts: a Procfile, a Dockerfile, scripts.

use std::path::Path;

use seaworthy_deploy::Command;

use seaworthy_repository::{Manifest, Tree};

/// Commands that others start this app with.
#[derive(Debug, Default)]
pub struct Hints {
    /// The `web` line of a Procfile.
    pub procfile: Option<String>,
    /// ENTRYPOINT and CMD of a Dockerfile.
    pub dockerfile: Option<String>,
    /// The script `start` of package.json.
    pub script: Option<String>,
}

impl Hints {
    /// Reads them for a project.
    pub fn read(tree: &Tree, folder: &Path, manifest: Option<&Manifest>) -> Self {
        let text = |name: &str| tree.text(&folder.join(name));
        Self {
            procfile: text("Procfile").and_then(|text| procfile(&text)),
            dockerfile: text("Dockerfile").and_then(|text| dockerfile(&text)),
            script: manifest.and_then(|manifest| manifest.scripts.get("start").cloned()),
        }
    }

    /// Whether any of these commands has this word, whole or before a bracket.
    pub fn name(&self, word: &str) -> bool {
        let commands = [&self.procfile, &self.dockerfile, &self.script];
        let mut words =
            commands.into_iter().flatten().flat_map(|command| command.split([' ', '"', '\'', '(', ')', ';']));
        words.any(|own| own == word || own.strip_prefix("./") == Some(word))
    }
}

/// A line that needs a shell gets one.
pub fn with_shell(line: &str) -> String {
    let assigns = line.split_whitespace().next().is_some_and(|first| first.contains('='));
    let needs_shell = assigns || line.contains(['|', '&', ';', '<', '>', '`', '(', '*']) || line.contains(":-");
    if needs_shell { format!("sh -c {}", shell_words::quote(line)) } else { line.to_owned() }
}

fn procfile(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("web:"))?.trim();
    (!line.is_empty() && Command::parse(line).is_ok()).then(|| with_shell(line))
}

fn dockerfile(text: &str) -> Option<String> {
    let whole = text.replace("\\\n", " ");
    // A new stage begins without a command.
    let (mut entry, mut command) = (None, None);
    for line in whole.lines().map(str::trim) {
        let Some((word, rest)) = line.split_once(char::is_whitespace) else { continue };
        match word.to_ascii_uppercase().as_str() {
            "FROM" => (entry, command) = (None, None),
            "ENTRYPOINT" => entry = words_of(rest.trim()),
            "CMD" => command = words_of(rest.trim()),
            _ => {}
        }
    }
    let words: Vec<String> = entry.into_iter().chain(command).collect();
    (!words.is_empty()).then(|| words.join(" ")).filter(|line| Command::parse(line).is_ok())
}

/// One instruction as a line: the list form word by word, the other one with its shell.
fn words_of(text: &str) -> Option<String> {
    match serde_json::from_str::<Vec<String>>(text) {
        Ok(words) => {
            // Quotes would hide a `$PORT` from nobody: it is filled in word by word.
            let words: Vec<_> = words
                .iter()
                .map(|word| if word.contains('$') { word.into() } else { shell_words::quote(word) })
                .collect();
            Some(words.join(" "))
        }
        Err(_) => (!text.is_empty()).then(|| with_shell(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_others() {
        assert_eq!(procfile("release: x\nweb: gunicorn app:app\n").as_deref(), Some("gunicorn app:app"));
        let shell = procfile("web: A=1 uvicorn a:b --port ${PORT:-8000}").unwrap();
        assert_eq!(shell, "sh -c 'A=1 uvicorn a:b --port ${PORT:-8000}'");
        assert_eq!(procfile("worker: x\n"), None);
        let text = "FROM a\nCMD [\"x\"]\nFROM b\nENTRYPOINT [\"/bin/app\"]\nCMD [\"--name\", \\\n \"a b\"]\n";
        assert_eq!(dockerfile(text).as_deref(), Some("/bin/app --name 'a b'"));
        assert_eq!(
            dockerfile("FROM a\nCMD node server.js && true\n").as_deref(),
            Some("sh -c 'node server.js && true'")
        );
        assert_eq!(dockerfile("FROM a\n"), None);
    }

    #[test]
    fn a_word_counts_whole() {
        let hints = Hints { procfile: Some("gunicorn 'web:create_app()' ./x.js".into()), ..Hints::default() };
        assert!(hints.name("web:create_app") && hints.name("x.js"));
        assert!(!hints.name("web") && !hints.name("create_app"));
    }
}
