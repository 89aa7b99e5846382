//! Which certificate a client gets: by the name that it asks for, and by the signatures that it can verify.

use std::{borrow::Cow, collections::HashMap, fmt, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{acme::Challenges, certificate::Certificate, handshake::ACME_TLS_ALPN};

/// Asked in every handshake; reads one pointer and looks up at most two names.
#[derive(Debug)]
pub(super) struct Resolver(ArcSwap<Table>);

/// Certificates by name. Built whole and swapped, never changed.
#[derive(Default)]
pub(super) struct Table {
    names: HashMap<String, Vec<Arc<CertifiedKey>>>,
    default: Vec<Arc<CertifiedKey>>,
    strict: bool,
    challenges: Option<Arc<Challenges>>,
}

impl Resolver {
    pub fn new(table: Table) -> Self {
        Self(ArcSwap::from_pointee(table))
    }

    pub fn swap(&self, table: Table) {
        self.0.store(Arc::new(table));
    }

    /// Answers to open challenges, when an authority is configured.
    pub fn challenges(&self) -> Option<Arc<Challenges>> {
        self.0.load().challenges.clone()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = self.0.load();
        let name = hello.server_name();
        // RFC 8737, 3: the authority offers this protocol and no other.
        let mut protocols = hello.alpn().into_iter().flatten();
        if protocols.next() == Some(ACME_TLS_ALPN) && protocols.next().is_none() {
            return table.challenges.as_ref()?.certificate(&normal(name?));
        }
        table.find(name, hello.signature_schemes())
    }
}

impl Table {
    /// `certificates` come first choice first; `default` is the host for clients that name none. With `strict`, names
    /// without certificate are refused.
    pub fn new<'a>(
        certificates: impl IntoIterator<Item = &'a Certificate>,
        default: Option<&str>,
        strict: bool,
        challenges: Option<Arc<Challenges>>,
    ) -> Self {
        let mut table = Self { strict, challenges, ..Self::default() };
        for certificate in certificates {
            if table.default.is_empty() && default.is_none() {
                table.default.push(certificate.certified.clone());
            }
            for name in &certificate.names {
                table.names.entry(name.clone()).or_default().push(certificate.certified.clone());
            }
        }
        if let Some(host) = default {
            table.default = table.lookup(host).cloned().unwrap_or_default();
        }
        table
    }

    fn find(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let candidates = match name {
            None => &self.default,
            Some(name) => match self.lookup(&normal(name)) {
                Some(candidates) => candidates,
                None if self.strict => return None,
                None => &self.default,
            },
        };
        let suits = |candidate: &&Arc<CertifiedKey>| candidate.key.choose_scheme(schemes).is_some();
        candidates.iter().find(suits).or(candidates.first()).cloned()
    }

    fn lookup(&self, name: &str) -> Option<&Vec<Arc<CertifiedKey>>> {
        self.names.get(name).or_else(|| self.names.get(&format!("*{}", &name[name.find('.')?..])))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("names", &self.names.keys()).field("strict", &self.strict).finish_non_exhaustive()
    }
}

/// Names are compared in lower case and without the root's dot.
pub(super) fn normal(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(name.to_ascii_lowercase());
    }
    Cow::Borrowed(name)
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::tls::self_signed;

    fn certificate(names: &[&str]) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        self_signed::temporary(&names, i64::try_from(now).unwrap()).unwrap()
    }

    #[test]
    fn exact_then_one_label_of_wildcard_then_default_or_refusal() {
        let (first, wildcard, exact) =
            (certificate(&["a.example"]), certificate(&["*.b.example"]), certificate(&["www.b.example"]));
        let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256];
        let of = |table: &Table, name: Option<&str>| table.find(name, &schemes);
        let table = Table::new([&wildcard, &exact, &first], Some("a.example"), false, None);
        let is = |found: Option<Arc<CertifiedKey>>, expected: &Certificate| {
            found.is_some_and(|found| Arc::ptr_eq(&found, &expected.certified))
        };
        assert!(is(of(&table, Some("A.example.")), &first));
        assert!(is(of(&table, Some("www.b.example")), &exact));
        assert!(is(of(&table, Some("api.B.example")), &wildcard));
        assert!(is(of(&table, Some("x.api.b.example")), &first), "a wildcard is one label");
        assert!(is(of(&table, Some("nowhere")), &first));
        assert!(is(of(&table, None), &first));
        let strict = Table::new([&wildcard, &exact, &first], Some("a.example"), true, None);
        assert!(of(&strict, Some("nowhere.example")).is_none());
        assert!(is(of(&strict, None), &first), "clients that name no host get the default");
    }

    #[test]
    fn without_hosts_the_first_certificate_is_the_default() {
        let (first, second) = (certificate(&["a.example"]), certificate(&["b.example"]));
        let table = Table::new([&first, &second], None, false, None);
        let found = table.find(None, &[]).unwrap();
        assert!(Arc::ptr_eq(&found, &first.certified));
    }
}
