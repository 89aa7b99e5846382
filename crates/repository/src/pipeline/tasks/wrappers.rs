//! Commands that only start another one.

use std::sync::LazyLock;

use serde::Deserialize;

use super::file_name;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapper {
    words: Vec<String>,
    #[serde(default)]
    values: Vec<String>,
    #[serde(default)]
    operands: usize,
    #[serde(default)]
    assignments: bool,
    #[serde(default)]
    stops: Vec<String>,
    #[serde(default)]
    programs: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
struct File {
    wrapper: Vec<Wrapper>,
}

static WRAPPERS: LazyLock<Vec<Wrapper>> =
    LazyLock::new(|| toml::from_str::<File>(include_str!("../tools/wrappers.toml")).unwrap_or_default().wrapper);

/// Shells that take a script as an argument.
const SHELLS: [&str; 7] = ["bash", "sh", "zsh", "dash", "pwsh", "ash", "eval"];

/// The command inside, and the script when it is a shell that gets one. A file of the project is no wrapper, whatever
/// its name.
pub(super) fn unwrap(words: &[String], is_file: impl Fn(&str) -> bool) -> (Vec<String>, Option<String>) {
    let mut words = words.to_vec();
    for _ in 0..8 {
        let Some(first) = words.first_mut() else { break };
        // `${PREFIX}pytest`: a folder before the program.
        let behind = first.strip_prefix("${").and_then(|rest| rest.split_once('}')).map(|(_, program)| program);
        let behind = behind.filter(|name| name.starts_with(|letter: char| letter.is_alphanumeric() || letter == '/'));
        if let Some(program) = behind.map(|name| name.trim_start_matches('/').to_owned()) {
            *first = program;
        }
        if is_file(first) {
            break;
        }
        if let Some(inner) = inner_script(&words) {
            return (Vec::new(), Some(inner));
        }
        let Some(rest) = WRAPPERS.iter().find_map(|wrapper| wrapper.inside(&words)) else { break };
        words = rest;
    }
    (words, None)
}

/// `bash -c "…"`.
fn inner_script(words: &[String]) -> Option<String> {
    let shell = file_name(words.first()?);
    if !SHELLS.contains(&shell) {
        return None;
    }
    if shell == "eval" {
        return Some(words[1..].join(" "));
    }
    let at = words.iter().position(|word| {
        (word.starts_with('-') && !word.starts_with("--") && word.ends_with('c')) || word == "-Command"
    })?;
    words.get(at + 1).cloned()
}

impl Wrapper {
    /// What this wrapper starts, when the words begin with it.
    fn inside(&self, words: &[String]) -> Option<Vec<String>> {
        let mut found = self.words.iter().filter_map(|own| self.after(own, words));
        found.next()
    }

    fn after(&self, own: &str, words: &[String]) -> Option<Vec<String>> {
        let mut at = 0;
        for (index, part) in own.split(' ').enumerate() {
            let word = words.get(at)?;
            let same = if index == 0 { file_name(word) == part || word == part } else { word == part };
            if !same {
                return None;
            }
            at += 1;
        }
        let (mut left, mut image) = (self.operands, None);
        while let Some(word) = words.get(at) {
            if self.stops.iter().any(|stop| stop == word) {
                return None;
            }
            if word == "--" {
                at += 1;
                break;
            }
            if word.starts_with('-') && word.len() > 1 {
                at += 1 + usize::from(self.values.iter().any(|value| value == word));
            } else if self.assignments && word.contains('=') {
                at += 1;
            } else if left > 0 {
                left -= 1;
                image = Some(word);
                at += 1;
            } else {
                break;
            }
        }
        let mut rest: Vec<String> = words.get(at..)?.to_vec();
        // `docker run … aquasec/trivy image …`
        let program = image.map(|image| file_name(image.split(['@', ':']).next().unwrap_or(image)));
        let program = program.filter(|own| self.programs.iter().any(|program| program == own));
        if let Some(program) = program.filter(|own| rest.first().is_none_or(|first| first != own)) {
            rest.insert(0, program.to_owned());
        }
        (!rest.is_empty()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(text: &str) -> String {
        let words: Vec<String> = text.split(' ').map(String::from).collect();
        unwrap(&words, |word| word == "scripts/npx").0.join(" ")
    }

    #[test]
    fn the_command_inside_is_found() {
        assert!(!WRAPPERS.is_empty());
        assert_eq!(inside("poetry run -C api pytest -q"), "pytest -q");
        assert_eq!(inside("python3 -m coverage run --source=a -m pytest"), "pytest");
        assert_eq!(inside("sudo docker compose run --rm -e A=1 web npx jest"), "jest");
        assert_eq!(inside("docker run --rm -v /a:/b aquasec/trivy:latest image a"), "trivy image a");
        assert_eq!(inside("env CI=1 cross-env A=1 timeout 60 xvfb-run npm test"), "npm test");
        assert_eq!(inside("python manage.py test"), "manage.py test");
        assert_eq!(inside("python -c print(1)"), "python -c print(1)");
        assert_eq!(inside("scripts/npx jest"), "scripts/npx jest");
        assert_eq!(inside("bundle exec rspec"), "rspec");
        let words = ["bash", "-lc", "pytest && ruff check"].map(String::from);
        assert_eq!(unwrap(&words, |_| false).1.as_deref(), Some("pytest && ruff check"));
    }
}
