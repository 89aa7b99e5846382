//! Pages in a headless browser: what people see, load and press. One file a control.
//!
//! All of a run share one browser (see [`crate::browsing`]); each look has a context of its own in it.

mod budgets;
mod bundle_analysis;
mod calls;
mod code_splitting;
mod confirm_dialogs;
mod content_security_policy;
mod error_boundaries;
mod error_messages;
mod error_reporting;
mod image_optimization;
mod mobile;
mod prod_build;
mod ratelimit_toast;
mod service_worker;
mod words;

use std::io;

use http::Request;
use hyper::body::Incoming;
use seaworthy_browser::BrowserError;
use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    browsing::{Visit, without_browser},
    fixture::{self, reply},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

/// Every probe that uses the browser.
pub(super) fn all() -> Vec<Box<dyn Probe>> {
    let all = [
        content_security_policy::PROBE,
        prod_build::PROBE,
        bundle_analysis::PROBE,
        code_splitting::PROBE,
        image_optimization::PROBE,
        mobile::PROBE,
        error_boundaries::PROBE,
        error_messages::PROBE,
        ratelimit_toast::PROBE,
        error_reporting::PROBE,
        service_worker::PROBE,
        confirm_dialogs::PROBE,
    ];
    all.into_iter().map(|one| Box::new(one) as Box<dyn Probe>).collect()
}

/// A probe that looks at pages.
struct PageProbe {
    control: &'static str,
    look: for<'a> fn(&'a Visit<'a>, &'a mut Cases) -> Working<'a, Result<String, Stop>>,
    present: fn() -> io::Result<Fixture>,
    absent: fn() -> io::Result<Fixture>,
}

/// A look that ends before its cases are done.
enum Stop {
    /// The browser did not do as it was told.
    Browser(BrowserError),
    /// It comes to something else.
    Instead(Sighting),
    /// The cases so far must do.
    Here,
}

impl From<BrowserError> for Stop {
    fn from(error: BrowserError) -> Self {
        Self::Browser(error)
    }
}

impl Probe for PageProbe {
    fn about(&self) -> About {
        About { control: self.control.into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(async move {
            let visit = match subject.visit().await {
                Ok(visit) => visit,
                Err(sighting) => return sighting,
            };
            let mut cases = Cases::default();
            match (self.look)(&visit, &mut cases).await {
                Ok(summary) => cases.sighting(summary),
                Err(Stop::Here) => cases.sighting(""),
                Err(Stop::Instead(sighting)) => sighting,
                Err(Stop::Browser(error)) if error.is_missing() => without_browser(error),
                Err(Stop::Browser(error)) => cases.gave_up(error.to_string()),
            }
        })
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { (self.present)() })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { (self.absent)() })
    }
}

/// Nothing here that the control could apply to.
fn not_applicable<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Instead(Sighting::not_applicable(why)))
}

/// It cannot be told.
fn unclear<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Instead(Sighting::unclear(why)))
}

/// Something must be given.
fn not_tried<T>(what_to_do: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Instead(Sighting::not_tried(what_to_do)))
}

/// A known site of these files.
fn site(files: Vec<(&'static str, String)>) -> io::Result<Fixture> {
    fixture::public(move |request: &Request<Incoming>| {
        let path = request.uri().path();
        let kind = match path.rsplit('.').next().unwrap_or_default() {
            "js" => "text/javascript",
            "css" => "text/css",
            "map" => "application/json",
            "svg" => "image/svg+xml",
            _ if path.starts_with("/api/") => "application/json",
            _ => "text/html; charset=utf-8",
        };
        match files.iter().find(|(name, _)| *name == path) {
            Some((_, text)) => reply(200, &[("content-type", kind)], text.clone()),
            None => reply(404, &[("content-type", "text/html")], "<!doctype html><h1>Not found</h1>"),
        }
    })
}

/// A page with this in its body.
fn html(body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport \
         content=\"width=device-width, initial-scale=1\"><title>Known</title><link rel=icon href=\"data:,\"></head>\
         <body>{body}</body></html>"
    )
}

/// The beginning of a text, for a reason.
fn shortened(text: &str, most: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= most { text } else { text.chars().take(most).chain(['…']).collect() }
}
