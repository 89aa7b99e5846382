//! `frontend.image-optimization`: pictures come in a modern format, compressed, and no larger than they are shown.

use std::io;

use seaworthy_browser::Page;
use serde_json::Value;

use super::{PageProbe, Stop, html, not_applicable, site};
use crate::{
    browsing::Visit,
    probe::{Cases, Working},
    subject::Fixture,
};

pub(super) const PROBE: PageProbe = PageProbe { control: "frontend.image-optimization", look, present, absent };

/// A smaller picture gains nothing.
const SMALL: u64 = 10 << 10;
/// At most twice as wide or high as it is shown, which screens of twice the density show.
const LARGER: f64 = 2.0;
/// A re-encode may save a tenth, as the catalogue says, and what is too little to matter.
const SAVED: f64 = 1.10;
const SLACK: u64 = 6 << 10;
const PAGES: usize = 3;
const MOST: usize = 40;

/// 64 by 64 pixels, drawn by the page itself: a fixture needs no binary file.
fn present() -> io::Result<Fixture> {
    pictures("image/webp", 200)
}

// The common mistake: as it came from the camera, however small it is shown.
fn absent() -> io::Result<Fixture> {
    pictures("image/png", 40)
}

/// A noisy picture of 400 by 300 pixels, of this type and shown so wide. The page makes it, under an address of its own.
fn pictures(kind: &str, width: u32) -> io::Result<Fixture> {
    site(vec![(
        "/",
        html(&format!(
            r#"<h1>Pictures</h1><img id=picture width={width} alt=Noise><script>
const canvas = document.createElement("canvas"); canvas.width = 400; canvas.height = 300;
const context = canvas.getContext("2d"); const image = context.createImageData(400, 300);
for (let place = 0, seed = 7; place < image.data.length; place++) {{
  seed = (seed * 1103515245 + 12345) % 2147483648; image.data[place] = place % 4 === 3 ? 255 : (place / 1900 + seed / 21474836) % 256; }}
context.putImageData(image, 0, 0); picture.src = canvas.toDataURL("{kind}", 0.75);
</script>"#
        )),
    )])
}

fn look<'a>(visit: &'a Visit<'a>, cases: &'a mut Cases) -> Working<'a, Result<String, Stop>> {
    Box::pin(async move {
        let page = visit.page().await?;
        let (mut pictures, mut small, mut unreadable) = (0, 0, 0);
        for path in visit.pages.iter().take(PAGES) {
            visit.open(&page, path).await?;
            lazy(&page, path, cases).await?;
            let found = page.evaluate(&format!("({})({MOST}, {SMALL})", include_str!("images.js").trim())).await?;
            let loaded = page.observed().requests;
            for one in found.as_array().into_iter().flatten() {
                pictures += 1;
                let over_network =
                    loaded.iter().rfind(|request| one["url"] == request.url.as_str() && request.size > 0);
                let bytes = over_network.map_or(one["bytes"].as_u64().unwrap_or_default(), |request| request.size);
                cases.plan_more(1);
                if bytes == 0 {
                    cases.told_nothing(format!("{path}: the bytes of {} cannot be known", one["name"]));
                    continue;
                }
                small += usize::from(bytes < SMALL);
                unreadable += usize::from(bytes >= SMALL && one["encoded"].is_null());
                let fault = fault(one, bytes);
                let name = one["name"].as_str().unwrap_or_default();
                cases.tried(fault.is_none(), format!("{path}: {name} {}", fault.unwrap_or_else(|| "is fine".into())));
            }
        }
        if pictures == 0 {
            let looked = visit.pages.len().min(PAGES);
            return not_applicable(format!("{looked} pages show no picture made of pixels"));
        }
        visit.note(format!(
            "{small} pictures below {} KiB, {unreadable} of other sites, whose pixels cannot be read",
            SMALL >> 10
        ));
        Ok(format!(
            "{pictures} pictures: none larger than twice what is shown, none that a modern format would make smaller by a tenth \
             ({small} are too small to matter)"
        ))
    })
}

/// What is wrong with a picture.
fn fault(one: &Value, bytes: u64) -> Option<String> {
    let number = |key: &str| one[key].as_f64().unwrap_or_default();
    if bytes < SMALL {
        return None;
    }
    let (width, shown) = (number("width"), number("shown"));
    let (height, shown_height) = (number("height"), number("shownHeight"));
    // What is cut to its place may be larger in one direction.
    if shown > 0.0 && shown_height > 0.0 && width > LARGER * shown + 8.0 && height > LARGER * shown_height + 8.0 {
        return Some(format!(
            "has {width:.0} by {height:.0} pixels and {} KiB, and is shown at {shown:.0} by {shown_height:.0}",
            bytes.div_ceil(1024)
        ));
    }
    let encoded = one["encoded"].as_u64()?;
    let allowed = (encoded as f64 * SAVED) as u64 + SLACK;
    (bytes > allowed).then(|| {
        let kind = one["kind"].as_str().unwrap_or("its type");
        format!("has {} KiB as {kind} and {} KiB as WebP", bytes.div_ceil(1024), encoded.div_ceil(1024))
    })
}

/// Pictures far below what is seen at first need not be loaded before anybody gets there.
async fn lazy(page: &Page, path: &str, cases: &mut Cases) -> Result<(), Stop> {
    let script = format!(
        "[...document.images].filter(one => one.complete && one.naturalWidth > 64 && one.loading !== 'lazy' && !one.currentSrc.startsWith('data:') \
         && one.getBoundingClientRect().top + scrollY > 3 * innerHeight && (performance.getEntriesByName(one.currentSrc)[0] || {{}}).encodedBodySize > {SMALL})\
         .map(one => one.currentSrc.split('/').pop())"
    );
    let early = page.evaluate(&script).await?;
    let early: Vec<&str> = early.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !early.is_empty() {
        cases.plan_more(1);
        let first = early[0];
        cases.tried(
            false,
            format!(
                "{path}: {} pictures far below the first screen are loaded at once, {first} among them",
                early.len()
            ),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn faults_are_those_that_matter() {
        let one = |bytes: u64, width: u32, shown: u32, encoded: u64| {
            let one = json!({"width": width, "height": width, "shown": shown, "shownHeight": shown, "encoded": encoded,
                "kind": "image/png"});
            fault(&one, bytes)
        };
        assert_eq!(one(5_000, 4000, 10, 100), None, "too small to matter");
        assert!(one(500_000, 4000, 600, 490_000).unwrap().contains("4000 by 4000"));
        assert_eq!(one(90_000, 1200, 600, 85_000), None);
        assert!(one(300_000, 1200, 600, 85_000).unwrap().contains("as WebP"));
    }
}
