//! Writing files without ever destroying one: an existing file is compared, and replaced only when that was asked for.

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// What became of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    /// It is new.
    New,
    /// It replaced another one, as asked.
    Replaced,
    /// It was there already, with the same content or more.
    Same,
    /// Another one is there and was kept; how they differ, without any of its values.
    Kept(String),
}

/// How to treat what is there.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Replace files.
    pub force: bool,
    /// Only say what would be done.
    pub dry: bool,
}

/// Writes one file. `differs` compares what is there with what would be written; `None` when nothing is missing there.
pub fn write(
    folder: &Path,
    name: &str,
    text: &str,
    manner: Manner,
    differs: fn(&str, &str) -> Option<String>,
) -> Result<Written, (PathBuf, io::Error)> {
    let path = folder.join(name);
    let fail = |error| (path.clone(), error);
    // A link is looked at itself: what it points to may be far away.
    if fs::symlink_metadata(&path).is_err() {
        return match if manner.dry { Ok(()) } else { place(folder, &path, text, false) } {
            Ok(()) => Ok(Written::New),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Written::Kept("it has just been made".into())),
            Err(error) => Err(fail(error)),
        };
    }
    let there = fs::read(&path).map_err(fail)?;
    let there = String::from_utf8_lossy(&there);
    if there == text {
        return Ok(Written::Same);
    }
    if manner.force {
        if !manner.dry {
            place(folder, &path, text, true).map_err(fail)?;
        }
        return Ok(Written::Replaced);
    }
    Ok(differs(&there, text).map_or(Written::Same, Written::Kept))
}

/// How two configs differ: which keys, and no values.
pub fn config_differs(there: &str, ours: &str) -> Option<String> {
    let Ok(there) = there.parse::<toml::Table>() else { return Some("it is not TOML".into()) };
    let ours = ours.parse::<toml::Table>().unwrap_or_default();
    let (mut left, mut right) = (Vec::new(), Vec::new());
    flatten("", &toml::Value::Table(there), &mut left);
    flatten("", &toml::Value::Table(ours), &mut right);
    let keys = |list: &[(String, String)]| list.iter().map(|(key, _)| key.clone()).collect::<BTreeSet<_>>();
    let (left_keys, right_keys) = (keys(&left), keys(&right));
    let mut parts = Vec::new();
    let mut add = |what: &str, keys: Vec<&String>| {
        let names: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
        if !names.is_empty() {
            parts.push(format!("{what} {}", names.join(", ")));
        }
    };
    let value = |list: &[(String, String)], key: &String| {
        list.iter().find(|(own, _)| own == key).map(|(_, value)| value.clone())
    };
    let shared = left_keys.intersection(&right_keys);
    add("other values for", shared.filter(|key| value(&left, key) != value(&right, key)).collect());
    add("it lacks", right_keys.difference(&left_keys).collect());
    add("only it has", left_keys.difference(&right_keys).collect());
    // Only comments differ: nothing of the user's is missing, and nothing of ours matters.
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Which variables an existing example lacks.
pub fn example_differs(there: &str, ours: &str) -> Option<String> {
    let names = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().map(|line| line.trim_start().trim_start_matches("export ").trim_start_matches("# "));
        lines.filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim().to_owned()).collect()
    };
    let there = names(there);
    let missing: Vec<String> = names(ours).into_iter().filter(|name| !there.contains(name)).collect();
    (!missing.is_empty()).then(|| format!("it lacks {}", missing.join(", ")))
}

/// The file appears whole or not at all.
fn place(folder: &Path, path: &Path, text: &str, replace: bool) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    let mut file = builder.permissions(Permissions::from_mode(0o644)).tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    let placed = if replace { file.persist(path) } else { file.persist_noclobber(path) };
    placed.map(drop).map_err(|error| error.error)
}

fn flatten(path: &str, value: &toml::Value, into: &mut Vec<(String, String)>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        toml::Value::Table(table) => table.iter().for_each(|(key, value)| flatten(&below(key), value, into)),
        toml::Value::Array(list) if list.iter().all(toml::Value::is_table) => {
            list.iter().enumerate().for_each(|(index, value)| flatten(&below(&index.to_string()), value, into));
        }
        other => into.push((path.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Manner = Manner { force: false, dry: false };

    #[test]
    fn a_file_is_never_overwritten_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text, manner| write(folder.path(), "a.toml", text, manner, config_differs).unwrap();
        let read = || fs::read_to_string(folder.path().join("a.toml")).unwrap();
        assert_eq!(write("a = 1\n", Manner { force: false, dry: true }), Written::New);
        assert!(!folder.path().join("a.toml").exists());
        assert_eq!(write("a = 1\n", KEEP), Written::New);
        assert_eq!(fs::metadata(folder.path().join("a.toml")).unwrap().permissions().mode() & 0o600, 0o600);
        assert_eq!(write("a = 1\n", KEEP), Written::Same);
        let Written::Kept(why) = write("a = 2\nb = 3\n", KEEP) else { panic!() };
        assert_eq!((why.as_str(), read().as_str()), ("other values for a; it lacks b", "a = 1\n"));
        assert_eq!(write("a = 2\n", Manner { force: true, dry: true }), Written::Replaced);
        assert_eq!(read(), "a = 1\n");
        assert_eq!(write("a = 2\n", Manner { force: true, dry: false }), Written::Replaced);
        assert_eq!((read().as_str(), fs::read_dir(folder.path()).unwrap().count()), ("a = 2\n", 1));
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other");
        fs::write(&other, "x = 1\n").unwrap();
        std::os::unix::fs::symlink(&other, folder.path().join("a.toml")).unwrap();
        write(folder.path(), "a.toml", "y = 1\n", Manner { force: true, dry: false }, config_differs).unwrap();
        assert_eq!(fs::read_to_string(other).unwrap(), "x = 1\n");
    }

    #[test]
    fn differences_name_keys_and_no_values() {
        let why = config_differs(
            "[app]\ncommand = \"hunter2\"\nx = 1\n",
            "[app]\ncommand = \"b\"\n[[route]]\nmatch = \"/\"\n",
        );
        assert_eq!(why.as_deref(), Some("other values for app.command; it lacks route.0.match; only it has app.x"));
        assert_eq!(config_differs("# a\nx = 1\n", "x = 1\n"), None);
        assert_eq!(config_differs("[", "x = 1\n").as_deref(), Some("it is not TOML"));
        assert_eq!(example_differs("A=hunter2\n# B=\nC=1\n", "A=\nB=\nD=2\n").as_deref(), Some("it lacks D"));
        assert_eq!(example_differs("A=1\nB=2\n", "A=\n"), None);
    }
}
