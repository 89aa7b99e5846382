//! What nodes share: account, certificates, open challenges, orders under way, and failures, as files in a folder.
//!
//! Every file is replaced whole, so a node that dies leaves nothing half written. Names of files are made of host names
//! and tokens that were checked before.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::tls::{
    atomic_file::{create_private_folder, read_if_there, remove, write_private},
    settings::ChallengeKind,
};

/// Orders under way are kept with their key, so that an answer that came while we died is not lost.
#[derive(Serialize, Deserialize)]
pub(super) struct PendingOrder {
    /// The order at the authority.
    pub url: String,
    /// The key of the certificate to come, in PEM.
    pub key: String,
}

/// Why the last attempt failed and when the next may be made, for every node: authorities count failures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    /// In a row.
    pub attempts: u32,
    /// Unix seconds before which nobody tries again.
    pub next: i64,
    /// In words.
    pub why: String,
}

/// A folder for one authority: what its test directory gave is not mistaken for the real thing.
#[derive(Debug, Clone)]
pub(super) struct Store {
    folder: PathBuf,
}

const CERTIFICATES: &str = "certificates";
const CHALLENGES: &str = "challenges";
const ORDERS: &str = "orders";
const FAILURES: &str = "failures";
const LEASES: &str = "leases";

/// Authorities give up on a challenge after a week; ours are answered within minutes.
const STALE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Store {
    /// Makes the folders.
    pub fn open(root: &Path, directory: &str) -> io::Result<Self> {
        let host = directory.split('/').nth(2).unwrap_or_default();
        let host: String = host.chars().map(|each| if each.is_ascii_alphanumeric() { each } else { '-' }).collect();
        let digest = Sha256::digest(directory);
        let folder = root.join(format!("{host}-{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3]));
        for inner in [CERTIFICATES, CHALLENGES, ORDERS, FAILURES, LEASES] {
            create_private_folder(&folder.join(inner))?;
        }
        sweep(&folder.join(CHALLENGES));
        Ok(Self { folder })
    }

    /// Key and chain of a host, in one file, so that they are always a pair.
    pub fn certificate_path(&self, host: &str) -> PathBuf {
        self.folder.join(CERTIFICATES).join(format!("{host}.pem"))
    }

    /// Keeps a new certificate.
    pub fn put_certificate(&self, host: &str, key: &str, chain: &str) -> io::Result<()> {
        write_private(&self.certificate_path(host), format!("{key}{chain}").as_bytes())
    }

    /// The account's credentials, as the library serialises them.
    pub fn account(&self) -> io::Result<Option<String>> {
        read_if_there(&self.account_path())
    }

    /// Keeps the account.
    pub fn put_account(&self, credentials: &str) -> io::Result<()> {
        write_private(&self.account_path(), credentials.as_bytes())
    }

    /// Forgets an account that the authority does not know any more.
    pub fn remove_account(&self) -> io::Result<()> {
        remove(&self.account_path())
    }

    /// The order that a dead node left.
    pub fn order(&self, host: &str) -> io::Result<Option<PendingOrder>> {
        self.read(&self.order_path(host))
    }

    /// Keeps an order before anything is done for it.
    pub fn put_order(&self, host: &str, order: &PendingOrder) -> io::Result<()> {
        self.write(&self.order_path(host), order)
    }

    /// Forgets an order that has ended.
    pub fn remove_order(&self, host: &str) -> io::Result<()> {
        remove(&self.order_path(host))
    }

    /// The last failure, on whichever node.
    pub fn failure(&self, host: &str) -> io::Result<Option<Failure>> {
        self.read(&self.failure_path(host))
    }

    /// Keeps a failure.
    pub fn put_failure(&self, host: &str, failure: &Failure) -> io::Result<()> {
        self.write(&self.failure_path(host), failure)
    }

    /// All is well again.
    pub fn remove_failure(&self, host: &str) -> io::Result<()> {
        remove(&self.failure_path(host))
    }

    /// Where failures are, for the words of the log.
    pub fn failure_path(&self, host: &str) -> PathBuf {
        self.folder.join(FAILURES).join(format!("{host}.json"))
    }

    /// A file that holds a key authorization; `name` is the token (HTTP-01) or the host (TLS-ALPN-01).
    pub fn challenge(&self, kind: ChallengeKind, name: &str) -> io::Result<Option<String>> {
        read_if_there(&self.challenge_path(kind, name))
    }

    /// Lets every node answer.
    pub fn put_challenge(&self, kind: ChallengeKind, name: &str, key_authorization: &str) -> io::Result<()> {
        write_private(&self.challenge_path(kind, name), key_authorization.as_bytes())
    }

    /// The authority has looked.
    pub fn remove_challenge(&self, kind: ChallengeKind, name: &str) -> io::Result<()> {
        remove(&self.challenge_path(kind, name))
    }

    /// Folder of the leases.
    pub fn leases(&self) -> PathBuf {
        self.folder.join(LEASES)
    }

    fn account_path(&self) -> PathBuf {
        self.folder.join("account.json")
    }

    fn order_path(&self, host: &str) -> PathBuf {
        self.folder.join(ORDERS).join(format!("{host}.json"))
    }

    fn challenge_path(&self, kind: ChallengeKind, name: &str) -> PathBuf {
        let kind = match kind {
            ChallengeKind::TlsAlpn01 => "tls-alpn-01",
            ChallengeKind::Http01 => "http-01",
        };
        self.folder.join(CHALLENGES).join(format!("{kind}.{name}"))
    }

    /// A file that cannot be understood is as good as none: what it says is found out again.
    fn read<T: DeserializeOwned>(&self, path: &Path) -> io::Result<Option<T>> {
        Ok(read_if_there(path)?.and_then(|text| serde_json::from_str(&text).ok()))
    }

    fn write<T: Serialize>(&self, path: &Path, value: &T) -> io::Result<()> {
        write_private(path, &serde_json::to_vec(value)?)
    }
}

/// Removes answers that a dead node left. Best effort: they harm nobody.
fn sweep(challenges: &Path) {
    for entry in fs::read_dir(challenges).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        if modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > STALE)) {
            let _ = remove(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_do_not_mix_and_a_second_node_sees_what_the_first_wrote() {
        let root = tempfile::tempdir().unwrap();
        let staging = Store::open(root.path(), "https://staging.ca.example/directory").unwrap();
        let real = Store::open(root.path(), "https://ca.example/directory").unwrap();
        let second = Store::open(root.path(), "https://ca.example/directory").unwrap();
        real.put_account("{}").unwrap();
        real.put_challenge(ChallengeKind::Http01, "token", "token.thumb").unwrap();
        let failure = Failure { attempts: 2, next: 7, why: "no address".into() };
        real.put_failure("a.example", &failure).unwrap();
        assert_eq!(staging.account().unwrap(), None);
        assert_eq!(second.account().unwrap().as_deref(), Some("{}"));
        assert_eq!(second.challenge(ChallengeKind::Http01, "token").unwrap().as_deref(), Some("token.thumb"));
        assert_eq!(second.challenge(ChallengeKind::TlsAlpn01, "token").unwrap(), None);
        assert_eq!(second.failure("a.example").unwrap(), Some(failure));
        fs::write(real.failure_path("a.example"), "{\"att").unwrap();
        assert_eq!(second.failure("a.example").unwrap(), None);
    }

    #[test]
    fn answers_of_a_dead_node_are_swept_and_open_ones_stay() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path(), "https://ca.example/directory").unwrap();
        store.put_challenge(ChallengeKind::Http01, "old", "old.thumb").unwrap();
        store.put_challenge(ChallengeKind::Http01, "open", "open.thumb").unwrap();
        let old = fs::File::options().write(true).open(store.challenge_path(ChallengeKind::Http01, "old")).unwrap();
        old.set_modified(std::time::SystemTime::now() - 2 * STALE).unwrap();
        let again = Store::open(root.path(), "https://ca.example/directory").unwrap();
        assert_eq!(again.challenge(ChallengeKind::Http01, "old").unwrap(), None);
        assert!(again.challenge(ChallengeKind::Http01, "open").unwrap().is_some());
    }
}
