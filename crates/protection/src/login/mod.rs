//! Back-off against guessing on routes that sign people in.
//!
//! Failures are counted by account and by address. After some of them an account pauses, each time for twice as long up to
//! a bound; a success forgets them. Whether an account exists makes no difference: what counts is the name that was tried.
//! A refusal is 429 with `Retry-After` (RFC 6585, 4; RFC 9110, 10.2.3), and the app never sees the try.

mod account;
mod form;
mod guesses;
mod json;
mod letters;
mod multipart;
mod name;
mod service;
mod settings;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
};

use http::StatusCode;
use seaworthy_core::ProblemKind;
use seaworthy_store::BackOff;
use tower::Layer;

pub use self::{
    account::{Accounts, read as read_accounts},
    guesses::Guesses,
    service::LoginService,
    settings::{LogAccount, LoginSettings},
};
use crate::rate_limit::{Failures, RateLimits};

/// A body of a sign-in is never larger; more could hide the account's name behind padding.
pub const LOGIN_BODY: u64 = 64 << 10;

const PAUSED: ProblemKind = ProblemKind {
    code: "SEA_PROTECTION_LOGIN_PAUSED",
    status: StatusCode::TOO_MANY_REQUESTS,
    title: "Too many failed sign-ins",
    advice: "Wait as long as Retry-After says, and try again. Operators: `login` of the route sets the pauses.",
};
const MANY_NAMES: ProblemKind = ProblemKind {
    code: "SEA_PROTECTION_LOGIN_MANY_NAMES",
    status: StatusCode::BAD_REQUEST,
    title: "The sign-in names too many accounts",
    advice: "Send the name of one account, once. Operators: `login.account` names the fields that are read, and eight \
             names of one request are counted.",
};
const STALLED: ProblemKind = ProblemKind {
    code: "SEA_PROTECTION_LOGIN_STALLED",
    status: StatusCode::REQUEST_TIMEOUT,
    title: "The sign-in did not arrive",
    advice: "Send the whole request at once.",
};

/// The layer of one route.
#[derive(Clone)]
pub struct Login(Arc<Watch>);

/// What a route that signs people in needs.
struct Watch {
    settings: LoginSettings,
    back_off: BackOff,
    /// For those whose account cannot be read.
    route: String,
    guesses: Guesses,
    addresses: Failures,
    /// Whether it was said that sign-ins name no account.
    told: AtomicBool,
}

impl Login {
    /// The layer of this route. `guesses` and `limits` are those of the whole process.
    pub fn layer(route: &str, settings: &LoginSettings, guesses: &Guesses, limits: &RateLimits) -> Self {
        let back_off = BackOff {
            free: settings.failures,
            first: settings.pause.0,
            longest: settings.longest_pause.0,
            kept: settings.kept(),
        };
        Self(Arc::new(Watch {
            settings: settings.clone(),
            back_off,
            route: route.to_owned(),
            guesses: guesses.clone(),
            addresses: limits.failures(&format!("login {route}"), settings.address.policies()),
            told: AtomicBool::new(false),
        }))
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for Login {
    type Service = LoginService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LoginService::new(inner, self.0.clone())
    }
}
