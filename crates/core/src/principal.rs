//! Who a request is from, once somebody has proved it. One id for limits, logs, and what the app is told.

use std::{fmt, sync::Arc};

use http::{HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

/// The headers that tell the app. Whatever a client sends under these names, or a spelling of them, never reaches it.
const USER: HeaderName = HeaderName::from_static("x-seaworthy-user");
const SERVICE: HeaderName = HeaderName::from_static("x-seaworthy-service");
const TENANT: HeaderName = HeaderName::from_static("x-seaworthy-tenant");
const ROLES: HeaderName = HeaderName::from_static("x-seaworthy-roles");
const SCOPES: HeaderName = HeaderName::from_static("x-seaworthy-scopes");

/// What somebody is. Who has proved nothing is anonymous, and has no [`Principal`] at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A program that acts for itself.
    Service,
}

/// What is known of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalDetails {
    /// A person, or a program.
    pub kind: PrincipalKind,
    /// The stable id, unique among its kind.
    pub id: String,
    /// The organisation that the id acts in.
    pub tenant: Option<String>,
    /// What it is: `admin`.
    pub roles: Vec<String>,
    /// What it may do here: `documents:read`.
    pub scopes: Vec<String>,
}

/// Somebody who has proved who they are. A clone is a pointer.
#[derive(Clone)]
pub struct Principal(Arc<Known>);

struct Known {
    details: PrincipalDetails,
    headers: Vec<(HeaderName, HeaderValue)>,
    fingerprint: u128,
    tenant_fingerprint: Option<u128>,
}

impl Principal {
    /// Somebody. What is needed for each of their requests is made here, once.
    pub fn new(details: PrincipalDetails) -> Self {
        let mut headers = Vec::new();
        let mut tell = |name: HeaderName, text: String| {
            // Escaped texts are visible ASCII, so that none is ever left out.
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.push((name, value));
            }
        };
        let (name, kind) = match details.kind {
            PrincipalKind::User => (USER, "user"),
            PrincipalKind::Service => (SERVICE, "service"),
        };
        tell(name, escape(&details.id));
        if let Some(tenant) = &details.tenant {
            tell(TENANT, escape(tenant));
        }
        let list = |words: &[String]| words.iter().map(|word| escape(word)).collect::<Vec<_>>().join(",");
        if !details.roles.is_empty() {
            tell(ROLES, list(&details.roles));
        }
        if !details.scopes.is_empty() {
            tell(SCOPES, list(&details.scopes));
        }
        let tenant_fingerprint = details.tenant.as_ref().map(|tenant| fingerprint("tenant", tenant));
        let fingerprint = fingerprint(kind, &details.id);
        Self(Arc::new(Known { details, headers, fingerprint, tenant_fingerprint }))
    }

    /// What is known of them.
    pub fn details(&self) -> &PrincipalDetails {
        &self.0.details
    }

    /// `X-Seaworthy-User` (or `-Service`), `-Tenant`, `-Roles` and `-Scopes`, as the app gets them: lists with commas,
    /// and `%XX` (RFC 3986, 2.1) for bytes that would end a word or a line.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.headers
    }

    /// A short stand-in for kind and id, the same on every node: half of a SHA-256.
    pub fn fingerprint(&self) -> u128 {
        self.0.fingerprint
    }

    /// The same for the tenant.
    pub fn tenant_fingerprint(&self) -> Option<u128> {
        self.0.tenant_fingerprint
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.details.fmt(f)
    }
}

fn fingerprint(kind: &str, id: &str) -> u128 {
    let digest = Sha256::new().chain_update(kind).chain_update([0]).chain_update(id).finalize();
    digest.iter().take(16).fold(0, |sum, byte| (sum << 8) | u128::from(*byte))
}

/// Visible ASCII stays, but for what separates words here.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'%' | b',') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(id: &str, tenant: Option<&str>, roles: &[&str]) -> PrincipalDetails {
        PrincipalDetails {
            kind: PrincipalKind::User,
            id: id.into(),
            tenant: tenant.map(str::to_owned),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            scopes: Vec::new(),
        }
    }

    #[test]
    fn a_name_cannot_become_two_words_or_two_lines() {
        let principal = Principal::new(details("a\r\nx-seaworthy-roles: admin", None, &["user,admin", "ü 100%"]));
        let headers: Vec<_> =
            principal.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(
            headers,
            [
                ("x-seaworthy-user", "a%0D%0Ax-seaworthy-roles:%20admin"),
                ("x-seaworthy-roles", "user%2Cadmin,%C3%BC%20100%25")
            ]
        );
    }

    #[test]
    fn fingerprints_differ_by_kind_and_id_and_are_the_same_everywhere() {
        let user = Principal::new(details("42", Some("42"), &[]));
        let service = Principal::new(PrincipalDetails { kind: PrincipalKind::Service, ..details("42", None, &[]) });
        assert_ne!(user.fingerprint(), service.fingerprint());
        assert_ne!(Some(user.fingerprint()), user.tenant_fingerprint());
        // `printf 'user\0%s' 42 | sha256sum`: nodes of different releases share counts.
        assert_eq!(format!("{:032x}", user.fingerprint()), "7b9c38e874da9540cde62a05d3e61053");
    }
}
