//! What a route's cache does, and who shares its answers.

use std::time::Duration;

use http::{
    HeaderMap, HeaderName,
    header::{AUTHORIZATION, COOKIE},
};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Who shares an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// Everyone, whatever cookies they have.
    All,
    /// Whoever belongs to the same tenant.
    Tenant,
    /// One user, key or session.
    Principal,
}

/// A route's policy, resolved from its settings.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    pub(crate) ttl: Option<Duration>,
    pub(crate) per: Option<Per>,
    pub(crate) cookies: Vec<String>,
    pub(crate) vary: Vec<HeaderName>,
    /// Bytes of a POST that is cached too.
    pub(crate) search: Option<usize>,
    pub(crate) stale_while_revalidate: Option<Duration>,
    pub(crate) stale_if_error: Option<Duration>,
    pub(crate) share_set_cookie: bool,
}

/// Whose answers a request may get, as far as the policy tells people apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Partition {
    /// Those that everyone shares.
    Everyone,
    /// The same; but this request says who sends it, so that it shares only what the app's headers allow.
    Named,
    /// Those of one principal: SHA-256 over what it is known by, so that no credential is in a key.
    Principal([u8; 32]),
}

impl Policy {
    /// The partition of a request. The one place that knows who somebody is: when a principal is known before the cache,
    /// its id and its tenant go in here, in place of credentials.
    pub(crate) fn partition(&self, headers: &HeaderMap) -> Partition {
        let (credentials, cookies) = (headers.contains_key(AUTHORIZATION), headers.contains_key(COOKIE));
        match self.per {
            Some(Per::All) if !credentials => Partition::Everyone,
            Some(Per::All) => Partition::Named,
            None if credentials || cookies => Partition::Named,
            None => Partition::Everyone,
            // A tenant is not known yet, and its people are no fewer than one: theirs are kept apart, and never mixed.
            Some(Per::Tenant | Per::Principal) if !credentials && !cookies => Partition::Everyone,
            Some(Per::Tenant | Per::Principal) => self.principal(headers),
        }
    }

    fn principal(&self, headers: &HeaderMap) -> Partition {
        let mut digest = Sha256::new();
        let mut anonymous = true;
        let mut add = |kind: u8, bytes: &[u8]| {
            anonymous = false;
            digest.update([kind]);
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        for value in headers.get_all(AUTHORIZATION) {
            add(0, value.as_bytes());
        }
        for line in headers.get_all(COOKIE) {
            for cookie in line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
                let name = cookie.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
                if self.cookies.is_empty() || self.cookies.iter().any(|known| known.as_bytes() == name) {
                    add(1, cookie);
                }
            }
        }
        if anonymous { Partition::Everyone } else { Partition::Principal(digest.finalize().into()) }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn partition(policy: &Policy, lines: &[(HeaderName, &str)]) -> Partition {
        let pairs = lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
        policy.partition(&pairs.collect())
    }

    #[test]
    fn two_principals_never_share_and_strangers_do() {
        let policy = Policy { per: Some(Per::Principal), cookies: vec!["sid".into()], ..Policy::default() };
        let of = |lines: &[(HeaderName, &str)]| partition(&policy, lines);
        assert_eq!(of(&[]), Partition::Everyone);
        assert_eq!(of(&[(COOKIE, "theme=dark; xsid=1")]), Partition::Everyone, "no cookie that tells who it is");
        let first = of(&[(COOKIE, "theme=dark; sid=1")]);
        assert!(matches!(first, Partition::Principal(_)));
        assert_eq!(first, of(&[(COOKIE, "sid=1;theme=light")]));
        assert_ne!(first, of(&[(COOKIE, "sid=2")]));
        assert_ne!(first, of(&[(AUTHORIZATION, "sid=1")]));
        assert_ne!(first, of(&[(COOKIE, "sid=1"), (AUTHORIZATION, "Bearer x")]));
        assert_ne!(of(&[(AUTHORIZATION, "Bearer x")]), of(&[(AUTHORIZATION, "Bearer y")]));
        let all_cookies = Policy { per: Some(Per::Tenant), ..Policy::default() };
        assert!(matches!(partition(&all_cookies, &[(COOKIE, "a=1")]), Partition::Principal(_)));
    }

    #[test]
    fn without_a_policy_who_is_named_gets_only_what_the_headers_allow() {
        let none = Policy::default();
        assert_eq!(partition(&none, &[]), Partition::Everyone);
        assert_eq!(partition(&none, &[(COOKIE, "a=1")]), Partition::Named);
        let all = Policy { per: Some(Per::All), ..Policy::default() };
        assert_eq!(partition(&all, &[(COOKIE, "a=1")]), Partition::Everyone);
        assert_eq!(partition(&all, &[(AUTHORIZATION, "Bearer x")]), Partition::Named);
    }
}
