//! The key that evidence is signed with: Ed25519 (RFC 8032), one for each folder of evidence.
//!
//! A signature says that whoever held the key wrote the record, and that nobody without it changed one. Who can read the key
//! can write evidence, so a team that checks in its pipeline keeps the key there and pins the public half:
//! `seaworthy evidence verify --key PUBLIC`.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use thiserror::Error;

use crate::hash;

const PRIVATE_LABEL: &str = "PRIVATE KEY";

/// Signs.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: VerifyingKey,
}

/// Says whether a signature is of the key's other half. Written as base64 of its 32 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey(Vec<u8>);

/// There is no key to sign with.
#[derive(Debug, Error)]
pub enum KeyError {
    /// It cannot be read or made.
    #[error("cannot use the evidence key {path}: {source}; check the folder, or set [check] evidence_key")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is no Ed25519 key.
    #[error("{0} holds no Ed25519 private key (PKCS #8, PEM); restore it, or remove it to begin with a new one")]
    Damaged(PathBuf),
    /// Others can read it.
    #[error("others may read the evidence key {0}, and could write evidence with it; run: chmod 600 {0}")]
    Open(PathBuf),
    /// Not 32 bytes in base64.
    #[error(
        "`{0}` is no public key: write the 44 characters that `seaworthy evidence verify` prints, or a file with them"
    )]
    Public(String),
}

impl SigningKey {
    /// Reads the key, or makes one that only its owner can read.
    ///
    /// # Errors
    /// When it cannot be read or made, is damaged, or can be read by others.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        match fs::read_to_string(path) {
            Ok(text) => {
                use std::os::unix::fs::PermissionsExt;
                let mode = fs::metadata(path).map_err(|source| file(path, source))?.permissions().mode();
                if mode & 0o077 != 0 {
                    return Err(KeyError::Open(path.to_owned()));
                }
                Self::parse(&text).ok_or_else(|| KeyError::Damaged(path.to_owned()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path),
            Err(source) => Err(file(path, source)),
        }
    }

    fn create(path: &Path) -> Result<Self, KeyError> {
        let damaged = || KeyError::Damaged(path.to_owned());
        let pair = Ed25519KeyPair::generate().map_err(|_| damaged())?;
        let der = pair.to_pkcs8().map_err(|_| damaged())?;
        let text = format!(
            "-----BEGIN {PRIVATE_LABEL}-----\n{}\n-----END {PRIVATE_LABEL}-----\n",
            BASE64.encode(der.as_ref())
        );
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|source| file(path, source))?;
        }
        keep_out_of_git(path);
        // Two that begin at once: the second finds the first one's key.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut created) => {
                created
                    .write_all(text.as_bytes())
                    .and_then(|()| created.sync_all())
                    .map_err(|source| file(path, source))?;
                Self::parse(&text).ok_or_else(damaged)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::open(path),
            Err(source) => Err(file(path, source)),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let inside = text.split_once(&format!("-----BEGIN {PRIVATE_LABEL}-----"))?.1;
        let inside = inside.split_once(&format!("-----END {PRIVATE_LABEL}-----"))?.0;
        let der = BASE64.decode(inside.split_whitespace().collect::<String>()).ok()?;
        let pair = Ed25519KeyPair::from_pkcs8(&der).ok()?;
        let public = VerifyingKey(pair.public_key().as_ref().to_vec());
        Some(Self { pair, public })
    }

    /// Its other half.
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// The signature, 64 bytes.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.id())
    }
}

impl VerifyingKey {
    /// From base64, or from a file that holds it.
    ///
    /// # Errors
    /// When it is neither.
    pub fn read(text_or_path: &str) -> Result<Self, KeyError> {
        let held = fs::read_to_string(text_or_path).unwrap_or_else(|_| text_or_path.to_owned());
        held.trim().parse().map_err(|()| KeyError::Public(text_or_path.to_owned()))
    }

    /// The first 16 hexadecimal digits of its SHA-256: what records name.
    pub fn id(&self) -> String {
        hash(&self.0).chars().take(16).collect()
    }

    /// Whether the signature of this message is the other half's.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

impl std::str::FromStr for VerifyingKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let bytes = BASE64.decode(text).map_err(|_| ())?;
        if bytes.len() == 32 { Ok(Self(bytes)) } else { Err(()) }
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}

/// A key that is committed is everybody's. Where the folder has a `.gitignore` of its own, that is the team's business.
fn keep_out_of_git(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else { return };
    if folder.as_os_str().is_empty() {
        return;
    }
    let made = OpenOptions::new().write(true).create_new(true).open(folder.join(".gitignore"));
    if let Ok(mut ignoring) = made {
        // Without it the key is as safe as its folder.
        let _ = ignoring.write_all(format!("# Whoever has this key can write evidence.\n{name}\n").as_bytes());
    }
}

fn file(path: &Path, source: io::Error) -> KeyError {
    KeyError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_its_signatures_hold() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/key.pem");
        let first = SigningKey::open(&path).unwrap();
        let second = SigningKey::open(&path).unwrap();
        assert_eq!(first.public(), second.public());
        assert!(fs::read_to_string(folder.path().join("deep/.gitignore")).unwrap().contains("\nkey.pem\n"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let signature = first.sign(b"seen");
        let public: VerifyingKey = second.public().to_string().parse().unwrap();
        assert!(public.verifies(b"seen", &signature));
        assert!(!public.verifies(b"seem", &signature) && !public.verifies(b"seen", &signature[1..]));
        assert!(!format!("{first:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_key_that_others_read_or_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        SigningKey::open(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(SigningKey::open(&path), Err(KeyError::Open(_))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "no key").unwrap();
        assert!(matches!(SigningKey::open(&path), Err(KeyError::Damaged(_))));
        assert!(matches!(VerifyingKey::read("short"), Err(KeyError::Public(_))));
    }
}
