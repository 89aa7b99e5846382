//! What a tier knows an answer by: the same on every node and after a restart, and without a credential in it.

use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};

use crate::{
    key::Key,
    stored::{Had, joined},
};

/// Where an answer is in a tier.
pub(crate) type Place = [u8; 32];

/// `scheme://host`, a line end, the target, a line end, and SHA-256 over the policy and the rest of the key. The rest may
/// hold header values of a client, which are nothing to write down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    bytes: Vec<u8>,
    site: usize,
    target: usize,
}

impl Address {
    /// The address of a key, on a route whose policy has this digest: what was stored by another policy is not found.
    pub(crate) fn of(key: &Key, policy: &[u8; 32]) -> Self {
        let rest = Sha256::new().chain_update(policy).chain_update(key.rest()).finalize();
        let (site, target) = (key.site(), key.target());
        let mut bytes = Vec::with_capacity(site.len() + target.len() + 34);
        bytes.extend_from_slice(site);
        bytes.push(b'\n');
        bytes.extend_from_slice(target);
        let end = bytes.len();
        bytes.push(b'\n');
        bytes.extend_from_slice(&rest);
        Self { site: site.len(), target: end, bytes }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn site(&self) -> &[u8] {
        &self.bytes[..self.site]
    }

    pub(crate) fn target(&self) -> &[u8] {
        &self.bytes[self.site + 1..self.target]
    }

    /// Where an answer is that does not vary, or word by which headers the answers here vary.
    pub(crate) fn place(&self) -> Place {
        Sha256::digest(&self.bytes).into()
    }

    /// Where the answer is that was chosen by these headers.
    pub(crate) fn variant<'a>(&self, vary: impl Iterator<Item = (&'a HeaderName, Had)>) -> Place {
        let mut digest = Sha256::new().chain_update(&self.bytes);
        for (name, had) in vary {
            digest.update([b'v']);
            digest.update((name.as_str().len() as u64).to_le_bytes());
            digest.update(name.as_str());
            match had.digest() {
                None => digest.update([0]),
                Some(value) => {
                    digest.update([1]);
                    digest.update(value);
                }
            }
        }
        digest.finalize().into()
    }

    /// The same for a request, by the names that answers here vary by.
    pub(crate) fn variant_of(&self, names: &[HeaderName], request: &HeaderMap) -> Place {
        self.variant(names.iter().map(|name| (name, joined(request, name).map_or(Had::Nothing, Had::Value))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        shard::tests::{key, key_at},
        stored::tests::headers,
    };

    #[test]
    fn places_differ_by_all_that_keys_and_policies_do() {
        let all = [
            Address::of(&key("/a"), &[0; 32]),
            Address::of(&key("/b"), &[0; 32]),
            Address::of(&key("/a"), &[1; 32]),
            Address::of(&key_at("http://b.test", "/a"), &[0; 32]),
        ];
        for (number, one) in all.iter().enumerate() {
            assert!(all[..number].iter().all(|other| other.place() != one.place()), "{number}");
        }
        assert_eq!((all[3].site(), all[3].target()), (&b"http://b.test"[..], &b"/a"[..]));
    }

    #[test]
    fn a_variant_is_the_same_by_value_and_by_digest_and_absent_is_not_empty() {
        let address = Address::of(&key("/a"), &[0; 32]);
        let name: HeaderName = "cookie".parse().unwrap();
        let by = |had: Had| address.variant([(&name, had)].into_iter());
        let value = Had::Value(b"sid=1".to_vec());
        let digest = Had::Digest(value.digest().unwrap());
        assert_eq!(by(value), by(digest));
        assert_eq!(
            by(Had::Value(b"sid=1".to_vec())),
            address.variant_of(std::slice::from_ref(&name), &headers(&[("cookie", "sid=1")]))
        );
        assert_ne!(by(Had::Nothing), by(Had::Value(Vec::new())));
        assert_ne!(by(Had::Nothing), address.place());
    }
}
