//! `frontend.code-splitting`: a first visit loads the code that it needs, and the rest comes when it is wanted.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::LazyLock,
    time::Duration,
};

use regex::Regex;
use seaworthy_browser::{Page, Request};

use super::{PageProbe, Stop, calls, html, not_applicable, site, unclear};
use crate::{
    browsing::Visit,
    probe::{Cases, Working},
    subject::Fixture,
};

pub(super) const PROBE: PageProbe = PageProbe { control: "frontend.code-splitting", look, present, absent };

/// More than one, as the catalogue says.
const CHUNKS: usize = 2;
/// So much code in all is nothing to split: it is less than what a second request costs.
const NOTHING_TO_SPLIT: u64 = 30 << 10;
const LINKS: usize = 5;
const FOLLOWED: Duration = Duration::from_secs(4);

const LINKED: &str =
    "<nav><a href=\"/reports\">Reports</a> <a href=\"/settings\">Settings</a></nav><main id=main></main>";

/// A script of this size, so that it is worth splitting.
fn large(code: &str) -> String {
    format!("{code}\n/*{}*/", "x".repeat(25 << 10))
}

fn present() -> io::Result<Fixture> {
    let router = "document.addEventListener('click',e=>{const a=e.target.closest('a');if(!a)return;e.preventDefault();\
                  (a.pathname==='/reports'?import('/assets/reports.js'):import('/assets/settings.js')).then(m=>m.show());});";
    let page = || html(&format!("{LINKED}<script type=module src=\"/assets/app.js\"></script>"));
    let chunk = || large("export const show=()=>{document.getElementById('main').textContent='here'};");
    site(vec![
        ("/", page()),
        ("/reports", page()),
        ("/settings", page()),
        ("/assets/app.js", large(router)),
        ("/assets/reports.js", chunk()),
        ("/assets/settings.js", chunk()),
    ])
}

// The common mistake: everything in one file.
fn absent() -> io::Result<Fixture> {
    let router = "document.addEventListener('click',e=>{const a=e.target.closest('a');if(!a)return;e.preventDefault();\
                  document.getElementById('main').textContent='here '+a.pathname;});";
    let page = || html(&format!("{LINKED}<script type=module src=\"/assets/app.js\"></script>"));
    site(vec![("/", page()), ("/reports", page()), ("/settings", page()), ("/assets/app.js", large(&large(router)))])
}

fn look<'a>(visit: &'a Visit<'a>, cases: &'a mut Cases) -> Working<'a, Result<String, Stop>> {
    Box::pin(async move {
        let page = visit.page().await?;
        page.intercept(calls::harmless).await?;
        let start = &visit.pages[0];
        let opened = visit.open(&page, start).await?;
        let first = scripts(visit, &opened.observed.requests);
        if first.is_empty() {
            return not_applicable(format!("{start} loads no script of this site: there is nothing to split"));
        }
        let named = chunks_named(visit, &page, &opened.observed.requests).await;
        let (all, visited) = go_on(visit, &page, &first).await?;
        let fetched = all.len() - first.len();
        let later: BTreeSet<&String> = all.keys().chain(&named).filter(|url| !first.contains_key(*url)).collect();
        let (own, total) = (first.values().sum::<u64>(), all.values().sum::<u64>());
        visit.note(format!(
            "{} scripts at first, {fetched} more in {visited} visits, {} named in code",
            first.len(),
            named.len()
        ));
        if total < NOTHING_TO_SPLIT && later.is_empty() {
            return not_applicable(format!(
                "all scripts together have {} KiB: there is nothing worth splitting",
                total.div_ceil(1024)
            ));
        }
        if visited == 0 && later.len() < CHUNKS {
            return unclear(format!(
                "{start} leads to no other page, so that nothing could be visited: name more in [check] paths"
            ));
        }
        cases.plan_more(3);
        let kib = |bytes: u64| bytes.div_ceil(1024);
        cases.tried(
            later.len() >= CHUNKS,
            format!("{} scripts come later than at the first visit of {start} ({} KiB)", later.len(), kib(own)),
        );
        cases.tried(
            own < total || !named.is_empty(),
            format!("the first visit loads {} of {} KiB", kib(own), kib(total)),
        );
        if fetched > 0 {
            cases.tried(true, format!("{visited} visits fetched {fetched} scripts"));
        } else {
            cases.told_nothing(format!("{visited} visits fetched no script: name pages that do in [check] paths"));
        }
        Ok(format!(
            "the first visit loads {} scripts with {} KiB; {} more come later, {fetched} of them seen in {visited} visits ({} KiB in all)",
            first.len(),
            kib(own),
            later.len(),
            kib(total)
        ))
    })
}

/// Everything that was loaded after the first visit as well, and how many more visits there were.
async fn go_on(
    visit: &Visit<'_>,
    page: &Page,
    first: &BTreeMap<String, u64>,
) -> Result<(BTreeMap<String, u64>, usize), Stop> {
    let start = &visit.pages[0];
    let mut all = first.clone();
    let mut visited = 0;
    // Followed as a person does, so that what is fetched is what the page's own code asks for.
    for name in calls::own_links(page).await?.into_iter().take(LINKS) {
        visit.open(page, start).await?;
        let Some(link) = page.controls().await?.into_iter().find(|one| one.role == "link" && one.name == name) else {
            continue;
        };
        if page.press(&link).await.is_err() {
            continue;
        }
        page.settle(FOLLOWED).await;
        visited += 1;
        all.extend(scripts(visit, &page.observed().requests));
    }
    // Whole loads only where following links did not show enough.
    for path in visit.pages.iter().skip(1) {
        if all.len() >= first.len() + CHUNKS {
            break;
        }
        let opened = visit.open(page, path).await?;
        visited += 1;
        all.extend(scripts(visit, &opened.observed.requests));
    }
    Ok((all, visited))
}

/// Scripts of this site that were loaded, by address, with their sizes.
fn scripts(visit: &Visit<'_>, requests: &[Request]) -> BTreeMap<String, u64> {
    let loaded = requests.iter().filter(|one| one.kind == "Script" && visit.is_own(&one.url));
    let fine = loaded.filter(|one| one.answer.as_ref().is_some_and(|answer| answer.status == 200));
    fine.map(|one| (one.url.split('#').next().unwrap_or_default().to_owned(), one.size)).collect()
}

/// Chunks that loaded code names in `import("./x.js")`, as bundlers of modules leave it.
async fn chunks_named(visit: &Visit<'_>, page: &Page, requests: &[Request]) -> BTreeSet<String> {
    static IMPORTS: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r#"\bimport\(\s*["'`](\.{0,2}/[\w./@~+-]+\.m?js)["'`]\s*\)"#).expect("the pattern is valid")
    });
    let mut found = BTreeSet::new();
    for request in requests.iter().filter(|one| one.kind == "Script" && visit.is_own(&one.url)) {
        let Ok(text) = page.body(request).await else { continue };
        let folder = request.url.rsplit_once('/').map(|(folder, _)| folder).unwrap_or_default();
        for name in IMPORTS.captures_iter(&text).filter_map(|one| one.get(1)).map(|name| name.as_str()) {
            let url = match name.strip_prefix("./") {
                Some(name) => format!("{folder}/{name}"),
                None if name.starts_with("../") => continue,
                None => visit.address(name),
            };
            found.insert(url);
        }
    }
    found
}
