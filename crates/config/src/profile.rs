//! A profile: a second file, laid over the first where the app runs for real.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use crate::finding::{ConfigError, Findings};

/// Which profile a config is read for. `production` is the one in which insecure combinations are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile(Option<String>);

impl Profile {
    /// The profile of that name; an empty name is none.
    pub fn named(name: impl Into<String>) -> Self {
        Self(Some(name.into()).filter(|name| !name.is_empty()))
    }

    /// Its name, when there is one.
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Whether insecure combinations are refused.
    pub fn is_production(&self) -> bool {
        self.name() == Some("production")
    }

    /// The file of this profile: `seaworthy.production.toml` beside `seaworthy.toml`.
    pub fn file_beside(&self, file: &Path) -> Option<PathBuf> {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        self.name().map(|name| file.with_file_name(format!("{stem}.{name}.toml")))
    }

    /// The file of this profile, which must exist.
    pub(crate) fn find_beside(&self, file: &Path) -> Result<Option<PathBuf>, ConfigError> {
        let Some(name) = self.name() else { return Ok(None) };
        let is_plain = name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'));
        let there = self.file_beside(file).filter(|path| is_plain && path.exists());
        if there.is_some() {
            return Ok(there);
        }
        let exist = existing(file);
        let help = match exist.is_empty() {
            true => format!("no profile exists here; write {}", Self::named("production").shown_beside(file)),
            false => format!("profiles that exist here: {}", exist.join(", ")),
        };
        let message = match is_plain {
            true => format!("the profile `{name}` has no file {}", self.shown_beside(file)),
            false => format!("`{name}` cannot be the name of a profile: use letters, digits, `-` and `_`"),
        };
        let mut findings = Findings::default();
        findings.add("", "SEA_CONFIG_PROFILE", message, &help);
        Err(findings.into_error())
    }

    fn shown_beside(&self, file: &Path) -> String {
        self.file_beside(file).unwrap_or_default().display().to_string()
    }
}

/// The profiles that have a file beside this one, sorted.
fn existing(file: &Path) -> Vec<String> {
    let folder = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let profile_of = |name: &OsStr| {
        let middle = name.to_str()?.strip_prefix(&stem)?.strip_prefix('.')?.strip_suffix(".toml")?;
        (!middle.is_empty()).then(|| middle.to_owned())
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| profile_of(&entry.file_name())).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_a_file_beside_the_config() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("seaworthy.toml");
        assert_eq!(Profile::named("").find_beside(&file).unwrap(), None);
        let error = Profile::named("production").find_beside(&file).unwrap_err();
        assert!(error.findings[0].help.as_deref().unwrap().contains("seaworthy.production.toml"));
        fs::write(folder.path().join("seaworthy.staging.toml"), "").unwrap();
        fs::write(folder.path().join("seaworthy.production.toml"), "").unwrap();
        let found = Profile::named("production").find_beside(&file).unwrap().unwrap();
        assert_eq!(found, folder.path().join("seaworthy.production.toml"));
        let error = Profile::named("prod").find_beside(&file).unwrap_err();
        assert_eq!(error.findings[0].help.as_deref(), Some("profiles that exist here: production, staging"));
        assert!(Profile::named("../staging").find_beside(&file).is_err());
        assert!(Profile::named("production").is_production() && !Profile::named("staging").is_production());
    }
}
