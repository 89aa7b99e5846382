//! A pair of files that is read again when it changes, and believed only when it is whole.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{certificate::Certificate, error::TlsError};

/// What changes when a file is written, replaced by a rename, or when a link on its way is swapped (as Kubernetes does).
type Stamp = Option<(u64, u64, u64, i64, i64, i64, i64)>;

/// A pair on disk, with the last good state of it.
#[derive(Debug)]
pub(super) struct Watched {
    certificate_path: PathBuf,
    key_path: PathBuf,
    stamps: [Stamp; 2],
    /// The state that was refused, and whether that was said: a pair is often two writes, so the first look at a bad
    /// one says nothing.
    refused: Option<([Stamp; 2], bool)>,
    /// `None` only for a file that may be missing.
    pub current: Option<Arc<Certificate>>,
}

/// What a look at the files found.
#[derive(Debug)]
pub(super) enum Change {
    /// Nothing new.
    None,
    /// A new pair is in use.
    Replaced,
    /// A new pair cannot be used; the old one stays. Told once.
    Refused(TlsError),
}

impl Watched {
    /// Reads a pair that must be there.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let mut watched = Self::absent(certificate, key);
        watched.stamps = watched.look();
        watched.current = Some(Arc::new(Certificate::load(certificate, key)?));
        Ok(watched)
    }

    /// Watches files that may come later.
    pub fn absent(certificate: &Path, key: &Path) -> Self {
        Self {
            certificate_path: certificate.into(),
            key_path: key.into(),
            stamps: [None; 2],
            refused: None,
            current: None,
        }
    }

    /// Where the certificate is.
    pub fn path(&self) -> &Path {
        &self.certificate_path
    }

    /// Looks, and reads when something changed.
    pub fn refresh(&mut self, now: i64) -> Change {
        let seen = self.look();
        if seen == self.stamps || matches!(self.refused, Some((stamps, true)) if stamps == seen) {
            return Change::None;
        }
        if self.current.is_none() && seen[0].is_none() {
            return Change::None;
        }
        let loaded =
            Certificate::load(&self.certificate_path, &self.key_path).and_then(|new| self.acceptable(new, now));
        match loaded {
            // Changed while we read: what we read may be a mixture, the next look knows more.
            Ok(_) if self.look() != seen => Change::None,
            Ok(new) => {
                self.stamps = seen;
                self.refused = None;
                self.current = Some(Arc::new(new));
                Change::Replaced
            }
            Err(error) => {
                let again = matches!(self.refused, Some((stamps, _)) if stamps == seen);
                self.refused = Some((seen, again));
                if again { Change::Refused(error) } else { Change::None }
            }
        }
    }

    fn acceptable(&self, new: Certificate, now: i64) -> Result<Certificate, TlsError> {
        let better = self.current.as_ref().is_some_and(|current| !current.has_expired(now));
        if better && new.has_expired(now) {
            return Err(TlsError::Expired(self.certificate_path.clone()));
        }
        Ok(new)
    }

    fn look(&self) -> [Stamp; 2] {
        [stamp(&self.certificate_path), stamp(&self.key_path)]
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::tls::self_signed;

    const NOW: i64 = 1_700_000_000;

    fn pem(made_at: i64) -> (String, String) {
        let pem = self_signed::generate(&["a.example".to_owned()], made_at).unwrap();
        let (key, chain) = pem.split_at(pem.find("-----BEGIN CERTIFICATE").unwrap());
        (chain.to_owned(), key.to_owned())
    }

    fn write(folder: &Path, (chain, key): &(String, String)) {
        fs::write(folder.join("tls.crt"), chain).unwrap();
        fs::write(folder.join("tls.key"), key).unwrap();
    }

    fn leaf(watched: &Watched) -> Vec<u8> {
        watched.current.as_ref().unwrap().leaf().unwrap().to_vec()
    }

    #[test]
    fn a_torn_pair_is_refused_once_and_the_old_one_stays_until_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (pem(NOW), pem(NOW));
        write(folder.path(), &old);
        let mut watched = Watched::load(&folder.path().join("tls.crt"), &folder.path().join("tls.key")).unwrap();
        let before = leaf(&watched);
        assert!(matches!(watched.refresh(NOW), Change::None));
        fs::write(folder.path().join("tls.crt"), &new.0[..200]).unwrap();
        assert!(matches!(watched.refresh(NOW), Change::None), "the first look waits for the rest");
        assert!(matches!(watched.refresh(NOW), Change::Refused(TlsError::Malformed { .. })));
        assert!(matches!(watched.refresh(NOW), Change::None), "told once");
        fs::write(folder.path().join("tls.crt"), &new.0).unwrap();
        watched.refresh(NOW);
        assert!(matches!(watched.refresh(NOW), Change::Refused(TlsError::Mismatch { .. })));
        assert_eq!(leaf(&watched), before);
        fs::write(folder.path().join("tls.key"), &new.1).unwrap();
        assert!(matches!(watched.refresh(NOW), Change::Replaced));
        assert_ne!(leaf(&watched), before);
        fs::remove_file(folder.path().join("tls.key")).unwrap();
        watched.refresh(NOW);
        assert!(matches!(watched.refresh(NOW), Change::Refused(TlsError::Unreadable { .. })));
        assert!(watched.current.is_some());
    }

    #[test]
    fn a_rename_and_a_swapped_link_are_seen_and_an_expired_pair_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (name, pair) in [("1", pem(NOW)), ("2", pem(NOW)), ("3", pem(NOW - 400 * 24 * 60 * 60))] {
            fs::create_dir(root.join(name)).unwrap();
            write(&root.join(name), &pair);
        }
        let point = |version: &str| {
            symlink(version, root.join("new")).unwrap();
            fs::rename(root.join("new"), root.join("data")).unwrap();
        };
        point("1");
        let mut watched = Watched::load(&root.join("data/tls.crt"), &root.join("data/tls.key")).unwrap();
        let first = leaf(&watched);
        point("2");
        assert!(matches!(watched.refresh(NOW), Change::Replaced));
        let second = leaf(&watched);
        assert_ne!(first, second);
        point("3");
        watched.refresh(NOW);
        assert!(matches!(watched.refresh(NOW), Change::Refused(TlsError::Expired(_))));
        assert_eq!(leaf(&watched), second);
    }

    #[test]
    fn a_file_that_is_not_there_yet_is_picked_up() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let mut watched = Watched::absent(&chain, &key);
        assert!(matches!(watched.refresh(NOW), Change::None));
        write(folder.path(), &pem(NOW));
        assert!(matches!(watched.refresh(NOW), Change::Replaced));
    }
}
