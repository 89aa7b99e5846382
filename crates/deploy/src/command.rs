//! The app's command line, with a place for the port.

use thiserror::Error;

/// A program and its arguments. There is no shell in between, so signals reach the app itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    program: String,
    arguments: Vec<String>,
}

/// A command that cannot be run.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CommandError {
    /// Nothing to run.
    #[error("the command is empty")]
    Empty,
    /// A quote that never closes.
    #[error("the command has an opening quote without a closing one")]
    Quote,
    /// An option that lost its value, most likely to the shell.
    #[error(
        "`{0}` has no value: your shell has replaced $PORT by nothing. Put it in single quotes ('$PORT') or write {{port}}"
    )]
    PortExpanded(String),
}

/// How the port is written in a command. The second form survives every shell without quotes.
const PLACEHOLDERS: [&str; 3] = ["${PORT}", "$PORT", "{port}"];

impl Command {
    /// Splits a line as a shell would.
    pub fn parse(line: &str) -> Result<Self, CommandError> {
        Self::new(Self::split(line)?)
    }

    /// The words of a line, split as a shell would, with nothing checked and nothing filled in.
    pub fn split(line: &str) -> Result<Vec<String>, CommandError> {
        shell_words::split(line).map_err(|_| CommandError::Quote)
    }

    /// Takes words that are split already.
    pub fn new(words: Vec<String>) -> Result<Self, CommandError> {
        let mut words = words.into_iter();
        let program = words.next().filter(|program| !program.is_empty()).ok_or(CommandError::Empty)?;
        let command = Self { program, arguments: words.collect() };
        match command.option_without_value() {
            Some(option) => Err(CommandError::PortExpanded(option.into())),
            None => Ok(command),
        }
    }

    /// The program, as written.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The arguments for an app that shall listen on `port`.
    pub fn arguments(&self, port: u16) -> Vec<String> {
        self.arguments.iter().map(|argument| fill(argument, port)).collect()
    }

    /// Whether the port is written anywhere; else the app must read `PORT` from its environment.
    pub fn names_port(&self) -> bool {
        self.arguments.iter().any(|argument| PLACEHOLDERS.iter().any(|placeholder| argument.contains(placeholder)))
    }

    fn option_without_value(&self) -> Option<&str> {
        let options = ["--port", "-p", "--bind", "-b", "--listen"];
        let mut following = self.arguments.iter().skip(1).map(Some).chain([None]);
        self.arguments.iter().find_map(|argument| {
            let next = following.next().flatten();
            let empty = next.is_none_or(|next| next.is_empty() || next.starts_with("--"));
            let lost = (options[0] == argument && empty) || argument == "--port=";
            let lost = lost || (options.contains(&argument.as_str()) && next.is_some_and(|next| next.ends_with(':')));
            lost.then_some(argument.as_str())
        })
    }
}

/// Replaces the port's placeholders; `$PORTAL` is another variable and stays.
fn fill(argument: &str, port: u16) -> String {
    let text = argument.replace(PLACEHOLDERS[0], &port.to_string()).replace(PLACEHOLDERS[2], &port.to_string());
    let mut pieces = text.split(PLACEHOLDERS[1]);
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let longer = piece.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
        filled.push_str(&if longer { PLACEHOLDERS[1].to_owned() } else { port.to_string() });
        filled.push_str(piece);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_goes_wherever_it_is_written() {
        let command =
            Command::parse("gunicorn --bind '127.0.0.1:$PORT' --name \"a b\" app:app {port} $PORTAL").unwrap();
        assert_eq!(command.program(), "gunicorn");
        assert_eq!(command.arguments(81), ["--bind", "127.0.0.1:81", "--name", "a b", "app:app", "81", "$PORTAL"]);
        assert!(command.names_port());
        assert!(!Command::parse("node server.js").unwrap().names_port());
    }

    #[test]
    fn what_a_shell_took_away_is_noticed() {
        let words = |list: &[&str]| Command::new(list.iter().map(|word| (*word).to_owned()).collect());
        assert!(matches!(words(&["uvicorn", "app:app", "--port"]), Err(CommandError::PortExpanded(_))));
        assert!(matches!(words(&["uvicorn", "--port", "", "app:app"]), Err(CommandError::PortExpanded(_))));
        assert!(matches!(words(&["gunicorn", "-b", "127.0.0.1:"]), Err(CommandError::PortExpanded(_))));
        assert!(words(&["uvicorn", "app:app", "--port", "8000"]).is_ok());
        assert!(words(&["git", "log", "-p"]).is_ok());
        assert_eq!(words(&[]), Err(CommandError::Empty));
        assert_eq!(Command::parse("a 'b"), Err(CommandError::Quote));
    }
}
