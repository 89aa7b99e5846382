//! `frontend.ratelimit-toast`: who is throttled reads once how long to wait, and the page goes on working.

use std::{io, time::Duration};

use seaworthy_browser::{Seen, Then};

use super::{PageProbe, Stop, calls, html, shortened, site, unclear};
use crate::{
    browsing::Visit,
    probe::{Cases, Working},
    subject::Fixture,
};

pub(super) const PROBE: PageProbe = PageProbe { control: "frontend.ratelimit-toast", look, present, absent };

/// Seconds to wait: a number that stands on no page by chance, and from which a countdown does not go far.
const WAIT: u32 = 217;
/// A countdown may have gone so far when we look.
const COUNTED: u32 = 15;

const PAGE: &str = r#"<h1>Items</h1><button>Other things</button><p id=told role=status></p><ul id=list></ul><script>
for (const path of ["/api/items", "/api/others"]) fetch(path).then(async answer => {
  if (answer.status === 429) { told.textContent = MESSAGE; return; }
  list.textContent += (await answer.json()).map(item => item.name).join(", ");
});
</script>"#;

fn present() -> io::Result<Fixture> {
    items("`Too many requests: please try again in ${answer.headers.get(\"retry-after\")} seconds.`")
}

// The common mistake: told, and not for how long.
fn absent() -> io::Result<Fixture> {
    items("\"Too many requests, please slow down.\"")
}

fn items(message: &str) -> io::Result<Fixture> {
    let list = r#"[{"name": "One"}]"#.to_owned();
    site(vec![("/", html(&PAGE.replace("MESSAGE", message))), ("/api/items", list.clone()), ("/api/others", list)])
}

fn look<'a>(visit: &'a Visit<'a>, cases: &'a mut Cases) -> Working<'a, Result<String, Stop>> {
    Box::pin(async move {
        let page = visit.page().await?;
        let places = calls::places(visit, &page).await?;
        let Some(place) = places.first() else {
            return unclear(
                "no page asks for data, by itself or when something is pressed, so that none can be throttled: name a \
                 page that does in [check] paths",
            );
        };
        cases.plan_more(3);
        let headers = [("content-type", "application/json"), ("retry-after", &WAIT.to_string())];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let throttled = Then::Answer { status: 429, headers, body: r#"{"status": 429}"#.into() };
        let before = &place.before;
        let mut seen = place.show(visit, &page, throttled, |seen| messages(before, seen) > 0).await?;
        // Those that came at the same time are there by now as well.
        if messages(before, &seen) > 0 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            seen = page.seen().await?;
        }
        let at = format!("429 with Retry-After: {WAIT} at {}", place.name());
        let said = waits(before, &seen);
        match said.as_slice() {
            [] => {
                let said = super::error_messages::message(before, &seen);
                let said = said.map_or("nothing".to_owned(), |text| format!("\"{}\"", shortened(&text.text, 60)));
                cases.tried(false, format!("{at}: the page says {said}, and not how long to wait"));
            }
            [said] => cases.tried(true, format!("\"{said}\"")),
            all => cases.tried(false, format!("{at}: {} messages at once: {}", all.len(), all.join(" / "))),
        }
        let errors = page.observed().errors;
        let first = errors.first().map(|error| shortened(error, 80)).unwrap_or_default();
        cases.tried(errors.is_empty(), format!("{at}: {} uncaught errors: {first}", errors.len()));
        let kept = before.controls.is_empty() || before.controls.iter().any(|name| seen.controls.contains(name));
        cases.tried(kept && !seen.is_blank(), format!("{at}: of {} controls none is left", before.controls.len()));
        Ok(format!("{at}: {}, and the page goes on", said.join("")))
    })
}

fn messages(before: &Seen, seen: &Seen) -> usize {
    waits(before, seen).len()
}

/// New texts that say how long to wait, in seconds or in minutes.
fn waits(before: &Seen, seen: &Seen) -> Vec<String> {
    let seconds = WAIT - COUNTED..=WAIT;
    let minutes = [(WAIT - COUNTED) / 60, WAIT.div_ceil(60)];
    let mut said: Vec<String> = Vec::new();
    let pieces = seen.new_since(before);
    for (place, one) in pieces.iter().enumerate() {
        let numbers: Vec<u32> =
            one.text.split(|letter: char| !letter.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
        let in_minutes = numbers.iter().any(|number| minutes.contains(number))
            && (one.text.to_lowercase().contains("min") || one.text.contains(':') || one.text.contains('分'));
        if numbers.iter().any(|number| seconds.contains(number)) || in_minutes {
            // Frameworks break a sentence at its number: what stands around it belongs to it.
            let around = &pieces[place.saturating_sub(1)..(place + 2).min(pieces.len())];
            let whole = around.iter().map(|one| one.text.as_str()).collect::<Vec<_>>().join(" ");
            said.push(shortened(if one.text.len() > 8 { &one.text } else { &whole }, 80));
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use seaworthy_browser::Text;

    #[test]
    fn waits_are_read_in_seconds_and_minutes() {
        let seen = |texts: &[&str]| Seen {
            texts: texts.iter().map(|text| Text { text: (*text).into(), told: false, top: 0.0 }).collect(),
            ..Seen::default()
        };
        let count = |texts: &[&str]| messages(&Seen::default(), &seen(texts));
        assert_eq!(count(&["Wait 217 seconds"]), 1);
        assert_eq!(count(&["Try again in", "215", "s"]), 1);
        assert_eq!(count(&["Try again in 4 minutes"]), 1);
        assert_eq!(count(&["Try again in 3:37"]), 1);
        assert_eq!(count(&["Wait 217 s", "Wait 217 s"]), 2);
        assert_eq!(count(&["Too many requests", "4 items", "2170"]), 0);
    }
}
