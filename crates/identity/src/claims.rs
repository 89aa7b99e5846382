//! What a verified token says: whether it holds now and here, and who it is from.

use seaworthy_core::{Principal, PrincipalDetails, PrincipalKind};
use serde_json::{Map, Value};

use crate::{
    settings::{ClaimNames, TokenSettings},
    token::Refusal,
};

/// The most bytes that the app is told of one principal; its server has limits for headers too.
const MOST_TOLD: usize = 4_096;

/// What every token is held against.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub issuer: Option<String>,
    pub audience: Vec<String>,
    /// Seconds.
    pub leeway: f64,
    pub names: ClaimNames,
}

impl Rules {
    pub(crate) fn new(settings: &TokenSettings) -> Self {
        Self {
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            leeway: settings.leeway.0.as_secs_f64(),
            names: settings.claims.clone(),
        }
    }

    /// Checks time, issuer and audience (RFC 7519, 4.1); `now` in seconds since 1970. Returns until when the token holds.
    pub(crate) fn hold(&self, claims: &Map<String, Value>, now: f64) -> Result<f64, Refusal> {
        let expires = time(claims, "exp")?.ok_or(Refusal::Claim("it never expires: `exp` is missing"))?;
        if now >= expires + self.leeway {
            return Err(Refusal::Expired);
        }
        if time(claims, "nbf")?.is_some_and(|from| now + self.leeway < from) {
            return Err(Refusal::NotYet);
        }
        if self.issuer.is_some() && claims.get("iss").and_then(Value::as_str) != self.issuer.as_deref() {
            return Err(Refusal::Issuer);
        }
        let is_ours = |value: &Value| value.as_str().is_some_and(|name| self.audience.iter().any(|one| one == name));
        let for_us = match claims.get("aud") {
            Some(Value::Array(names)) => names.iter().any(is_ours),
            Some(name) => is_ours(name),
            None => false,
        };
        if !self.audience.is_empty() && !for_us {
            return Err(Refusal::Audience);
        }
        Ok(expires + self.leeway)
    }

    /// Who it is from.
    pub(crate) fn principal(&self, claims: &Map<String, Value>) -> Result<Principal, Refusal> {
        let id = match find(claims, &self.names.id) {
            Some(Value::String(id)) if !id.is_empty() => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => return Err(Refusal::Claim("the claim with the id is missing, or no text")),
        };
        let tenant = match find(claims, &self.names.tenant) {
            Some(Value::String(tenant)) if !tenant.is_empty() => Some(tenant.clone()),
            Some(Value::Number(tenant)) => Some(tenant.to_string()),
            None | Some(Value::Null) => None,
            Some(_) => return Err(Refusal::Claim("the claim with the tenant is no text")),
        };
        // A program that acts for itself: its subject is its own client id (RFC 9068, 2.2).
        let is_service = claims.get("client_id").and_then(Value::as_str) == Some(&id);
        let details = PrincipalDetails {
            kind: if is_service { PrincipalKind::Service } else { PrincipalKind::User },
            roles: words(find(claims, &self.names.roles))
                .ok_or(Refusal::Claim("the claim with the roles is no list"))?,
            scopes: words(find(claims, &self.names.scopes))
                .ok_or(Refusal::Claim("the claim with the scopes is no list"))?,
            id,
            tenant,
        };
        let principal = Principal::new(details);
        let told: usize = principal.headers().iter().map(|(_, value)| value.len()).sum();
        if told > MOST_TOLD { Err(Refusal::Claim("it says more than fits into headers")) } else { Ok(principal) }
    }
}

/// A claim by its name as it is, or by a path: providers use URLs with dots as names, and objects.
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let mut steps = name.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.as_object()?.get(step))
    })
}

/// Seconds since 1970, whole or not (RFC 7519, 2).
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<f64>, Refusal> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(Refusal::Claim("a time is no number")),
    }
}

/// A list of texts, or a text of words; nothing is an empty list. `None`: something else.
fn words(value: Option<&Value>) -> Option<Vec<String>> {
    match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::String(text)) => Some(text.split_whitespace().map(str::to_owned).collect()),
        Some(Value::Array(items)) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules() -> Rules {
        Rules { issuer: None, audience: Vec::new(), leeway: 30.0, names: ClaimNames::default() }
    }

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_token_holds_for_its_time_and_a_little() {
        let held = |claims: Value| rules().hold(&map(claims), 1_000.0);
        assert_eq!(held(json!({ "exp": 1_100 })), Ok(1_130.0));
        assert_eq!(held(json!({ "exp": 971.5 })), Ok(1_001.5));
        assert_eq!(held(json!({ "exp": 970 })), Err(Refusal::Expired));
        assert_eq!(held(json!({ "exp": 2_000, "nbf": 1_030 })), Ok(2_030.0));
        assert_eq!(held(json!({ "exp": 2_000, "nbf": 1_031 })), Err(Refusal::NotYet));
        for wrong in [json!({}), json!({ "exp": "2000" }), json!({ "exp": null }), json!({ "exp": 2_000, "nbf": [] })] {
            assert!(matches!(held(wrong.clone()), Err(Refusal::Claim(_))), "{wrong}");
        }
    }

    #[test]
    fn issuer_and_audience_are_compared_as_they_are() {
        let rules = Rules { issuer: Some("https://id.test".into()), audience: vec!["a".into(), "b".into()], ..rules() };
        let held = |iss: Value, aud: Value| rules.hold(&map(json!({ "exp": 9_999, "iss": iss, "aud": aud })), 1.0);
        assert!(held(json!("https://id.test"), json!("a")).is_ok());
        assert!(held(json!("https://id.test"), json!(["x", "b"])).is_ok());
        for aud in [json!("x"), json!([]), json!(null), json!({ "a": 1 }), json!("A"), json!(["x", ["a"]])] {
            assert_eq!(held(json!("https://id.test"), aud.clone()), Err(Refusal::Audience), "{aud}");
        }
        for iss in [json!("https://id.test/"), json!(["https://id.test"]), json!(null)] {
            assert_eq!(held(iss.clone(), json!("a")), Err(Refusal::Issuer), "{iss}");
        }
        assert_eq!(rules.hold(&map(json!({ "exp": 9_999, "aud": "a" })), 1.0), Err(Refusal::Issuer), "none at all");
    }

    #[test]
    fn claims_are_found_by_name_or_path() {
        let names = ClaimNames {
            roles: "realm_access.roles".into(),
            tenant: "https://example.com/org".into(),
            ..ClaimNames::default()
        };
        let rules = Rules { names, ..rules() };
        let claims = json!({ "sub": 42, "https://example.com/org": "acme", "realm_access": { "roles": ["admin"] }, "scope": "a b" });
        let principal = rules.principal(&map(claims)).unwrap();
        let expected = PrincipalDetails {
            kind: PrincipalKind::User,
            id: "42".into(),
            tenant: Some("acme".into()),
            roles: vec!["admin".into()],
            scopes: vec!["a".into(), "b".into()],
        };
        assert_eq!(*principal.details(), expected);
        let service = rules.principal(&map(json!({ "sub": "job", "client_id": "job" }))).unwrap();
        assert_eq!(service.details().kind, PrincipalKind::Service);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let huge: Vec<String> = (0..400).map(|number| format!("role-number-{number}")).collect();
        for claims in [
            json!({}),
            json!({ "sub": "" }),
            json!({ "sub": ["a"] }),
            json!({ "sub": "a", "tenant": { "id": 1 } }),
            json!({ "sub": "a", "roles": [1] }),
            json!({ "sub": "a", "roles": { "admin": true } }),
            json!({ "sub": "a", "scope": 7 }),
            json!({ "sub": "a", "roles": huge }),
        ] {
            assert!(matches!(rules().principal(&map(claims.clone())), Err(Refusal::Claim(_))), "{claims}");
        }
    }
}
