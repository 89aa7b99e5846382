//! What a route's cache does, and who shares its answers.

use std::time::Duration;

use http::{
    HeaderMap, HeaderName,
    header::{AUTHORIZATION, COOKIE},
};
use schemars::JsonSchema;
use seaworthy_core::Principal;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

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

/// Headers that say who sends a request, the standard's and those that many APIs have in its place.
const CREDENTIALS: [HeaderName; 4] = [
    AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-auth-token"),
    HeaderName::from_static("x-access-token"),
];

/// Whether a request says who sends it, other than by a cookie.
pub(crate) fn has_credentials(headers: &HeaderMap) -> bool {
    CREDENTIALS.iter().any(|name| headers.contains_key(name))
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
    /// The partition of a request from somebody known, or from whoever sends these headers. The one place that knows who
    /// somebody is.
    pub(crate) fn partition(&self, headers: &HeaderMap, principal: Option<&Principal>) -> Partition {
        let (credentials, cookies) = (has_credentials(headers), headers.contains_key(COOKIE));
        match self.per {
            Some(Per::All) if !credentials => Partition::Everyone,
            Some(Per::All) => Partition::Named,
            None if credentials || cookies => Partition::Named,
            None => Partition::Everyone,
            Some(per) => match principal {
                Some(principal) => self.known(per, principal, headers),
                None if !credentials && !cookies => Partition::Everyone,
                // Whose tenant is not known shares with nobody else.
                None => self.unknown(headers),
            },
        }
    }

    /// Of somebody whose token was verified: whichever token that is.
    fn known(&self, per: Per, principal: &Principal, headers: &HeaderMap) -> Partition {
        let mut partition = Digest::default();
        let tenant = principal.tenant_fingerprint();
        if let (Per::Tenant, Some(tenant)) = (per, tenant) {
            partition.add(Part::Tenant, &tenant.to_le_bytes());
            return partition.finish();
        }
        partition.add(Part::Principal, &principal.fingerprint().to_le_bytes());
        if let Some(tenant) = tenant {
            partition.add(Part::Tenant, &tenant.to_le_bytes());
        }
        // A token that allows less must not get what one that allows more was answered.
        let details = principal.details();
        for (part, words) in [(Part::Role, &details.roles), (Part::Scope, &details.scopes)] {
            words.iter().for_each(|word| partition.add(part, word.as_bytes()));
        }
        if !self.cookies.is_empty() {
            self.add_cookies(&mut partition, headers);
        }
        partition.finish()
    }

    /// Of somebody who is known by credentials alone, that the app looks at.
    fn unknown(&self, headers: &HeaderMap) -> Partition {
        let mut partition = Digest::default();
        for name in &CREDENTIALS {
            for value in headers.get_all(name) {
                partition.add(Part::Authorization, name.as_str().as_bytes());
                partition.add(Part::Authorization, value.as_bytes());
            }
        }
        self.add_cookies(&mut partition, headers);
        partition.finish()
    }

    fn add_cookies(&self, partition: &mut Digest, headers: &HeaderMap) {
        for line in headers.get_all(COOKIE) {
            for cookie in line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
                let name = cookie.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
                if self.cookies.is_empty() || self.cookies.iter().any(|known| known.as_bytes() == name) {
                    partition.add(Part::Cookie, cookie);
                }
            }
        }
    }
}

/// What somebody is known by. Each part says which one it is and how long, so that no two of them look like a third.
#[derive(Default)]
struct Digest {
    digest: Sha256,
    /// Something was added.
    known: bool,
}

#[derive(Clone, Copy)]
enum Part {
    Authorization,
    Cookie,
    Principal,
    Tenant,
    Role,
    Scope,
}

impl Digest {
    fn add(&mut self, part: Part, bytes: &[u8]) {
        self.known = true;
        self.digest.update([part as u8]);
        self.digest.update((bytes.len() as u64).to_le_bytes());
        self.digest.update(bytes);
    }

    fn finish(self) -> Partition {
        if self.known { Partition::Principal(self.digest.finalize().into()) } else { Partition::Everyone }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use seaworthy_core::{PrincipalDetails, PrincipalKind};

    use super::*;

    fn partition(policy: &Policy, lines: &[(HeaderName, &str)]) -> Partition {
        let pairs = lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
        policy.partition(&pairs.collect(), None)
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
        assert_eq!(partition(&all, &[(HeaderName::from_static("x-api-key"), "x")]), Partition::Named);
    }

    fn somebody(id: &str, tenant: Option<&str>, scopes: &[&str]) -> Principal {
        Principal::new(PrincipalDetails {
            kind: PrincipalKind::User,
            id: id.into(),
            tenant: tenant.map(str::to_owned),
            roles: Vec::new(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        })
    }

    #[test]
    fn somebody_known_is_the_same_with_every_token_and_tenants_never_share() {
        let of = |per, principal: &Principal, token: &str| {
            let headers = [(AUTHORIZATION, token), (COOKIE, token)];
            let pairs = headers.map(|(name, value)| (name, HeaderValue::from_str(value).unwrap()));
            Policy { per: Some(per), ..Policy::default() }.partition(&HeaderMap::from_iter(pairs), Some(principal))
        };
        let ann = somebody("ann", Some("acme"), &["read"]);
        for per in [Per::Principal, Per::Tenant] {
            assert!(matches!(of(per, &ann, "a"), Partition::Principal(_)));
            assert_eq!(of(per, &ann, "a"), of(per, &ann, "b"), "{per:?}: a new token");
            for other in [Some("other"), None] {
                assert_ne!(of(per, &ann, "a"), of(per, &somebody("ann", other, &["read"]), "a"), "{per:?}: {other:?}");
            }
        }
        let bob = somebody("bob", Some("acme"), &["read"]);
        assert_ne!(of(Per::Principal, &ann, "a"), of(Per::Principal, &bob, "a"));
        assert_eq!(of(Per::Tenant, &ann, "a"), of(Per::Tenant, &bob, "b"));
        assert_ne!(of(Per::Principal, &ann, "a"), of(Per::Principal, &somebody("ann", Some("acme"), &[]), "a"));
        let (alone, other) = (somebody("ann", None, &[]), somebody("bob", None, &[]));
        assert_ne!(of(Per::Tenant, &alone, "a"), of(Per::Tenant, &other, "a"), "no tenant is not one tenant");
        let acme = somebody("acme", None, &[]);
        assert_ne!(of(Per::Tenant, &acme, "a"), of(Per::Tenant, &ann, "a"), "nobody becomes a tenant by a name");
    }
}
