//! What the app's answer means for a complete upload: it has it, it never will, or not yet.

use seaworthy_core::Delivery;

use super::{MOVED, SIGN_IN};
use crate::problems::Refusal;

/// Segments of paths where apps send whose session has ended.
const SIGN_INS: [&str; 7] = ["login", "signin", "sign-in", "sign_in", "auth", "sso", "session"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Taken,
    /// For good.
    Refused,
    /// What may be otherwise in a minute.
    Later,
    /// It got it, and nobody knows what it did.
    Unknown,
    /// It wants the same request at another address: here it has not looked at it.
    Moved,
    /// It shows a page to sign in, in place of a 401.
    SignIn,
}

impl Verdict {
    pub(super) fn of(status: u16, location: Option<&str>, delivery: Option<&Delivery>) -> Self {
        if delivery == Some(&Delivery::Unanswered) {
            return Self::Unknown;
        }
        match status {
            // RFC 9110, 15.4: the request is to be made again, there.
            301 | 307 | 308 => Self::Moved,
            // Else it is how forms are answered: done, and here is the page.
            302 | 303 if location.is_some_and(is_sign_in) => Self::SignIn,
            401 | 403 | 407 | 408 | 423 | 425 | 429 | 500.. => Self::Later,
            400.. => Self::Refused,
            _ => Self::Taken,
        }
    }

    /// Whether a file that the app was told of is certainly not its own.
    pub(super) fn is_not_taken(self) -> bool {
        !matches!(self, Self::Taken | Self::Unknown)
    }

    /// For the log.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Taken => "the app took a complete upload",
            Self::Refused => "the app refused a complete upload",
            Self::Later => "the app did not take a complete upload",
            Self::Unknown => "nobody knows whether the app took a complete upload",
            Self::Moved => "the app did not take a complete upload here, but sends it to another address",
            Self::SignIn => "the app did not take a complete upload, but sends its client to a sign-in",
        }
    }

    /// What is told in place of an answer that clients of tus would follow, or not understand.
    pub(super) fn refusal(self, status: u16, location: Option<&str>) -> Option<Refusal> {
        let address = location.map_or("another address, without naming it", address);
        match self {
            Self::Moved => Some(Refusal::new(MOVED, format!("The app answers {status} and means: {address}"))),
            Self::SignIn => Some(Refusal::new(SIGN_IN, format!("The app answers {status} and sends to: {address}"))),
            _ => None,
        }
    }
}

/// A location without its query, in which may be secrets.
fn address(location: &str) -> &str {
    location.split(['?', '#']).next().unwrap_or_default()
}

fn is_sign_in(location: &str) -> bool {
    let address = address(location);
    // A host is no page; a path may have "//" in it, but not before its first "/".
    let behind_scheme = match address.split_once("//") {
        Some((scheme, rest)) if !scheme.contains('/') => rest.split_once('/').map_or("", |(_, path)| path),
        _ => address,
    };
    behind_scheme.split('/').any(|segment| SIGN_INS.iter().any(|sign_in| segment.eq_ignore_ascii_case(sign_in)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_no_success_unless_they_show_what_was_made() {
        let of = |status, location| Verdict::of(status, Some(location), None);
        for status in [301, 307, 308] {
            assert_eq!(of(status, "/api/videos/"), Verdict::Moved);
            assert_eq!(Verdict::of(status, None, None), Verdict::Moved);
        }
        let sign_ins = [
            "/login",
            "/accounts/Login/?next=/videos",
            "login",
            "https://example.com/users/sign_in#form",
            "//sso.example.com/auth/realms/x",
            "/session/new",
        ];
        for location in sign_ins {
            assert_eq!((of(302, location), of(303, location)), (Verdict::SignIn, Verdict::SignIn), "{location}");
        }
        let pages = [
            "/videos/7",
            "/videos?from=/login",
            "/videos#/login",
            "/authors/7",
            "/my-login",
            "https://login.example.com",
            "//login/videos",
            "",
        ];
        for location in pages {
            assert_eq!((of(302, location), of(303, location)), (Verdict::Taken, Verdict::Taken), "{location}");
        }
        assert_eq!(Verdict::of(303, None, None), Verdict::Taken);
    }

    #[test]
    fn what_is_told_names_the_address_and_no_secret() {
        let moved = Verdict::Moved.refusal(308, Some("/api/videos/?token=x")).unwrap();
        assert!(moved.detail.ends_with("308 and means: /api/videos/"), "{}", moved.detail);
        let sign_in = Verdict::SignIn.refusal(302, Some("/login?next=/x")).unwrap();
        assert_eq!((sign_in.kind.status.as_u16(), sign_in.detail.contains("next")), (401, false));
        assert!(Verdict::Later.refusal(401, None).is_none());
    }

    #[test]
    fn only_an_answer_says_that_a_file_was_not_taken() {
        assert_eq!(Verdict::of(504, None, Some(&Delivery::Unanswered)), Verdict::Unknown);
        assert_eq!(Verdict::of(502, None, Some(&Delivery::NotSent)), Verdict::Later);
        let not_taken = [401, 422, 308, 500].map(|status| Verdict::of(status, None, None).is_not_taken());
        assert_eq!(not_taken, [true; 4]);
        assert!(!Verdict::Unknown.is_not_taken() && !Verdict::of(201, None, None).is_not_taken());
    }
}
