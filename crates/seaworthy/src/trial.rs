//! What `run` would refuse at its start, tried without starting anything: folders of files and certificates.

use std::sync::Arc;

use seaworthy_core::Shutdown;
use seaworthy_edge::{Pool, Upstream, tls::Tls};
use seaworthy_identity::{AuthMode, TokenError, Trusted};
use seaworthy_validation::Prepared;

use crate::{
    config::{Config, RouteEntry},
    failure::Failure,
    pipeline::{self, Shared},
};

/// Tries everything that needs a look at the disk. Writes nothing but what is gone again afterwards.
///
/// # Errors
/// As `run` would fail, with status 2.
pub fn trial(config: &Config) -> Result<(), Failure> {
    routes(config)?;
    document(config)?;
    match Trusted::read(&config.identity) {
        // Where a config is checked, its secrets need not be.
        Ok(_) | Err(TokenError::Reference(_)) => certificates(config),
        Err(error) => Err(refused(&error)),
    }
}

/// Reads the keys that tokens are verified with.
///
/// # Errors
/// One that cannot be used, with status 2.
pub fn tokens(config: &Config) -> Result<Trusted, Failure> {
    Trusted::read(&config.identity).map_err(|error| refused(&error))
}

/// Reads the API's document, where it is a file.
///
/// # Errors
/// One that is not there or cannot be used, with status 2.
pub fn document(config: &Config) -> Result<Prepared, Failure> {
    Prepared::read(&config.validation).map_err(|error| Failure::new("SEA_RUN_OPENAPI", &error).with_status(2))
}

fn refused(error: &TokenError) -> Failure {
    Failure::new("SEA_RUN_TOKENS", error).with_status(2)
}

/// Reads and checks the certificates, where HTTPS is served.
///
/// # Errors
/// One that cannot be used, with status 2.
pub fn certificates(config: &Config) -> Result<(), Failure> {
    if config.edge.https_address().is_none() {
        return Ok(());
    }
    // A self-signed certificate, or an account with an authority, is made where it is missing: here in a folder of the
    // trial's own.
    let folder = tempfile::tempdir().map_err(|error| {
        let text =
            format!("cannot make a folder to try the certificates in: {error}; set TMPDIR to one that can be written");
        Failure::text("SEA_TLS_UNWRITABLE", text).with_status(2)
    })?;
    let (mut tls, mut acme) = (config.edge.tls.clone(), config.edge.acme());
    tls.store = folder.path().join("tls").display().to_string();
    if let Some(acme) = &mut acme {
        acme.store = folder.path().join("acme").display().to_string();
    }
    let built = Tls::build(&config.edge.hosts, &tls, acme.as_ref(), config.profile.is_production());
    built.map(drop).map_err(|error| Failure::text(error.code(), error.to_string()).with_status(2))
}

/// Builds the route table once, around no app.
///
/// # Errors
/// A folder that cannot be served, with status 2.
pub fn routes(config: &Config) -> Result<(), Failure> {
    let asks = |route: &&RouteEntry| route.identity.auth.is_some_and(|mode| mode != AuthMode::Off);
    if let Some(route) = config.routes.iter().find(asks).filter(|_| !config.identity.tokens.has_keys()) {
        let text = format!(
            "the route `{}` asks for tokens, and there is no key to verify one with; name `keys` or `jwks` in \
             [identity.tokens]",
            route.edge.r#match
        );
        return Err(Failure::text("SEA_RUN_TOKENS", text).with_status(2));
    }
    let scans = |route: &&RouteEntry| route.uploads.upload.as_ref().is_some_and(|upload| upload.scan);
    if let Some(route) = config.routes.iter().find(scans).filter(|_| config.uploads.clamd.is_none()) {
        let text = format!(
            "the route `{}` has files scanned, and there is no scanner; name `clamd` in [uploads]",
            route.edge.r#match
        );
        return Err(Failure::text("SEA_RUN_UPLOADS", text).with_status(2));
    }
    if config.cache.shared && config.store.redis.is_none() {
        let text = "cache.shared = true shares answers in a Redis, and none is named; name one in [store] redis";
        return Err(Failure::text("SEA_RUN_CACHE", text).with_status(2));
    }
    let tasks = Shutdown::new();
    let pool = Pool::new(Arc::new(Upstream::new(config.edge.balance)), tasks.clone());
    let table = pipeline::table(config, &Shared::default(), &pool, &tasks);
    table.map(drop).map_err(|error| Failure::new("SEA_RUN_EDGE", &error).with_status(2))
}

#[cfg(test)]
mod tests {
    use seaworthy_config::Document;

    use super::*;

    fn tried(text: &str) -> Result<(), String> {
        let mut document = Document::parse("seaworthy.toml", text.into(), std::iter::empty()).unwrap();
        let config = Config::read(&mut document);
        document.finish().unwrap();
        match trial(&config) {
            Ok(()) => Ok(()),
            Err(Failure::Other { code, status: 2, .. }) => Err(code.to_owned()),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_run_refuses_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let files = |root: &str| format!("[[route]]\nmatch = \"/*\"\nfiles = {{ root = \"{root}\" }}\n");
        assert_eq!(tried(&files(folder.path().to_str().unwrap())), Ok(()));
        assert_eq!(tried(&files(".")), Err("SEA_RUN_EDGE".into()), "the working folder");
        assert_eq!(tried(&files("/nowhere/at/all")), Err("SEA_RUN_EDGE".into()));
        let missing = "[edge]\nhttps = \"127.0.0.1:0\"\n[[edge.tls.certificates]]\ncertificate = \"/nowhere/c.pem\"\nkey = \"/nowhere/k.pem\"\n";
        assert_eq!(tried(missing), Err("SEA_TLS_UNREADABLE".into()));
        assert_eq!(tried("[[route]]\nmatch = \"/a\"\nauth = \"optional\"\n"), Err("SEA_RUN_TOKENS".into()));
        assert_eq!(tried("[cache]\nshared = true\n"), Err("SEA_RUN_CACHE".into()));
        assert_eq!(tried("[cache]\nshared = true\n[store]\nredis = \"env:SURELY_NOT_SET\"\n"), Ok(()));
        assert_eq!(tried("[identity.tokens]\nkeys = [\"short\"]\n"), Err("SEA_RUN_TOKENS".into()));
        assert_eq!(tried("[identity.tokens]\njwks = \"/nowhere/keys.json\"\n"), Err("SEA_RUN_TOKENS".into()));
        assert_eq!(
            tried("[identity]\nauth = \"required\"\n[identity.tokens]\nkeys = [\"env:SURELY_NOT_SET\"]\n"),
            Ok(())
        );
    }

    #[test]
    fn a_trial_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let text = format!("[edge]\nhttps = \"127.0.0.1:0\"\n[edge.tls]\nstore = \"{}\"\n", store.display());
        assert_eq!(tried(&text), Ok(()));
        assert!(!store.exists());
    }
}
