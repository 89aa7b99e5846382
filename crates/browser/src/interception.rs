//! Requests that are answered, refused or let through by us, before they leave the browser.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// A request that waits for a decision.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Where to.
    pub url: String,
    /// In capitals.
    pub method: String,
    /// `Document`, `Script`, `Fetch`, `XHR`, `Image`, … as the protocol calls it.
    pub kind: String,
    /// The site that asks, for answers to another one's scripts.
    pub origin: Option<String>,
    /// What a preflight asks to send.
    wished_headers: Option<String>,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// It goes out.
    Pass,
    /// It is answered by us and goes nowhere.
    Answer {
        /// The status.
        status: u16,
        /// Headers beside those that let another site's script read the answer.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// It fails as without a network.
    Fail,
}

impl Asked {
    pub(crate) fn read(params: &Value) -> Self {
        let request = &params["request"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let header = |wanted: &str| {
            let mut all = request["headers"].as_object()?.iter();
            all.find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .and_then(|(_, value)| value.as_str().map(str::to_owned))
        };
        Self {
            url: text(&request["url"]),
            method: text(&request["method"]).to_uppercase(),
            kind: text(&params["resourceType"]),
            origin: header("origin"),
            wished_headers: header("access-control-request-headers"),
        }
    }

    /// A script of the page asks for data.
    pub fn is_call(&self) -> bool {
        matches!(self.kind.as_str(), "XHR" | "Fetch" | "Preflight")
    }
}

impl Then {
    /// An answer of JSON.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::Answer { status, headers: vec![("content-type".into(), "application/json".into())], body: body.into() }
    }

    /// The command that does it.
    pub(crate) fn command(self, request: &Value, asked: &Asked) -> (&'static str, Value) {
        match self {
            Self::Pass => ("Fetch.continueRequest", json!({"requestId": request})),
            Self::Fail => ("Fetch.failRequest", json!({"requestId": request, "errorReason": "InternetDisconnected"})),
            Self::Answer { status, headers, body } => {
                let mut all: Vec<Value> =
                    headers.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
                let mut add = |name: &str, value: &str| all.push(json!({"name": name, "value": value}));
                if let Some(origin) = &asked.origin {
                    add("access-control-allow-origin", origin);
                    add("access-control-allow-credentials", "true");
                    add("access-control-expose-headers", "retry-after");
                    if asked.method == "OPTIONS" {
                        add("access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE");
                        add("access-control-allow-headers", asked.wished_headers.as_deref().unwrap_or("content-type"));
                    }
                }
                // The question whether one may ask is not the one that is to fail.
                let status = if asked.method == "OPTIONS" { 204 } else { status };
                let body = BASE64_STANDARD.encode(body);
                let answer =
                    json!({"requestId": request, "responseCode": status, "responseHeaders": all, "body": body});
                ("Fetch.fulfillRequest", answer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_sites_script_may_read_the_answer_and_may_always_ask() {
        let asked = |method: &str| {
            Asked::read(&json!({"resourceType": "Fetch", "request":
                {"url": "http://api.test/a", "method": method, "headers": {"Origin": "http://app.test"}}}))
        };
        let (method, answer) = Then::json(429, "{}").command(&json!("1"), &asked("GET"));
        assert_eq!((method, &answer["responseCode"]), ("Fetch.fulfillRequest", &json!(429)));
        let headers = answer["responseHeaders"].to_string();
        assert!(headers.contains("http://app.test") && headers.contains("retry-after"), "{headers}");
        let (_, answer) = Then::json(429, "{}").command(&json!("1"), &asked("OPTIONS"));
        assert_eq!(answer["responseCode"], 204);
        assert_eq!(Then::Fail.command(&json!("1"), &asked("GET")).0, "Fetch.failRequest");
    }
}
