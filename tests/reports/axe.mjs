// Opens the HTML report in Chromium as people read it (desktop, phone, dark, print, filtered) and fails on any axe
// violation, on sideways scrolling, on anything that the page's own policy refuses, and on any request.
//
//   cargo run -p seaworthy-report --example sample_reports -- target/sample-reports
//   node tests/reports/axe.mjs target/sample-reports/readiness.html [FOLDER FOR SCREENSHOTS]
// --control breaks the page first, and every view must find it out.
//
// Needs playwright-core and axe-core in target/test-node, and Debian's chromium.
// Exit status: 0 all well, 1 something is not, 2 a program or file is missing.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const modules = process.env.SEAWORTHY_TEST_NODE ?? join(root, "target/test-node");
const require = createRequire(join(modules, "package.json"));
const browserPath = "/usr/bin/chromium";
const control = process.argv.includes("--control");
const [report, pictures] = process.argv.slice(2).filter((one) => one !== "--control");

function missing(what) {
  console.error(what);
  process.exit(2);
}

if (!report || !existsSync(report)) missing("usage: axe.mjs [--control] REPORT.html [FOLDER]");
if (!existsSync(browserPath)) missing("chromium is missing: apt-get install chromium");
let chromium, axe;
try {
  ({ chromium } = require("playwright-core"));
  axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
} catch (error) {
  missing(`${error.message}: npm install --prefix target/test-node playwright-core axe-core`);
}

const folder = mkdtempSync(join(tmpdir(), "seaworthy-axe-"));
const pagePath = join(folder, "readiness.html");
const spoiled = (text) => text
  .replace('<html lang="en">', "<html>")
  .replace("</footer>", '<img src="missing.png"><div style="width: 3000px">wide</div></footer>');
const whole = readFileSync(report, "utf8");
writeFileSync(pagePath, control ? spoiled(whole) : whole);

const desktop = { width: 1280, height: 900 };
const phone = { width: 390, height: 844 };
const views = [
  { name: "desktop", viewport: desktop },
  { name: "desktop-dark", viewport: desktop, colorScheme: "dark" },
  { name: "phone", viewport: phone },
  { name: "phone-dark", viewport: phone, colorScheme: "dark" },
  { name: "narrow", viewport: { width: 320, height: 640 } },
  { name: "print", viewport: { width: 720, height: 1000 }, media: "print" },
  { name: "only-fail", viewport: desktop, fragment: "#only-fail" },
  { name: "only-claim-phone", viewport: phone, fragment: "#only-claim" },
];

/** What is wrong with one way to look at the page. */
async function look(browser, view) {
  const wrong = [];
  // The page's policy refuses every script, also axe: its own run is the one thing that is let through.
  const context = await browser.newContext({
    viewport: view.viewport,
    colorScheme: view.colorScheme ?? "light",
    bypassCSP: true,
    offline: true,
  });
  const page = await context.newPage();
  page.on("request", (request) => {
    if (request.url().split("#")[0] !== pathToFileURL(pagePath).href) wrong.push(`it asked for ${request.url()}`);
  });
  await page.emulateMedia({ media: view.media ?? "screen" });
  await page.goto(pathToFileURL(pagePath).href + (view.fragment ?? ""));
  const sideways = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (sideways > 0) wrong.push(`it is ${sideways} pixels too wide`);
  if (view.media === "print") {
    const hidden = await page.evaluate(() => [...document.querySelectorAll("pre")].filter((one) => one.offsetHeight === 0).length);
    if (hidden > 0) wrong.push(`${hidden} transcripts are not on paper`);
  }
  if (view.fragment === "#only-fail") {
    const shown = await page.evaluate(() => [...document.querySelectorAll("article")].filter((one) => one.offsetHeight > 0).map((one) => one.className));
    if (shown.length === 0 || shown.some((name) => !name.includes("is-fail"))) wrong.push("the filter shows something else");
  }
  if (pictures) {
    await page.screenshot({ path: join(pictures, `${view.name}.png`) });
    await page.screenshot({ path: join(pictures, `${view.name}-whole.png`), fullPage: true });
  }
  // Transcripts too are judged.
  await page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));
  await page.evaluate(axe);
  const judged = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  for (const violation of judged.violations) {
    const nodes = violation.nodes.slice(0, 3).map((node) => `${node.target.join(" ")}: ${node.any[0]?.message ?? node.html.slice(0, 120)}`);
    wrong.push(`axe ${violation.id} (${violation.impact}, ${violation.nodes.length}): ${nodes.join(" | ")}`);
  }
  if (judged.passes.length < 15) wrong.push(`axe looked at ${judged.passes.length} rules only`);
  await context.close();
  return wrong;
}

/** With its policy in force: its own style is taken, and nothing is refused. */
async function underItsPolicy(browser) {
  const wrong = [];
  const page = await (await browser.newContext({ offline: true })).newPage();
  page.on("console", (message) => wrong.push(`console: ${message.text().slice(0, 200)}`));
  page.on("dialog", (dialog) => {
    wrong.push("a script ran");
    return dialog.dismiss();
  });
  await page.goto(pathToFileURL(pagePath).href);
  const rounded = await page.evaluate(() => getComputedStyle(document.querySelector(".summary")).borderRadius);
  if (rounded === "0px") wrong.push("its style is not applied");
  if (pictures) await page.pdf({ path: join(pictures, "print.pdf"), format: "A4" });
  return wrong;
}

if (pictures) mkdirSync(pictures, { recursive: true });
const browser = await chromium.launch({
  executablePath: browserPath,
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
let failed = 0;
try {
  for (const view of [...views, { name: "policy" }]) {
    const wrong = view.viewport ? await look(browser, view) : await underItsPolicy(browser);
    const bad = control ? (wrong.length ? [] : ["the page was broken, and nothing was found"]) : wrong;
    console.log(`${bad.length ? "FAIL" : "ok  "} ${view.name}`);
    bad.slice(0, 20).forEach((one) => console.log(`     ${one}`));
    failed += bad.length ? 1 : 0;
  }
} finally {
  await browser.close();
  rmSync(folder, { recursive: true });
}
console.log(`${views.length + 1 - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
