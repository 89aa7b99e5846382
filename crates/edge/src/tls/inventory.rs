//! Every certificate that we hold, where it comes from, and which hosts still lack one.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use rustls_pki_types::DnsName;
use tracing::{info, warn};

use super::{
    acme::Acme,
    certificate::Certificate,
    error::TlsError,
    report::{CertificateReport, CertificateSource},
    resolver::{Table, normal},
    self_signed,
    settings::{AcmeSettings, SelfSigned, TlsSettings},
    watched::{Change, Watched},
};

/// Belongs to the control plane; handshakes see the [`Table`] that is made from it.
#[derive(Debug)]
pub(super) struct Inventory {
    hosts: Vec<String>,
    settings: TlsSettings,
    files: Vec<Watched>,
    acme: Option<Arc<Acme>>,
    /// What the authority gave, by host; without a current certificate until the first one.
    obtained: BTreeMap<String, Watched>,
    self_signed: Option<SelfMade>,
    problems: BTreeMap<String, String>,
}

/// A certificate of our own making.
#[derive(Debug)]
struct SelfMade {
    certificate: Certificate,
    names: Vec<String>,
    /// False while it stands in for one that was ordered.
    kept: bool,
}

impl Inventory {
    /// Reads everything; nothing is ordered yet.
    pub fn load(
        hosts: &[String],
        settings: &TlsSettings,
        acme: Option<&AcmeSettings>,
        production: bool,
        now: i64,
    ) -> Result<Self, TlsError> {
        let hosts: Vec<String> = hosts.iter().map(|host| normal(host).into_owned()).collect();
        let mut files = Vec::with_capacity(settings.certificates.len());
        for pair in &settings.certificates {
            files.push(Watched::load(Path::new(&pair.certificate), Path::new(&pair.key))?);
        }
        let mut inventory = Self {
            hosts,
            settings: settings.clone(),
            files,
            acme: None,
            obtained: BTreeMap::new(),
            self_signed: None,
            problems: BTreeMap::new(),
        };
        for file in &inventory.files {
            inventory.warn_about(file, now);
        }
        let uncovered = inventory.uncovered();
        match acme {
            Some(acme) if !uncovered.is_empty() => inventory.open_store(acme, uncovered, now)?,
            _ if uncovered.is_empty() && !inventory.files.is_empty() => {}
            _ => inventory.sign_ourselves(uncovered, production, now)?,
        }
        Ok(inventory)
    }

    /// Looks at every file again, and renews our own certificate when it is due. True when something changed.
    pub fn refresh(&mut self, now: i64) -> bool {
        let mut replaced = Vec::new();
        for watched in self.files.iter_mut().chain(self.obtained.values_mut()) {
            match watched.refresh(now) {
                Change::None => {}
                Change::Replaced => {
                    replaced.push(watched.path().to_owned());
                    info!(certificate = %watched.path().display(), "a new certificate is in use");
                }
                Change::Refused(error) => {
                    let certificate = watched.path().display();
                    warn!(%certificate, code = error.code(), "a new certificate is refused, the one before it stays: {error}");
                }
            }
        }
        for file in self.files.iter().filter(|file| replaced.iter().any(|path| path == file.path())) {
            self.warn_about(file, now);
        }
        self.tend_self_signed(now) || !replaced.is_empty()
    }

    /// For handshakes: files first, then what was obtained, then our own.
    pub fn table(&self) -> Table {
        let given = self.files.iter().chain(self.obtained.values()).filter_map(|watched| watched.current.as_deref());
        let own = self.self_signed.as_ref().map(|own| &own.certificate);
        let challenges = self.acme.as_ref().map(|acme| acme.challenges());
        Table::new(given.chain(own), self.hosts.first().map(String::as_str), self.settings.strict_sni, challenges)
    }

    /// One line a host, or a certificate when no hosts are configured.
    pub fn reports(&self, now: i64) -> Vec<CertificateReport> {
        let mut hosts = self.hosts.clone();
        if hosts.is_empty() {
            let first = |certificate: &Certificate| certificate.names.first().cloned().unwrap_or_default();
            hosts.extend(self.files.iter().filter_map(|file| file.current.as_deref()).map(first));
            hosts.extend(self.self_signed.as_ref().map(|own| first(&own.certificate)));
        }
        hosts.into_iter().filter_map(|host| self.report(host, now)).collect()
    }

    /// Hosts that the authority has not given a certificate yet.
    pub fn awaited(&self) -> Vec<&str> {
        let missing = self.obtained.iter().filter(|(_, watched)| watched.current.is_none());
        missing.map(|(host, _)| host.as_str()).collect()
    }

    /// The part that orders certificates.
    pub fn acme(&self) -> Option<Arc<Acme>> {
        self.acme.clone()
    }

    /// What the authority gave for this host.
    pub fn obtained(&self, host: &str) -> Option<Arc<Certificate>> {
        self.obtained.get(host)?.current.clone()
    }

    /// As configured.
    pub fn settings(&self) -> &TlsSettings {
        &self.settings
    }

    /// Notes why a host's certificate could not be obtained or renewed; `None` when all is well again.
    pub fn note(&mut self, host: &str, problem: Option<String>) {
        match problem {
            Some(problem) => self.problems.insert(host.into(), problem),
            None => self.problems.remove(host),
        };
    }

    fn uncovered(&self) -> Vec<String> {
        let current = || self.files.iter().filter_map(|file| file.current.as_deref());
        self.hosts.iter().filter(|host| !current().any(|certificate| certificate.covers(host))).cloned().collect()
    }

    fn warn_about(&self, file: &Watched, now: i64) {
        let Some(certificate) = &file.current else { return };
        let path = file.path().display();
        for warning in certificate.warnings.iter().cloned().chain(certificate.validity_warning(now)) {
            warn!(certificate = %path, "{warning}");
        }
        if !self.hosts.is_empty() && !self.hosts.iter().any(|host| certificate.covers(host)) {
            warn!(certificate = %path, names = ?certificate.names, "it covers none of edge.hosts");
        }
    }

    fn open_store(&mut self, settings: &AcmeSettings, hosts: Vec<String>, now: i64) -> Result<(), TlsError> {
        for host in &hosts {
            let reason = match DnsName::try_from(host.as_str()) {
                _ if host.starts_with("*.") => "a wildcard needs the challenge dns-01",
                Ok(_) if host.parse::<std::net::IpAddr>().is_err() => continue,
                _ => "it is no DNS name",
            };
            return Err(TlsError::NotOrderable { host: host.clone(), reason });
        }
        let acme = Acme::open(settings, hosts)?;
        for host in acme.hosts() {
            let path = acme.certificate_path(host);
            let watched = match Watched::load(&path, &path) {
                Ok(watched) => watched,
                Err(TlsError::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                    Watched::absent(&path, &path)
                }
                Err(error) => {
                    warn!(
                        host,
                        code = error.code(),
                        "the stored certificate cannot be used, a new one is ordered: {error}"
                    );
                    Watched::absent(&path, &path)
                }
            };
            self.obtained.insert(host.clone(), watched);
        }
        self.acme = Some(Arc::new(acme));
        self.stand_in(now)
    }

    /// A certificate in memory for hosts that wait for their first.
    fn stand_in(&mut self, now: i64) -> Result<(), TlsError> {
        let names: Vec<String> = self.awaited().into_iter().map(str::to_owned).collect();
        self.self_signed = None;
        if !names.is_empty() {
            let hosts = names.join(", ");
            info!(hosts, "no certificate yet: clients see one that we signed ourselves until the authority's arrives");
            let certificate = self_signed::temporary(&names, now)?;
            self.self_signed = Some(SelfMade { certificate, names, kept: false });
        }
        Ok(())
    }

    fn sign_ourselves(&mut self, uncovered: Vec<String>, production: bool, now: i64) -> Result<(), TlsError> {
        let allowed = match self.settings.self_signed {
            SelfSigned::Development => !production,
            SelfSigned::Always => true,
            SelfSigned::Never => false,
        };
        if !allowed {
            let host = uncovered.into_iter().next().unwrap_or_else(|| "any host".into());
            return Err(TlsError::Uncovered { host });
        }
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
        for host in uncovered {
            if !names.contains(&host) {
                names.push(host);
            }
        }
        let certificate = self_signed::kept(Path::new(&self.settings.store), &names, now)?;
        let hosts = names.join(", ");
        warn!(hosts, "serving a certificate that we signed ourselves: browsers warn of it");
        self.self_signed = Some(SelfMade { certificate, names, kept: true });
        Ok(())
    }

    fn tend_self_signed(&mut self, now: i64) -> bool {
        let Some(own) = &self.self_signed else { return false };
        let outdated = match own.kept {
            true => self_signed::due(&own.certificate, now),
            false => own.names.len() != self.awaited().len() || self_signed::due(&own.certificate, now),
        };
        if !outdated {
            return false;
        }
        let renewed = match own.kept {
            true => {
                let names = own.names.clone();
                let made = self_signed::kept(Path::new(&self.settings.store), &names, now);
                made.map(|certificate| self.self_signed = Some(SelfMade { certificate, names, kept: true }))
            }
            false => self.stand_in(now),
        };
        if let Err(error) = renewed {
            warn!(code = error.code(), "our own certificate cannot be renewed: {error}");
            return false;
        }
        true
    }

    fn report(&self, host: String, now: i64) -> Option<CertificateReport> {
        let file = self.files.iter().filter_map(|file| file.current.as_deref());
        let candidates = file.map(|certificate| (CertificateSource::File, certificate));
        let obtained = self.obtained.get(&host).and_then(|watched| watched.current.as_deref());
        let candidates = candidates.chain(obtained.map(|certificate| (CertificateSource::Acme, certificate)));
        let own = self.self_signed.as_ref().map(|own| (CertificateSource::SelfSigned, &own.certificate));
        let (source, certificate) = candidates.chain(own).find(|(_, certificate)| certificate.covers(&host))?;
        let problem = self.problems.get(&host).cloned().or_else(|| certificate.validity_warning(now));
        Some(CertificateReport { host, source, not_after: certificate.not_after, problem })
    }
}
