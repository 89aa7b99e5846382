//! `frontend.bundle-analysis`: what a first visit loads is measured against a budget, and the pipeline holds one as well.

use std::io;

use seaworthy_browser::{BrowserError, Page, Request};

use super::{PageProbe, Stop, budgets, html, not_applicable, not_tried, site, unclear};
use crate::{
    browsing::Visit,
    fixture,
    probe::{Cases, Working},
    subject::Fixture,
};

pub(super) const PROBE: PageProbe = PageProbe { control: "frontend.bundle-analysis", look, present, absent };

const LIMIT: &str = r#"{"scripts": {"size": "size-limit"}, "size-limit": [{"path": "dist/*.js", "limit": "180 kB"}]}"#;
const PIPELINE: &str = "on: push\njobs:\n  web:\n    runs-on: ubuntu-latest\n    steps:\n      - run: npm run size\n";

fn present() -> io::Result<Fixture> {
    known(PIPELINE)
}

// The common mistake: a limit is written down, and nothing runs it.
fn absent() -> io::Result<Fixture> {
    known("on: push\njobs:\n  web:\n    runs-on: ubuntu-latest\n    steps:\n      - run: npm test\n")
}

fn known(pipeline: &str) -> io::Result<Fixture> {
    let folder = fixture::folder(&[("package.json", LIMIT), (".github/workflows/ci.yml", pipeline)])?;
    let script = "function used(){document.body.append('x')}used();function unused(){return 'never run'}";
    let mut fixture =
        site(vec![("/", html("<h1>App</h1><script src=\"/app.js\"></script>")), ("/app.js", script.into())])?;
    fixture.subject.repo = folder.subject.repo.clone();
    Ok(fixture.keep(folder))
}

/// What a first visit loads.
struct Weight {
    scripts: usize,
    styles: usize,
    /// Bytes, compressed.
    compressed: u64,
    /// Bytes, as they are run.
    size: u64,
    /// Parts that came as they are.
    uncompressed: usize,
}

fn look<'a>(visit: &'a Visit<'a>, cases: &'a mut Cases) -> Working<'a, Result<String, Stop>> {
    Box::pin(async move {
        let page = visit.page().await?;
        page.count_usage().await?;
        let opened = visit.open(&page, &visit.pages[0]).await?;
        let own = opened.observed.requests.iter().filter(|one| matches!(one.kind.as_str(), "Script" | "Stylesheet"));
        let own: Vec<&Request> = own.filter(|one| one.answer.is_some()).collect();
        if own.is_empty() {
            return not_applicable(format!("{} loads no script and no style: there is no bundle", visit.pages[0]));
        }
        let usage = page.usage(|address| !address.is_empty()).await?;
        let weight = weigh(&page, &own).await?;
        let budget = visit.subject.hints.script_budget;
        let kib = |bytes: u64| bytes.div_ceil(1024);
        let said = format!(
            "{} loads {} scripts and {} styles: {} KiB compressed of a budget of {} KiB ({} KiB as they are run, {:.0}% of \
             the scripts unused)",
            visit.pages[0],
            weight.scripts,
            weight.styles,
            kib(weight.compressed),
            kib(budget),
            kib(weight.size),
            usage.unused() * 100.0
        );
        visit.note(format!("{said}; {} came uncompressed", weight.uncompressed));
        cases.plan_more(1);
        cases.tried(weight.compressed <= budget, said.clone());
        if cases.is_broken() {
            return Err(Stop::Here);
        }
        let held = repository(visit, cases).await?;
        Ok(format!("{said}; {held}"))
    })
}

/// A limit that the pipeline holds.
async fn repository(visit: &Visit<'_>, cases: &mut Cases) -> Result<String, Stop> {
    let Some(repo) = visit.subject.repo.clone() else {
        return not_tried(
            "the pages are within their budget; whether a pipeline holds one is in the source: name it with --repo",
        );
    };
    let (source, run_code) = (visit.subject.source.clone(), visit.subject.run_code);
    let reading = tokio::task::spawn_blocking(move || {
        let repository = source.open(&repo, run_code)?;
        Ok::<_, String>((budgets::find(&repository), repository.not_whole()))
    });
    let (budget, not_whole) = match reading.await {
        Ok(Ok(found)) => found,
        Ok(Err(why)) => return unclear(why),
        Err(error) => return unclear(format!("reading the source broke off: {error}")),
    };
    cases.plan_more(1);
    match budget {
        Some(budgets::Budget { tool, place, run_by: Some(by) }) => {
            let held = format!("{tool} holds a limit ({}) in {by}", place.display());
            cases.tried(true, held.clone());
            Ok(held)
        }
        Some(budgets::Budget { tool, place, run_by: None }) => {
            cases.tried(false, format!("{} has a limit for {tool}, and no pipeline runs it", place.display()));
            Ok(String::new())
        }
        None => match not_whole {
            Some(why) => unclear(why),
            None => {
                cases.tried(false, "nothing in the source holds the size against a limit (size-limit, bundlesize, budgets of the build)");
                Ok(String::new())
            }
        },
    }
}

/// Compressed sizes, whether the server compresses or not: that is another control.
async fn weigh(page: &Page, own: &[&Request]) -> Result<Weight, BrowserError> {
    let mut weight = Weight { scripts: 0, styles: 0, compressed: 0, size: 0, uncompressed: 0 };
    for request in own {
        if request.kind == "Script" {
            weight.scripts += 1;
        } else {
            weight.styles += 1;
        }
        weight.size += request.size;
        let packed = request.header("content-encoding").is_some_and(|coding| coding != "identity");
        if packed || request.size < 1024 {
            weight.compressed += request.transferred;
            continue;
        }
        weight.uncompressed += 1;
        let text = page.body(request).await.unwrap_or_default();
        let script = format!(
            "new Response(new Blob([{}]).stream().pipeThrough(new CompressionStream('gzip'))).arrayBuffer().then(all => all.byteLength)",
            serde_json::Value::String(text)
        );
        weight.compressed += page.evaluate(&script).await?.as_u64().unwrap_or(request.transferred);
    }
    Ok(weight)
}
