//! What is known of commands that start apps; the facts are in `servers.toml`.

use std::sync::OnceLock;

use seaworthy_repository::Pattern;
use serde::Deserialize;

/// Everything that is known.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Servers {
    development: Vec<Development>,
    /// Programs that work with a pool.
    pub pool: Vec<Pool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Development {
    command: Pattern,
    why: String,
}

/// A program that works with a pool of processes or threads.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// How a command of it looks.
    pub command: Pattern,
    /// Words that say the size.
    pub explicit: Pattern,
    /// Variables that say the size.
    #[serde(default)]
    pub variables: Vec<String>,
    /// Files that may say the size: names, or `*.ending`.
    #[serde(default)]
    pub files: Vec<String>,
    /// How they say it.
    pub setting: Option<Pattern>,
}

impl Servers {
    /// What is built in; nothing when our own file is wrong, which a test refuses.
    pub fn built_in() -> &'static Self {
        static BUILT_IN: OnceLock<Servers> = OnceLock::new();
        BUILT_IN.get_or_init(|| toml::from_str(include_str!("servers.toml")).unwrap_or_default())
    }

    /// Why a command is one for development, when it is.
    pub fn development(&self, command: &str) -> Option<&str> {
        self.development.iter().find(|one| one.command.0.is_match(command)).map(|one| one.why.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_for_development() {
        let read: Result<Servers, _> = toml::from_str(include_str!("servers.toml"));
        assert!(read.is_ok(), "{read:?}");
        let servers = Servers::built_in();
        for command in [
            "uvicorn app:app --host 0.0.0.0 --reload",
            "flask --app a run --host=0.0.0.0",
            "python manage.py runserver 0.0.0.0:8000",
            "next dev -p 3000",
            "vite --host",
            "nodemon server.js",
            "node --watch a.js",
            "tsx watch src/a.ts",
        ] {
            assert!(servers.development(command).is_some(), "{command}");
        }
        for command in [
            "uvicorn app:app",
            "vite build",
            "vite preview --port 1",
            "next start",
            "node server.js",
            "flask db upgrade",
            "python manage.py migrate",
            "nest start",
            "gunicorn a:b",
        ] {
            assert!(servers.development(command).is_none(), "{command}");
        }
    }
}
