//! Where a key set comes from.

use std::{fs, path::PathBuf, time::Duration};

use crate::{fetch, key::Key, key_set, settings::TokenSettings};

/// A fetch takes no longer, and nobody waits longer for one.
pub(crate) const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// A file on this machine costs nothing to read.
const FILE_REFRESH: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    File(PathBuf),
    Address(String),
}

impl Source {
    pub(crate) fn of(settings: &TokenSettings) -> Option<Self> {
        let place = settings.jwks.as_ref()?;
        Some(match settings.address() {
            Some(address) => Self::Address(address.to_owned()),
            None => Self::File(place.into()),
        })
    }

    /// How long its keys are kept before it is looked at again.
    pub(crate) fn refresh(&self, settings: Duration) -> Duration {
        match self {
            Self::File(_) => FILE_REFRESH.min(settings),
            Self::Address(_) => settings,
        }
    }

    pub(crate) fn read_file(path: &PathBuf) -> Result<Vec<Key>, String> {
        let text = fs::read(path).map_err(|error| error.to_string())?;
        key_set::read(&text, false).map_err(str::to_owned)
    }

    pub(crate) async fn read(&self) -> Result<Vec<Key>, String> {
        match self {
            Self::File(path) => Self::read_file(path),
            Self::Address(address) => {
                let text = fetch::get(address, FETCH_TIMEOUT).await.map_err(|error| error.to_string())?;
                key_set::read(&text, true).map_err(str::to_owned)
            }
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Address(address) => f.write_str(address),
        }
    }
}
