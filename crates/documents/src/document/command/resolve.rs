//! Whether what a command names is in the repository.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use seaworthy_repository::Repository;

use super::{
    super::{Document, links::plain},
    Command, TOOLS,
    words::{MANAGERS, OWN_WORDS, is_given, is_variable, targets_of},
};

/// What stands behind a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Grounds {
    /// What it names is there.
    There,
    /// It names nothing of the repository, or what cannot be looked up here.
    Elsewhere,
    /// What it names is not there: what.
    Missing(String),
}

/// Looks commands up.
pub(crate) struct Resolver<'r> {
    repository: &'r Repository,
    /// Folders with a file of this name, for commands whose folder cannot be told.
    names: BTreeSet<&'r str>,
}

impl<'r> Resolver<'r> {
    /// Of a repository.
    pub fn of(repository: &'r Repository) -> Self {
        let names = repository.files().filter_map(|path| path.file_name()?.to_str()).collect();
        Self { repository, names }
    }

    /// What stands behind a command of a document.
    pub fn look(&self, command: &Command, document: &Document) -> Grounds {
        let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
        let bases = self.bases(command, &document.path);
        if bases.is_empty() || words.iter().any(|word| is_variable(word)) {
            return Grounds::Elsewhere;
        }
        match self.of_words(&words, &bases, 0) {
            Grounds::Missing(_) if is_given(command, document) => Grounds::Elsewhere,
            found => found,
        }
    }

    /// Folders that it may be run in: the one that is said, that of the document, that above its `docs`.
    fn bases(&self, command: &Command, document: &Path) -> Vec<PathBuf> {
        let Some(folder) = &command.folder else { return Vec::new() };
        let mut starts: Vec<PathBuf> = document.ancestors().skip(1).map(Path::to_owned).collect();
        if starts.is_empty() {
            starts.push(PathBuf::new());
        }
        let below = starts
            .iter()
            .filter_map(|start| plain(&start.join(folder)))
            .filter(|path| self.repository.has_folder(path));
        let found: Vec<PathBuf> = below.collect();
        if !found.is_empty() || folder.as_os_str().is_empty() {
            return found;
        }
        // `cd name-of-the-clone` leads to the root, with what follows below it.
        let rest: PathBuf = folder.components().skip(1).collect();
        if self.repository.has_folder(&rest) { vec![rest] } else { Vec::new() }
    }

    fn of_words(&self, words: &[&str], bases: &[PathBuf], depth: usize) -> Grounds {
        let Some((first, rest)) = words.split_first() else { return Grounds::Elsewhere };
        let program = first.rsplit('/').next().unwrap_or(first);
        if first.starts_with("./")
            || first.starts_with("../")
            || (first.contains('/') && !first.starts_with(['/', '~']))
        {
            return self.local(first, bases);
        }
        let inner = match (program, rest.first().copied()) {
            ("npx" | "bunx" | "pipx" | "winpty" | "rtk" | "dotenv", Some(_)) => Some(1),
            ("poetry" | "pipenv" | "uv" | "pdm" | "hatch" | "rye", Some("run"))
            | ("bundle" | "pnpm" | "yarn" | "npm", Some("exec")) => Some(2),
            _ => None,
        };
        if let Some(skip) = inner.filter(|_| depth < 4) {
            let start =
                words.iter().skip(skip).position(|word| !word.starts_with('-')).map_or(words.len(), |at| at + skip);
            let inner = self.of_words(&words[start..], bases, depth + 1);
            if inner != Grounds::Elsewhere {
                return inner;
            }
        }
        match program {
            "make" | "gmake" => self.make(rest, bases),
            "just" | "task" => self.runner(program, bases),
            _ if MANAGERS.contains(&program) => self.script(program, rest, bases),
            "docker" if rest.first() == Some(&"compose") => self.compose(&rest[1..], bases),
            "docker-compose" | "podman-compose" => self.compose(rest, bases),
            "docker" | "podman" if rest.first() == Some(&"build") => self.flagged(rest, &["-f", "--file"], bases),
            "python" | "python3" | "node" | "ruby" | "php" | "bash" | "sh" | "source" | "." | "tsx" | "ts-node"
            | "ansible-playbook" | "psql" => self.script_file(program, rest, bases),
            "pip" | "pip3" => self.flagged(rest, &["-r", "--requirement", "-c"], bases),
            "kubectl" | "helm" => self.flagged(rest, &["-f", "--filename", "--values", "-k"], bases),
            "cp" => rest
                .iter()
                .find(|word| !word.starts_with('-'))
                .map_or(Grounds::Elsewhere, |word| self.local(word, bases)),
            _ => self.tool(program, rest, bases),
        }
    }

    fn has_any(&self, bases: &[PathBuf], name: &str) -> bool {
        bases
            .iter()
            .filter_map(|base| plain(&base.join(name)))
            .any(|path| self.repository.has(&path) || self.repository.has_folder(&path))
    }

    fn local(&self, name: &str, bases: &[PathBuf]) -> Grounds {
        let outside = name.starts_with(['/', '~', '-'])
            || name.contains(['*', ':', '[', '='])
            || name.starts_with("../..")
            || name == "."
            || name == "..";
        // What a build or an environment makes is not in a repository.
        let made = [
            "build/",
            "dist/",
            "target/",
            "bin/",
            "venv/",
            ".venv/",
            "node_modules/",
            "env/",
            "vendor/",
            "out/",
            "_build/",
            ".git/",
        ];
        let name = name.trim_start_matches("./");
        if outside || name.is_empty() || made.iter().any(|folder| name.starts_with(folder)) {
            return if self.has_any(bases, name) { Grounds::There } else { Grounds::Elsewhere };
        }
        match self.has_any(bases, name) {
            true => Grounds::There,
            false if name.contains('/') || name.contains('.') => Grounds::Missing(format!("{name} is not there")),
            // A program that was just built or unpacked.
            false => Grounds::Elsewhere,
        }
    }

    fn make(&self, rest: &[&str], bases: &[PathBuf]) -> Grounds {
        let mut bases = bases.to_vec();
        let mut file = None;
        let mut targets = Vec::new();
        let mut words = rest.iter();
        while let Some(word) = words.next() {
            match *word {
                "-C" | "--directory" => {
                    let Some(folder) = words.next() else { break };
                    bases = bases.iter().filter_map(|base| plain(&base.join(folder))).collect();
                }
                "-f" | "--file" => file = words.next(),
                "-j" | "-l" => {}
                word if word.starts_with('-')
                    || word.contains('=')
                    || word.bytes().all(|byte| byte.is_ascii_digit()) => {}
                word => targets.push(word),
            }
        }
        let names: Vec<&str> = file.map_or_else(|| vec!["Makefile", "makefile", "GNUmakefile"], |file| vec![*file]);
        let files: Vec<PathBuf> = bases.iter().flat_map(|base| names.iter().map(move |name| base.join(name))).collect();
        let texts: Vec<_> = files.iter().filter_map(|file| self.repository.text(file)).collect();
        if texts.is_empty() {
            return Grounds::Missing("there is no Makefile".to_owned());
        }
        let known: BTreeSet<&str> = texts.iter().flat_map(|text| targets_of(text)).collect();
        let open = texts.iter().any(|text| {
            text.lines().any(|line| {
                line.trim_start_matches('-').starts_with("include ") || line.contains('%') || line.contains("$(eval")
            })
        });
        match targets.iter().find(|target| !known.contains(*target)) {
            None => Grounds::There,
            Some(_) if open => Grounds::Elsewhere,
            Some(target) => Grounds::Missing(format!("the Makefile has no target {target}")),
        }
    }

    fn runner(&self, program: &str, bases: &[PathBuf]) -> Grounds {
        let names: &[&str] = match program {
            "just" => &["justfile", "Justfile", ".justfile"],
            _ => &["Taskfile.yml", "Taskfile.yaml", "taskfile.yml", "Taskfile.dist.yml"],
        };
        match names.iter().any(|name| self.has_any(bases, name)) {
            true => Grounds::There,
            false => Grounds::Missing(format!("there is no {}", names[0])),
        }
    }

    fn script(&self, program: &str, rest: &[&str], bases: &[PathBuf]) -> Grounds {
        let elsewhere = [
            "--prefix",
            "--cwd",
            "-C",
            "--filter",
            "-F",
            "-w",
            "--workspace",
            "--dir",
            "workspace",
            "-r",
            "-g",
            "--global",
        ];
        let anywhere = rest
            .iter()
            .any(|word| elsewhere.contains(word) || word.starts_with("--filter=") || word.starts_with("--workspace="));
        let mut words = rest.iter().filter(|word| !word.starts_with('-'));
        let Some(first) = words.next() else { return self.tool(program, rest, bases) };
        let name = match *first {
            "run" | "run-script" => match words.next() {
                Some(name) => *name,
                None => return Grounds::Elsewhere,
            },
            "start" | "test" | "t" | "stop" | "restart" => first,
            // Yarn, pnpm and bun run a script by its name; they may as well run a program.
            _ => {
                return if OWN_WORDS.contains(first) && !anywhere {
                    self.tool(program, rest, bases)
                } else {
                    Grounds::Elsewhere
                };
            }
        };
        if name.contains('/') || (program == "bun" && name.contains('.')) {
            return Grounds::Elsewhere;
        }
        let name = if name == "t" { "test" } else { name };
        let of = self
            .repository
            .manifests()
            .all
            .iter()
            .filter(|((folder, language), _)| *language == "javascript" && (anywhere || bases.contains(folder)));
        let mut manifests = of.peekable();
        if manifests.peek().is_none() {
            let what = "there is no package.json";
            return if anywhere { Grounds::Elsewhere } else { Grounds::Missing(what.to_owned()) };
        }
        let has_server = name == "start" && self.has_any(bases, "server.js");
        match has_server || manifests.any(|(_, manifest)| manifest.scripts.contains_key(name)) {
            true => Grounds::There,
            false if anywhere || program == "bun" => Grounds::Elsewhere,
            false => Grounds::Missing(format!("package.json has no script {name}")),
        }
    }

    fn compose(&self, rest: &[&str], bases: &[PathBuf]) -> Grounds {
        if rest.iter().any(|word| ["-f", "--file"].contains(word)) {
            return self.flagged(rest, &["-f", "--file"], bases);
        }
        let names = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
        match names.iter().any(|name| self.has_any(bases, name)) {
            true => Grounds::There,
            false if rest.iter().any(|word| ["version", "--version", "ls"].contains(word)) => Grounds::Elsewhere,
            false => Grounds::Missing("there is no compose file".to_owned()),
        }
    }

    /// Files that are named behind one of these flags.
    fn flagged(&self, rest: &[&str], flags: &[&str], bases: &[PathBuf]) -> Grounds {
        let mut found = Grounds::Elsewhere;
        for (at, word) in rest.iter().enumerate().filter(|(_, word)| flags.contains(word)) {
            match rest.get(at + 1).map(|name| (name, self.local(name, bases))) {
                Some((_, Grounds::Missing(what))) => return Grounds::Missing(format!("{word}: {what}")),
                Some((_, Grounds::There)) => found = Grounds::There,
                _ => {}
            }
        }
        found
    }

    fn script_file(&self, program: &str, rest: &[&str], bases: &[PathBuf]) -> Grounds {
        let flags = ["-c", "-m", "-e", "-r", "-p", "-lc", "--eval"];
        if rest.first().is_some_and(|word| flags.contains(word)) {
            return Grounds::Elsewhere;
        }
        if program == "psql" {
            return self.flagged(rest, &["-f", "--file"], bases);
        }
        let Some(file) = rest.iter().find(|word| !word.starts_with('-')) else { return Grounds::Elsewhere };
        let is_file = [".py", ".js", ".mjs", ".cjs", ".ts", ".rb", ".php", ".sh", ".yml", ".yaml"]
            .iter()
            .any(|ending| file.ends_with(ending));
        if !is_file {
            return Grounds::Elsewhere;
        }
        match self.local(file, bases) {
            // A file of this name in another folder: where one stands is not always written.
            Grounds::Missing(_) if !file.contains('/') && self.names.contains(file) => Grounds::There,
            other => other,
        }
    }

    fn tool(&self, program: &str, rest: &[&str], bases: &[PathBuf]) -> Grounds {
        let Some(tool) = TOOLS.tool.iter().find(|tool| tool.programs.iter().any(|own| own == program)) else {
            return Grounds::Elsewhere;
        };
        // `npm install express` adds a package, wherever.
        let names_package = (MANAGERS.contains(&program) || program == "pipenv")
            && !rest.contains(&"run")
            && rest.iter().filter(|word| !word.starts_with('-')).count() > 1;
        let fits = tool.words.is_empty()
            || rest
                .iter()
                .find(|word| !word.starts_with('-'))
                .is_some_and(|word| tool.words.iter().any(|own| own == word));
        if tool.files.is_empty()
            || !fits
            || names_package
            || rest.iter().any(|word| ["-g", "--global", "--version", "--help"].contains(word))
        {
            return Grounds::Elsewhere;
        }
        let there = |file: &String| {
            let name = file.rsplit('/').next().unwrap_or(file);
            self.has_any(bases, file) || (tool.anywhere && self.names.contains(name))
        };
        match tool.files.iter().any(there) {
            true => Grounds::There,
            false => Grounds::Missing(format!("there is no {}", tool.files[0])),
        }
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Sample;

    use super::*;

    const GONE: &[&str] = &[
        "make rollback",
        "npm run deploy",
        "./scripts/down.sh",
        "docker compose -f prod.yml up",
        "alembic upgrade head",
        "just test",
        "pip install -r requirements.txt",
        "python worker.py",
        "cp .env.sample .env",
    ];

    #[test]
    fn what_commands_name_is_looked_up() {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(&[
            ("Makefile", "deploy: build\n\techo\nX := 1\n"),
            ("package.json", "{\"scripts\": {\"test\": \"x\", \"build\": \"x\"}}"),
            ("web/package.json", "{\"scripts\": {\"dev\": \"x\"}}"),
            ("scripts/up.sh", "x"),
            ("manage.py", "x"),
            ("docker-compose.yml", "x"),
            (".env.example", "x"),
            ("docs/a.md", "x"),
        ])
        .write(folder.path())
        .unwrap();
        let repository = Repository::open(folder.path()).unwrap();
        let resolver = Resolver::of(&repository);
        let look = |line: &str, folder: &str| {
            let words = line.split(' ').map(String::from).collect();
            resolver.look(
                &Command { words, line: 1, folder: Some(folder.into()) },
                &Document::new(Path::new("docs/a.md"), "# A\n"),
            )
        };
        for line in [
            "make deploy",
            "npm run build",
            "npm test",
            "./scripts/up.sh",
            "bash scripts/up.sh",
            "docker compose up -d",
            "python manage.py migrate",
            "npm ci",
            "cp .env.example .env",
            "poetry run python manage.py test",
        ] {
            assert_eq!(look(line, ""), Grounds::There, "{line}");
        }
        assert_eq!(look("npm run dev", "web"), Grounds::There);
        assert_eq!(look("npm run build", "clone"), Grounds::There);
        for line in GONE {
            assert!(matches!(look(line, ""), Grounds::Missing(_)), "{line}: {:?}", look(line, ""));
        }
        for line in [
            "git pull",
            "curl localhost",
            "kubectl get pods",
            "./scripts/<name>.sh",
            "npm install express",
            "python -m venv venv",
            "ls x.y",
            "yarn dev",
        ] {
            assert_eq!(look(line, ""), Grounds::Elsewhere, "{line}");
        }
    }
}
