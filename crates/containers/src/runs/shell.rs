//! Shell text as single commands.

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Without variables before it, `exec`, and programs that only run another one.
    pub text: String,
    /// The line within the text, from 0.
    pub line: usize,
    /// Its failure is ignored: `|| true`.
    pub ignored: bool,
}

/// Words before a command that change nothing of what it does.
const BEFORE: &[&str] = &[
    "exec",
    "sudo",
    "time",
    "nohup",
    "then",
    "do",
    "else",
    "if",
    "!",
    "&&",
    "(",
    "{",
    "tini",
    "dumb-init",
    "--",
    "-g",
    "uv",
    "poetry",
    "pipenv",
    "pdm",
    "rye",
    "hatch",
    "npx",
    "pnpx",
    "bunx",
    "bundle",
    "dotenv",
    "env",
    "su-exec",
    "gosu",
    "ddtrace-run",
    "newrelic-admin",
    "run-program",
    "opentelemetry-instrument",
    "docker-php-entrypoint",
    "/sbin/tini",
    "/usr/bin/tini",
    "/usr/bin/dumb-init",
    "--no-sync",
    "--frozen",
    "--no-dev",
    "cross-env",
    "cross-env-shell",
];

/// The commands of a text, in order. What stands in quotes after `sh -c` is taken apart too.
pub fn commands(text: &str) -> Vec<Command> {
    let pieces = pieces(text);
    let mut found = Vec::new();
    for (at, (line, piece, end)) in pieces.iter().enumerate() {
        let piece = piece.trim();
        if piece.is_empty() {
            continue;
        }
        if let Some(inner) = inner_of_shell(piece) {
            found.extend(commands(&inner).into_iter().map(|one| Command { line: *line, ..one }));
            continue;
        }
        let text = bare(piece);
        if !always_succeeds(&text) {
            // `a || b` is ignored only when b cannot fail: `a || exit 1` is not.
            let next = pieces.get(at + 1).map(|(_, piece, _)| bare(piece)).unwrap_or_default();
            found.push(Command { text, line: *line, ignored: *end == Some("||") && always_succeeds(&next) });
        }
    }
    found
}

fn always_succeeds(command: &str) -> bool {
    let first = command.split_whitespace().next().unwrap_or_default();
    ["true", ":", "echo", "printf"].contains(&first) || command == "exit 0"
}

/// A command's words; quotes go.
pub fn words(command: &str) -> Vec<&str> {
    command.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect()
}

/// `sh -c "…"`: what is in it.
fn inner_of_shell(piece: &str) -> Option<String> {
    let piece = piece.strip_prefix("exec ").unwrap_or(piece);
    let (program, rest) = piece.split_once(char::is_whitespace)?;
    let is_shell =
        ["sh", "bash", "dash", "ash", "/bin/sh", "/bin/bash", "/bin/ash", "/usr/bin/bash"].contains(&program);
    let rest = rest.trim_start();
    let flag = rest.split_whitespace().next()?;
    if !is_shell || !flag.starts_with('-') || !flag.ends_with('c') {
        return None;
    }
    let inner = rest[flag.len()..].trim();
    let quote = inner.chars().next().filter(|letter| ['"', '\''].contains(letter));
    let inner = quote.map_or(inner, |quote| inner[1..].rsplit_once(quote).map_or(&inner[1..], |(inner, _)| inner));
    Some(inner.to_owned())
}

fn bare(piece: &str) -> String {
    let mut rest = piece.trim();
    let mut after_gosu = false;
    loop {
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let assigned = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        });
        let runs = word == "run" && !piece.starts_with("npm") || word == "exec" && piece.starts_with("bundle");
        if !(BEFORE.contains(&word) || assigned || runs || after_gosu) || after.is_empty() {
            return rest.trim_end_matches([')', '}']).trim().to_owned();
        }
        after_gosu = word == "gosu" || word == "su-exec";
        rest = after.trim_start();
    }
}

/// Pieces between `&&`, `||`, `;`, `|`, `&` and line ends that are outside quotes: line, text, and what ended it.
fn pieces(text: &str) -> Vec<(usize, String, Option<&'static str>)> {
    let (mut found, mut piece, mut quote, mut line, mut start) = (Vec::new(), String::new(), None, 0, 0);
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let mut taken = letter.len_utf8();
        let separators = ["&&", "||", ";", "|", "&", "\n"];
        let separator = separators.iter().find(|one| quote.is_none() && rest.starts_with(**one));
        // `2>&1` and `&>file` are no ends.
        let redirects = separator == Some(&"&") && (piece.ends_with('>') || rest[1..].starts_with('>'));
        if rest.starts_with("\\\n") {
            taken = 2;
            line += 1;
            piece.push(' ');
        } else if letter == '#' && quote.is_none() && (piece.is_empty() || piece.ends_with([' ', '\t'])) {
            taken = rest.find('\n').unwrap_or(rest.len());
        } else if let Some(separator) = separator.filter(|_| !redirects) {
            found.push((start, std::mem::take(&mut piece), Some(*separator)));
            taken = separator.len();
            line += usize::from(*separator == "\n");
            start = line;
        } else {
            match quote {
                Some(open) if open == letter => quote = None,
                None if letter == '"' || letter == '\'' => quote = Some(letter),
                _ => {}
            }
            if letter == '\n' {
                line += 1;
            }
            if piece.is_empty() && letter.is_whitespace() {
                start = line;
            } else {
                piece.push(letter);
            }
        }
        rest = &rest[taken..];
    }
    found.push((start, piece, None));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        commands(text)
            .into_iter()
            .map(|one| format!("{}{}", one.text, if one.ignored { " (ignored)" } else { "" }))
            .collect()
    }

    #[test]
    fn commands_of_a_line() {
        assert_eq!(
            texts(
                "set -e\n# alembic upgrade head\nA=1 exec uv run alembic upgrade head && exec gosu app gunicorn a:b \\\n  -w 4 # x\n"
            ),
            ["set -e", "alembic upgrade head", "gunicorn a:b    -w 4"]
        );
        assert_eq!(texts("sh -c 'python manage.py migrate && gunicorn x'"), ["python manage.py migrate", "gunicorn x"]);
        assert_eq!(
            texts("alembic upgrade head || true; a || exit 1"),
            ["alembic upgrade head (ignored)", "a", "exit 1"]
        );
        assert_eq!(texts("npm run build 2>&1 | tee log"), ["npm run build 2>&1", "tee log"]);
        assert_eq!(texts("bundle exec rails db:migrate"), ["rails db:migrate"]);
        assert_eq!(texts("echo 'alembic upgrade head'"), [] as [&str; 0]);
        assert_eq!(commands("a\nb\n\nc")[2].line, 3);
    }
}
