//! The stores that an app keeps its data in, as the team or the config names them.

use std::collections::BTreeMap;

use seaworthy_config::SecretRef;
use seaworthy_core::Secret;

use crate::redis;

/// Addresses of stores. What is `None` was not named.
#[derive(Debug, Clone, Default)]
pub struct Stores {
    /// Redis, Valkey, or what speaks like them.
    pub redis: Option<Named>,
    /// The database: `postgres://…`.
    pub database: Option<Named>,
}

/// An address, and who named it.
#[derive(Debug, Clone)]
pub struct Named {
    /// `[check] redis`, `[app] env REDIS_URL`.
    pub by: String,
    /// The address, or why it cannot be told.
    pub url: Result<Secret, String>,
}

impl Stores {
    /// What `[check]` names; else what the app is told in `[app] env`.
    pub(crate) fn of(
        redis: Option<&SecretRef>,
        database: Option<&SecretRef>,
        app: &BTreeMap<String, SecretRef>,
    ) -> Self {
        let is_database = |text: &str| text.starts_with("postgres://") || text.starts_with("postgresql://");
        Self {
            redis: named("redis", redis).or_else(|| told(app, redis::is_address)),
            database: named("database", database).or_else(|| told(app, is_database)),
        }
    }

    /// The same, and nothing of it is there.
    #[cfg(test)]
    pub(crate) fn nowhere(&self) -> Self {
        let nowhere = |named: &Option<Named>, url: &str| {
            named.as_ref().map(|named| Named { url: Ok(Secret::new(url)), ..named.clone() })
        };
        Self {
            redis: nowhere(&self.redis, "redis://127.0.0.1:9"),
            database: nowhere(&self.database, "postgres://127.0.0.1:9/x"),
        }
    }
}

fn named(key: &str, reference: Option<&SecretRef>) -> Option<Named> {
    let url = reference?.resolve().map_err(|error| error.to_string());
    Some(Named { by: format!("[check] {key}"), url })
}

/// The first variable of the app that is such an address. One that cannot be resolved here may be any: it is left out.
fn told(app: &BTreeMap<String, SecretRef>, is_one: impl Fn(&str) -> bool) -> Option<Named> {
    app.iter().find_map(|(name, value)| {
        let value = value.resolve().ok().filter(|value| is_one(value.expose()))?;
        Some(Named { by: format!("[app] env {name}"), url: Ok(value) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_check_names_comes_before_what_the_app_is_told() {
        let app: BTreeMap<String, SecretRef> = [
            ("A".to_owned(), SecretRef::from("x")),
            ("REDIS_URL".to_owned(), SecretRef::from("redis://cache:6379")),
            ("Z".to_owned(), SecretRef::from("postgres://db/app")),
        ]
        .into();
        let stores = Stores::of(None, None, &app);
        assert_eq!(stores.redis.unwrap().by, "[app] env REDIS_URL");
        assert_eq!(stores.database.unwrap().url.unwrap().expose(), "postgres://db/app");
        let stores = Stores::of(Some(&SecretRef::from("env:SEAWORTHY_SURELY_NOT_SET")), None, &app);
        let redis = stores.redis.unwrap();
        assert!(redis.by == "[check] redis" && redis.url.unwrap_err().contains("SEAWORTHY_SURELY_NOT_SET"));
        assert!(Stores::of(None, None, &BTreeMap::new()).redis.is_none());
    }
}
