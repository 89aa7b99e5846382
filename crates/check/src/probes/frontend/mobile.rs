//! `frontend.mobile`: pages work on a phone, a tablet and a desk, without scrolling sideways.

use std::io;

use seaworthy_browser::Device;
use serde_json::Value;

use super::{PageProbe, Stop, html, site};
use crate::{
    browsing::Visit,
    probe::{Cases, Working},
    subject::Fixture,
};

pub(super) const PROBE: PageProbe = PageProbe { control: "frontend.mobile", look, present, absent };

const DEVICES: [(&str, Device); 3] = [
    ("phone", Device { width: 360, height: 740, touch: true }),
    ("tablet", Device { width: 820, height: 1180, touch: true }),
    ("desk", Device { width: 1280, height: 800, touch: false }),
];
const PAGES: usize = 4;
/// Part of the text that must have 12 px or more, and of the targets that a finger must hit (24 px, or room around it: WCAG
/// 2.2, 2.5.8). Not all of it: a footnote and a close button make no page unusable.
const LEGIBLE: f64 = 0.6;
const TOUCHABLE: f64 = 0.75;

const WIDE: &str = "<h1>Prices</h1><p>What it costs, by month and by year, with and without support.</p><button style=\"min-height:40px\">Buy</button>\
    <table style=\"width:STYLE\"><tr><td>Small</td><td>10</td></tr></table>";

fn present() -> io::Result<Fixture> {
    site(vec![("/", html(&WIDE.replace("STYLE", "100%")))])
}

// The common mistake: a table that was only ever seen on a desk.
fn absent() -> io::Result<Fixture> {
    site(vec![("/", html(&WIDE.replace("STYLE", "900px")))])
}

fn look<'a>(visit: &'a Visit<'a>, cases: &'a mut Cases) -> Working<'a, Result<String, Stop>> {
    Box::pin(async move {
        let pages: Vec<&String> = visit.pages.iter().take(PAGES).collect();
        let page = visit.page().await?;
        let (mut targets, mut hit) = (0.0, 0.0);
        cases.plan_more(pages.len() * DEVICES.len());
        for (name, device) in DEVICES {
            page.show_on(device).await?;
            for path in &pages {
                visit.open(&page, path).await?;
                let script = format!("({})({})", include_str!("layout.js").trim(), device.width);
                let layout = page.evaluate(&script).await?;
                let fault = fault(&layout, device);
                let at = format!("{path} on a {name} ({} by {})", device.width, device.height);
                targets += layout["targets"].as_f64().unwrap_or_default();
                hit += layout["touchable"].as_f64().unwrap_or_default();
                cases.tried(fault.is_none(), format!("{at} {}", fault.unwrap_or_else(|| "is fine".into())));
            }
        }
        Ok(format!(
            "{} pages at 360, 820 and 1280 px: none scrolls sideways, text is legible, {hit:.0} of {targets:.0} targets have room \
             for a finger; the journeys of real people on real devices are for a person to try",
            pages.len()
        ))
    })
}

fn fault(layout: &Value, device: Device) -> Option<String> {
    let number = |key: &str| layout[key].as_f64().unwrap_or_default();
    if device.touch && layout["viewport"] != true {
        return Some("has no <meta name=viewport content=\"width=device-width\">, so that it is shown as on a desk, only smaller".into());
    }
    let over = number("width") - f64::from(device.width);
    if over > 1.0 {
        let widest = layout["widest"].as_str().unwrap_or_default();
        let what = if widest.is_empty() { String::new() } else { format!(": {widest} reaches furthest") };
        return Some(format!("scrolls sideways by {over:.0} px{what}"));
    }
    if !device.touch {
        return None;
    }
    let (letters, legible) = (number("letters"), number("legible"));
    if letters > 50.0 && legible / letters < LEGIBLE {
        return Some(format!("has {:.0}% of its text below 12 px", (1.0 - legible / letters) * 100.0));
    }
    let (targets, touchable) = (number("targets"), number("touchable"));
    (targets >= 4.0 && touchable / targets < TOUCHABLE).then(|| {
        format!(
            "has {:.0} of {targets:.0} targets that are smaller than 24 px and stand close to another",
            targets - touchable
        )
    })
}
