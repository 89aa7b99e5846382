//! What a config is read from, kept so that it can be read again: the same files, profile and flags.

use std::{
    env,
    path::{Path, PathBuf},
};

use seaworthy_config::{ConfigError, Document, Override, Profile};

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "seaworthy.toml";

/// Where a config comes from. Loading it a second time sees what the files say then, under the same flags.
#[derive(Debug, Clone, Default)]
pub struct ConfigSource {
    /// The file that was named; else `seaworthy.toml`, when there is one.
    pub file: Option<PathBuf>,
    /// The profile whose file is laid over it.
    pub profile: Profile,
    /// What the command line laid over both, and over the variables.
    pub overrides: Vec<Override>,
}

impl ConfigSource {
    /// File and profile as the command line named them; `SEAWORTHY_PROFILE` names the profile otherwise.
    pub fn new(file: Option<&Path>, profile: Option<&str>) -> Self {
        let named = profile.map(str::to_owned).or_else(|| env::var("SEAWORTHY_PROFILE").ok());
        Self {
            file: file.map(Path::to_owned),
            profile: Profile::named(named.unwrap_or_default()),
            overrides: Vec::new(),
        }
    }

    /// The files whose change is a change of the config, whether or not they exist now.
    pub fn files(&self) -> Vec<PathBuf> {
        let file = self.file.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        let profile = self.profile.file_beside(&file);
        [Some(file), profile].into_iter().flatten().collect()
    }

    /// Reads the files and the environment, which a [`Config`](super::Config) is then taken from.
    pub fn open(&self) -> Result<Document, ConfigError> {
        let default = Path::new(DEFAULT_FILE);
        let file = self.file.as_deref().or_else(|| default.exists().then_some(default));
        // A variable that is no text cannot be ours.
        let variables =
            env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(Document::load(file, default, &self.profile, variables)?.with_overrides(&self.overrides))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Config;

    #[test]
    fn the_same_source_reads_what_the_files_say_now() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("seaworthy.toml");
        let profile = folder.path().join("seaworthy.production.toml");
        fs::write(&file, "[edge]\nworkers = 1\nlisten = \"127.0.0.1:1\"\n").unwrap();
        fs::write(&profile, "[edge]\nworkers = 2\n").unwrap();
        let mut source = ConfigSource::new(Some(&file), Some("production"));
        let value = Some("127.0.0.1:9".to_owned());
        source.overrides.push(Override { key: "edge.listen", flag: "--listen", value });
        assert_eq!(source.files(), [file, profile.clone()]);
        let config = Config::load_with(&source).unwrap();
        assert_eq!((config.edge.workers, config.edge.listen.as_str()), (2, "127.0.0.1:9"));
        assert!(config.profile.is_production());
        fs::write(&profile, "[edge]\nworkers = 3\nlisten = \"127.0.0.1:3\"\n").unwrap();
        let config = Config::load_with(&source).unwrap();
        assert_eq!((config.edge.workers, config.edge.listen.as_str()), (3, "127.0.0.1:9"));
        fs::write(&profile, "[edge]\nworkers = \"x\"\n").unwrap();
        assert!(Config::load_with(&source).is_err());
    }
}
