//! The policy as it goes into answers: its text is made when the config loads, and only a nonce is put in later.

use http::{
    HeaderName, HeaderValue,
    header::{CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY},
};

use super::{
    nonce::Nonce,
    policy::Policy,
    settings::{CspSettings, REPORT_GROUP},
};

/// Stands in a text where a nonce will; no policy can hold this character.
const PLACE: &str = "\u{1}";

/// The policy of one route, for one scheme.
#[derive(Debug, Clone)]
pub struct Template {
    /// Which header it is.
    pub(in crate::headers) name: HeaderName,
    /// For answers that take no nonce.
    pub(in crate::headers) plain: Option<HeaderValue>,
    /// With `report_only`, what is enforced all the same.
    pub(in crate::headers) enforced: Option<HeaderValue>,
    /// `Reporting-Endpoints`.
    pub(in crate::headers) endpoints: Option<HeaderValue>,
    /// The text around the nonces; empty without nonces.
    pieces: Vec<String>,
    /// Whether `<style>` and style sheets take it too.
    pub(in crate::headers) styles: bool,
}

impl Template {
    /// For these settings; `ancestors` are the sources of `frame-ancestors`, empty when framing is not limited.
    pub(in crate::headers) fn new(csp: &CspSettings, ancestors: &[String], tls: bool) -> Option<Self> {
        let limits_frames = || (!ancestors.is_empty()).then(|| ancestors.to_vec());
        let Some(mut policy) = csp.policy() else {
            // Words of `frame` stand in X-Frame-Options; origins have no other place than this.
            let ancestors = limits_frames().filter(|sources| sources.iter().any(|one| !one.starts_with('\'')))?;
            let mut only = Policy::default();
            only.set("frame-ancestors", ancestors);
            return Some(Self::of(CONTENT_SECURITY_POLICY, &only));
        };
        let ancestors = policy.find("frame-ancestors").map(<[String]>::to_vec).or_else(limits_frames);
        let mut enforced = None;
        match ancestors {
            Some(ancestors) if csp.report_only => {
                policy.remove("frame-ancestors");
                let mut only = Policy::default();
                only.set("frame-ancestors", ancestors);
                enforced = HeaderValue::from_str(&only.to_string()).ok();
            }
            Some(ancestors) => policy.set("frame-ancestors", ancestors),
            None => {}
        }
        if csp.report_only {
            // Browsers complain about it in a policy that only reports (CSP 3, 6.3.2).
            policy.remove("sandbox");
        }
        if let Some(place) = csp.report_to() {
            policy.set("report-uri", vec![place.to_owned()]);
            if tls {
                policy.set("report-to", vec![REPORT_GROUP.to_owned()]);
            }
        }
        let name = if csp.report_only { CONTENT_SECURITY_POLICY_REPORT_ONLY } else { CONTENT_SECURITY_POLICY };
        let mut template = Self { enforced, ..Self::of(name, &policy) };
        if csp.nonces {
            template.styles = add_nonces(&mut policy);
            template.pieces = policy.to_string().split(PLACE).map(str::to_owned).collect();
        }
        // Without TLS browsers take no endpoints, and would not fall back to `report-uri` beside `report-to`.
        let endpoints = csp.report_to().filter(|_| tls).map(|place| format!("{REPORT_GROUP}=\"{place}\""));
        template.endpoints = endpoints.and_then(|text| HeaderValue::from_str(&text).ok());
        Some(template)
    }

    fn of(name: HeaderName, policy: &Policy) -> Self {
        let plain = HeaderValue::from_str(&policy.to_string()).ok();
        Self { name, plain, enforced: None, endpoints: None, pieces: Vec::new(), styles: false }
    }

    /// Whether answers may get nonces.
    pub(in crate::headers) fn has_nonces(&self) -> bool {
        self.pieces.len() > 1
    }

    /// The policy with this nonce.
    pub(in crate::headers) fn with(&self, nonce: &Nonce) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.pieces.join(nonce.as_str())).ok()
    }
}

/// Lets tags with the nonce through; true when style sheets take it too.
fn add_nonces(policy: &mut Policy) -> bool {
    let nonce = format!("'nonce-{PLACE}'");
    let default = policy.find("default-src").map(<[String]>::to_vec);
    if policy.find("script-src").is_none() {
        // Nothing is said of scripts: those with the nonce, and what these load (CSP 3, 8.2).
        let sources = default.clone().unwrap_or_else(|| vec!["'strict-dynamic'".into()]);
        policy.set(
            "script-src",
            sources.into_iter().filter(|source| source != "'none'").chain([nonce.clone()]).collect(),
        );
    }
    if policy.find("style-src").is_none()
        && let Some(sources) = default.filter(|sources| !allows_inline(sources))
    {
        policy
            .set("style-src", sources.into_iter().filter(|source| source != "'none'").chain([nonce.clone()]).collect());
    }
    let mut styles = false;
    for name in ["script-src", "script-src-elem", "style-src", "style-src-elem"] {
        let Some(sources) = policy.find(name) else { continue };
        let is_style = name.starts_with("style");
        // A nonce would have browsers ignore 'unsafe-inline', and `style` attributes can carry none.
        if sources == ["'none'"] || (is_style && allows_inline(sources)) {
            continue;
        }
        styles |= is_style;
        if !sources.contains(&nonce) {
            let with = sources.iter().cloned().chain([nonce.clone()]).collect();
            policy.set(name, with);
        }
    }
    styles
}

fn allows_inline(sources: &[String]) -> bool {
    sources.iter().any(|source| source.eq_ignore_ascii_case("'unsafe-inline'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::csp::Directives;

    fn template(policy: Option<&str>, change: impl FnOnce(&mut CspSettings)) -> Template {
        let directives = policy.map(|text| Directives::Text(text.to_owned()));
        let mut settings = CspSettings { directives, ..CspSettings::default() };
        change(&mut settings);
        Template::new(&settings, &["'self'".to_owned()], true).unwrap()
    }

    fn nonced(policy: Option<&str>) -> (String, bool) {
        let template = template(policy, |all| all.nonces = true);
        (template.with(&Nonce::fixed("N")).unwrap().to_str().unwrap().to_owned(), template.styles)
    }

    #[test]
    fn nonces_go_where_scripts_and_styles_are_allowed() {
        let end = "; frame-ancestors 'self'";
        let (text, styles) = nonced(None);
        assert_eq!(
            text,
            "object-src 'none'; base-uri 'self'; frame-ancestors 'self'; script-src 'strict-dynamic' 'nonce-N'"
        );
        assert!(!styles, "nothing is said of styles");
        let (text, styles) = nonced(Some("default-src 'self'"));
        assert_eq!(text, format!("default-src 'self'{end}; script-src 'self' 'nonce-N'; style-src 'self' 'nonce-N'"));
        assert!(styles);
        let (text, styles) = nonced(Some("script-src 'unsafe-inline' https:; style-src 'unsafe-inline'"));
        assert_eq!(text, format!("script-src 'unsafe-inline' https: 'nonce-N'; style-src 'unsafe-inline'{end}"));
        assert!(!styles, "style attributes go on");
        assert_eq!(nonced(Some("script-src 'none'")).0, format!("script-src 'none'{end}"));
        assert_eq!(nonced(Some("default-src 'none'")).0.matches("'none'").count(), 1);
    }

    #[test]
    fn what_only_reports_still_limits_framing() {
        let learning = template(None, |all| all.report_only = true);
        assert_eq!(learning.name, "content-security-policy-report-only");
        assert_eq!(learning.enforced.as_ref().unwrap(), "frame-ancestors 'self'");
        let text = learning.plain.as_ref().unwrap().to_str().unwrap();
        assert!(!text.contains("frame-ancestors"), "{text}");
        assert!(text.ends_with("report-uri /.well-known/csp-reports; report-to seaworthy-csp"), "{text}");
        assert_eq!(learning.endpoints.as_ref().unwrap(), "seaworthy-csp=\"/.well-known/csp-reports\"");
        let plain = CspSettings { report_only: true, ..CspSettings::default() };
        let plain = Template::new(&plain, &[], false).unwrap();
        assert!(plain.endpoints.is_none() && plain.enforced.is_none());
        assert!(!plain.plain.unwrap().to_str().unwrap().contains("report-to"));
    }

    #[test]
    fn a_policy_that_is_off_leaves_only_origins_that_may_frame() {
        let off = CspSettings { directives: Some(Directives::Text("off".into())), ..CspSettings::default() };
        assert!(Template::new(&off, &["'self'".into()], true).is_none());
        let framed = Template::new(&off, &["'self'".into(), "https://a.example".into()], true).unwrap();
        assert_eq!(framed.plain.unwrap(), "frame-ancestors 'self' https://a.example");
    }
}
