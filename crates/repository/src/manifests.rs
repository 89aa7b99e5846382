//! Manifests: what a project depends on, and what it says of how it starts.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{setup_py, tree::Tree};

/// What the manifests of one language in one folder say together.
#[derive(Debug, Default)]
pub struct Manifest {
    /// Direct dependencies; those of Python in their normal form.
    pub dependencies: Vec<Dependency>,
    /// `scripts` of package.json.
    pub scripts: BTreeMap<String, String>,
    /// `main` of package.json.
    pub main: Option<String>,
    /// The program that Cargo.toml makes.
    pub name: Option<String>,
}

/// One dependency.
#[derive(Debug, Clone)]
pub struct Dependency {
    /// Its name; with an extra in brackets it is there twice.
    pub name: String,
    /// The file that names it.
    pub file: PathBuf,
    /// It is for development only.
    pub development: bool,
}

/// All manifests of a tree: by folder and language.
#[derive(Debug, Default)]
pub struct Manifests {
    /// The manifests.
    pub all: BTreeMap<(PathBuf, &'static str), Manifest>,
    /// Files that cannot be read, with the reason.
    pub unreadable: Vec<String>,
}

impl Manifests {
    /// Reads every manifest of the tree.
    pub fn read(tree: &Tree) -> Self {
        let mut found = Self::default();
        for path in &tree.files {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            let (language, reader): (_, Reader) = match name {
                "pyproject.toml" => ("python", pyproject),
                "Pipfile" => ("python", pipfile),
                "setup.py" => ("python", setup_script),
                "package.json" => ("javascript", package_json),
                "Gemfile" => ("ruby", gemfile),
                "go.mod" => ("go", go_mod),
                "Cargo.toml" => ("rust", cargo_toml),
                _ if is_requirements(path) => ("python", requirements),
                _ => continue,
            };
            // requirements/base.txt is the parent's.
            let folder =
                if folder.ends_with("requirements") { folder.parent().unwrap_or(&folder).to_owned() } else { folder };
            let Some(text) = tree.text(path) else { continue };
            match reader(&text, path) {
                Ok(manifest) => found.all.entry((folder, language)).or_default().merge(manifest),
                Err(reason) => {
                    let reason = reason.lines().next().unwrap_or_default().to_owned();
                    found.unreadable.push(format!("{} cannot be read: {reason}", path.display()));
                }
            }
        }
        found
    }

    /// The manifest of a folder.
    pub fn of(&self, folder: &Path, language: &'static str) -> Option<&Manifest> {
        self.all.get(&(folder.to_owned(), language))
    }
}

impl Manifest {
    /// A dependency of this name; a Go module also in a later major version.
    pub fn dependency(&self, name: &str) -> Option<&Dependency> {
        let fits = |own: &str| own == name || own.strip_prefix(name).is_some_and(|rest| rest.starts_with("/v"));
        self.dependencies.iter().find(|dependency| fits(&dependency.name))
    }

    fn merge(&mut self, other: Self) {
        self.dependencies.extend(other.dependencies);
        self.scripts.extend(other.scripts);
        self.main = self.main.take().or(other.main);
        self.name = self.name.take().or(other.name);
    }

    fn add(&mut self, name: &str, file: &Path, development: bool) {
        self.dependencies.push(Dependency { name: name.to_owned(), file: file.to_owned(), development });
    }

    /// A Python requirement: `Name[extra]>=1 ; marker`.
    fn add_requirement(&mut self, line: &str, file: &Path, development: bool) {
        let line = line.trim();
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        let end = line.find(|letter| !is_name(letter)).unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        if name.is_empty() || name.starts_with('-') {
            return;
        }
        let name = name.to_ascii_lowercase().replace(['_', '.'], "-");
        self.add(&name, file, development);
        if let Some((extras, _)) = rest.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            for extra in extras.split(',') {
                self.add(&format!("{name}[{}]", extra.trim().to_ascii_lowercase()), file, development);
            }
        }
    }
}

type Reader = fn(&str, &Path) -> Result<Manifest, String>;

fn is_requirements(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let text = path.extension().is_some_and(|extension| extension == "txt" || extension == "in");
    let folder = path.parent().is_some_and(|folder| folder.ends_with("requirements"));
    text && (name.starts_with("requirements") || folder)
}

fn requirements(text: &str, path: &Path) -> Result<Manifest, String> {
    let mut manifest = Manifest::default();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let development = ["dev", "test", "lint", "doc"].iter().any(|mark| name.contains(mark));
    for line in text.lines() {
        manifest.add_requirement(line.split(" #").next().unwrap_or_default(), path, development);
    }
    Ok(manifest)
}

/// A group of this name is for those who work on the project: `test`, `docs-build`.
fn is_for_developers(group: &str) -> bool {
    let words =
        ["dev", "develop", "development", "test", "tests", "testing", "lint", "doc", "docs", "ci", "typing", "build"];
    group.to_ascii_lowercase().split(['-', '_', '.']).any(|word| words.contains(&word))
}

/// A setup.py is a program; the literal lists in it are enough.
fn setup_script(text: &str, path: &Path) -> Result<Manifest, String> {
    let mut manifest = Manifest::default();
    for requirement in setup_py::requirements(text) {
        let development = requirement.extra.is_some_and(|extra| is_for_developers(&extra));
        manifest.add_requirement(&requirement.line, path, development);
    }
    Ok(manifest)
}

fn pyproject(text: &str, path: &Path) -> Result<Manifest, String> {
    let table = toml_table(text)?;
    let mut manifest = Manifest::default();
    let mut add_list = |list: Option<&toml::Value>, development| {
        for line in list.and_then(toml::Value::as_array).into_iter().flatten().filter_map(toml::Value::as_str) {
            manifest.add_requirement(line, path, development);
        }
    };
    let project = table.get("project");
    add_list(project.and_then(|project| project.get("dependencies")), false);
    for (extra, list) in entries(project.and_then(|project| project.get("optional-dependencies"))) {
        add_list(Some(list), is_for_developers(extra));
    }
    for (_, list) in entries(table.get("dependency-groups")) {
        add_list(Some(list), true);
    }
    let poetry = table.get("tool").and_then(|tool| tool.get("poetry"));
    for (name, value) in entries(poetry.and_then(|poetry| poetry.get("dev-dependencies"))) {
        add_with_extras(&mut manifest, name, value, path, true);
    }
    for (name, value) in entries(poetry.and_then(|poetry| poetry.get("dependencies"))) {
        add_with_extras(&mut manifest, name, value, path, false);
    }
    for (group, table) in entries(poetry.and_then(|poetry| poetry.get("group"))) {
        for (name, value) in entries(table.get("dependencies")) {
            add_with_extras(&mut manifest, name, value, path, group != "main");
        }
    }
    Ok(manifest)
}

fn pipfile(text: &str, path: &Path) -> Result<Manifest, String> {
    let table = toml_table(text)?;
    let mut manifest = Manifest::default();
    for (section, development) in [("packages", false), ("dev-packages", true)] {
        for (name, value) in entries(table.get(section)) {
            add_with_extras(&mut manifest, name, value, path, development);
        }
    }
    Ok(manifest)
}

fn add_with_extras(manifest: &mut Manifest, name: &str, value: &toml::Value, path: &Path, development: bool) {
    let extras = value.get("extras").and_then(toml::Value::as_array).into_iter().flatten();
    let extras: Vec<&str> = extras.filter_map(toml::Value::as_str).collect();
    let line = if extras.is_empty() { name.to_owned() } else { format!("{name}[{}]", extras.join(",")) };
    manifest.add_requirement(&line, path, development);
}

fn package_json(text: &str, path: &Path) -> Result<Manifest, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut manifest = Manifest::default();
    let names = |key: &str| value[key].as_object().into_iter().flat_map(|table| table.keys());
    for (key, development) in [("dependencies", false), ("devDependencies", true)] {
        names(key).for_each(|name| manifest.add(name, path, development));
    }
    let scripts = value["scripts"].as_object().into_iter().flatten();
    manifest.scripts = scripts.filter_map(|(name, line)| Some((name.clone(), line.as_str()?.to_owned()))).collect();
    manifest.main = value["main"].as_str().map(String::from);
    Ok(manifest)
}

/// A Gemfile is a program; its usual lines are enough.
fn gemfile(text: &str, path: &Path) -> Result<Manifest, String> {
    let mut manifest = Manifest::default();
    for line in text.lines() {
        let Some(rest) = line.trim_start().strip_prefix("gem ") else { continue };
        let name = rest.trim_start().trim_start_matches(['"', '\'']).split(['"', '\'']).next().unwrap_or_default();
        manifest.add(name, path, false);
    }
    Ok(manifest)
}

fn go_mod(text: &str, path: &Path) -> Result<Manifest, String> {
    let mut manifest = Manifest::default();
    for line in text.lines().filter(|line| !line.trim_end().ends_with("// indirect")) {
        let mut words = line.split_whitespace().skip_while(|word| *word == "require");
        let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
        if name.contains('.') && version.starts_with('v') {
            manifest.add(name, path, false);
        }
    }
    Ok(manifest)
}

fn cargo_toml(text: &str, path: &Path) -> Result<Manifest, String> {
    let table = toml_table(text)?;
    let mut manifest = Manifest::default();
    for (key, development) in [("dependencies", false), ("dev-dependencies", true)] {
        for (name, value) in entries(table.get(key)) {
            manifest.add(value.get("package").and_then(toml::Value::as_str).unwrap_or(name), path, development);
        }
    }
    let name = |value: Option<&toml::Value>| value.and_then(|value| value.get("name")?.as_str().map(String::from));
    let first_program = table.get("bin").and_then(|list| list.get(0));
    manifest.name = name(first_program).or_else(|| name(table.get("package")));
    Ok(manifest)
}

fn toml_table(text: &str) -> Result<toml::Table, String> {
    text.parse().map_err(|error: toml::de::Error| error.message().to_owned())
}

fn entries(value: Option<&toml::Value>) -> impl Iterator<Item = (&String, &toml::Value)> {
    value.and_then(toml::Value::as_table).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(reader: Reader, text: &str) -> Vec<String> {
        let manifest = reader(text, Path::new("requirements.txt")).unwrap();
        manifest
            .dependencies
            .into_iter()
            .map(|one| format!("{}{}", one.name, if one.development { " dev" } else { "" }))
            .collect()
    }

    #[test]
    fn python_manifests() {
        let text = "# fastapi\nFastAPI[Standard]>=0.1 ; python_version > '3'\n-r base.txt\n--hash=x\n\nzope.interface==1 # flask\n";
        assert_eq!(names(requirements, text), ["fastapi", "fastapi[standard]", "zope-interface"]);
        let text = "[project]\ndependencies = [\"flask ~= 3\"]\n[project.optional-dependencies]\nserver = [\"gunicorn\"]\ndocs-build = [\"sphinx\"]\n\
                    [dependency-groups]\ndev = [\"pytest\", {include-group = \"a\"}]\n[tool.poetry.dependencies]\n\
                    Django = \"^5\"\nuvicorn = { version = \"1\", extras = [\"standard\"] }\n\
                    [tool.poetry.group.dev.dependencies]\nblack = \"*\"\n";
        let expected =
            ["flask", "gunicorn", "sphinx dev", "pytest dev", "django", "uvicorn", "uvicorn[standard]", "black dev"];
        assert_eq!(names(pyproject, text), expected);
        assert_eq!(
            names(pipfile, "[packages]\nflask = \"*\"\n[dev-packages]\npytest = \"*\"\n"),
            ["flask", "pytest dev"]
        );
    }

    #[test]
    fn a_setup_script_is_a_manifest() {
        let text = "setup(\n    install_requires=['Flask>=2', # asyncpg\n        \"psycopg[binary]==3.2\"],\n    \
                    extras_require={'s3': ['boto3'], \"test\": [\"black==24.4.2\"]},\n)\n";
        assert_eq!(names(setup_script, text), ["flask", "psycopg", "psycopg[binary]", "boto3", "black dev"]);
        assert_eq!(names(setup_script, "setup(install_requires=read('requirements.txt'))\n"), [] as [String; 0]);
    }

    #[test]
    fn other_manifests() {
        let text = r#"{"main": "a.js", "scripts": {"start": "node a.js"}, "dependencies": {"express": "1"}, "devDependencies": {"vite": "1"}}"#;
        assert_eq!(names(package_json, text), ["express", "vite dev"]);
        assert_eq!(
            names(gemfile, "source 'x'\n# gem \"sinatra\"\ngem \"rails\", \"~> 8\"\n  gem 'puma'\n"),
            ["rails", "puma"]
        );
        let text = "module example.com/a\n\ngo 1.24\n\nrequire github.com/a/b v1.0.0\nrequire (\n\tgithub.com/labstack/echo/v4 v4.1.0\n\tgithub.com/x/y v1.0.0 // indirect\n)\n";
        assert_eq!(names(go_mod, text), ["github.com/a/b", "github.com/labstack/echo/v4"]);
        let manifest = go_mod(text, Path::new("go.mod")).unwrap();
        assert!(manifest.dependency("github.com/labstack/echo").is_some());
        assert!(manifest.dependency("github.com/labstack/ech").is_none());
        let text = "[package]\nname = \"a\"\n[dependencies]\nweb = { package = \"axum\", version = \"1\" }\n[[bin]]\nname = \"server\"\n";
        assert_eq!(names(cargo_toml, text), ["axum"]);
        assert_eq!(cargo_toml(text, Path::new("")).unwrap().name.as_deref(), Some("server"));
    }

    #[test]
    fn a_manifest_that_is_wrong_is_named() {
        assert!(package_json("{", Path::new("")).is_err());
        assert!(pyproject("[", Path::new("")).is_err());
    }
}
