//! How traces and debug pages are known: by words that frameworks write and people do not.

use memchr::memmem;

/// A sign: what it is of, and words that all stand in such a text.
type Sign = (&'static str, &'static [&'static [u8]]);

/// Pages of a framework in debug mode. They show settings, code and sometimes a console, so they count for 4xx answers too.
const DEBUG_PAGES: &[Sign] = &[
    ("Django's debug page", &[b"DEBUG = True", b"Django"]),
    ("Werkzeug's debugger", &[b"__debugger__", b"Werkzeug"]),
    ("Werkzeug's debugger", &[b"Werkzeug Debugger", b"EVALEX"]),
    ("Starlette's debug page", &[b"traceback-container", b"Traceback"]),
    ("Rails' debug page", &[b"Rails.root:", b"Application Trace"]),
    ("Rails' list of routes", &[b"No route matches", b"Rails.root:"]),
    ("Laravel's debug page", &[b"Illuminate\\", b"/vendor/laravel/"]),
    ("Symfony's debug page", &[b"Symfony Exception", b"trace-"]),
    ("Whoops' debug page", &[b"Whoops", b"frame-file"]),
    ("ASP.NET's debug page", &[b"Stack Query Cookies Headers"]),
    (
        "ASP.NET's debug page",
        &[b"An unhandled exception occurred while processing the request.", b"<pre class=\"rawExceptionStackTrace\""],
    ),
    ("ASP.NET's debug page", &[b"Server Error in '/' Application.", b"<b>Stack Trace:</b>"]),
    ("Tomcat's report", &[b"Apache Tomcat/", b"<b>Exception</b>"]),
    ("Phoenix' debug page", &[b"Plug.Debugger"]),
    ("Next.js' development error", &[b"__NEXT_DATA__", b"\"err\":{\"name\"", b"\"stack\":\""]),
];

/// Traces, in HTML, text or JSON. An answer to a request that was right has none; in a 4xx one they may be what was asked
/// for, so they count in 5xx answers alone.
const TRACES: &[Sign] = &[
    ("a Python trace", &[b"Traceback (most recent call last)"]),
    ("a Go panic", &[b"goroutine ", b"[running]"]),
    ("a Rust panic", &[b"panicked at ", b".rs:"]),
    ("a PHP error", &[b"Stack trace:", b"#0 ", b".php"]),
    ("a PHP error", &[b"Fatal error", b" in ", b".php"]),
    ("a Java trace", &[b"\tat ", b".java:"]),
    ("a .NET trace", &[b"   at ", b" in ", b".cs:line "]),
    ("a Ruby trace", &[b".rb:", b":in `"]),
    ("a Ruby trace", &[b".rb:", b":in '"]),
];

/// So many places are looked at: a trace comes early, and a text can be made of nothing else.
const MOST_PLACES: usize = 2_000;

/// What this text shows of the inside, when it does. `server_error` is that the answer is a 5xx one.
pub(super) fn found(text: &[u8], server_error: bool) -> Option<&'static str> {
    let shows = |sign: &&Sign| sign.1.iter().all(|word| memmem::find(text, word).is_some());
    let page = DEBUG_PAGES.iter().find(shows);
    if !server_error {
        return page.map(|(what, _)| *what);
    }
    if let Some((what, _)) = page.or_else(|| TRACES.iter().find(shows)) {
        return Some(what);
    }
    frames(text)
}

/// Frames of Node and Java, one a line: two of them are no coincidence.
fn frames(text: &[u8]) -> Option<&'static str> {
    let (mut node, mut java) = (0, 0);
    let mut rest = text;
    for _ in 0..MOST_PLACES {
        let Some(place) = memmem::find(rest, b"at ") else { break };
        let (before, after) = (&rest[..place], &rest[place + 3..]);
        rest = after;
        // `<br> &nbsp; &nbsp;at `, `\n    at `, and the same inside of a JSON string.
        if !before.last().is_none_or(|byte| matches!(byte, b' ' | b';' | b'\t' | b'\n' | b'>' | b't')) {
            continue;
        }
        let line = &after[..after.len().min(400)];
        let end = line.iter().position(|byte| matches!(byte, b'\n' | b'<' | b'"')).unwrap_or(line.len());
        let escaped = memmem::find(&line[..end], b"\\n").unwrap_or(end);
        let line = &line[..escaped];
        node += usize::from(ends_with_place(line));
        java +=
            usize::from(memmem::find(line, b".java:").is_some() || memmem::find(line, b"(Native Method)").is_some());
    }
    match (node, java) {
        (2.., _) => Some("a Node trace"),
        (_, 2..) => Some("a Java trace"),
        _ => None,
    }
}

/// `fn (/app/index.js:10:7)`: a path, a line and a column at the end.
fn ends_with_place(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    let line = line.strip_suffix(b")").unwrap_or(line);
    let digits = |line: &[u8]| line.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let column = digits(line);
    let Some(line) = line[..line.len() - column].strip_suffix(b":").filter(|_| column > 0) else { return false };
    let row = digits(line);
    let Some(file) = line[..line.len() - row].strip_suffix(b":").filter(|_| row > 0) else { return false };
    // Hours, minutes and seconds look the same.
    let script = |ending: &&[u8]| file.ends_with(ending);
    [&b"js"[..], b"ts", b"jsx", b"tsx", b"<anonymous>"].iter().any(script) || memmem::find(file, b"node:").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &[(&str, &str)] = &[
        ("a Python trace", "<pre>Traceback (most recent call last):\n  File \"/app/main.py\", line 3"),
        ("a Python trace", "{\"error\":\"Traceback (most recent call last):\\n  File\"}"),
        (
            "a Node trace",
            "<pre>Error: no<br> &nbsp; &nbsp;at /app/server.js:7:9<br> &nbsp; &nbsp;at Layer.handle (/app/node_modules/express/lib/router/layer.js:95:5)</pre>",
        ),
        (
            "a Node trace",
            "{\"stack\":\"Error: x\\n    at a (/app/a.js:1:2)\\n    at async b (file:///app/b.mjs:3:4)\"}",
        ),
        ("a Java trace", "java.lang.IllegalStateException: no\n\tat com.example.Shop.pay(Shop.java:12)\n"),
        ("a Java trace", "{\"trace\":\"x.E\\n\\tat com.a.B.c(B.java:1)\\n\\tat com.a.B.d(B.java:2)\"}"),
        ("a Ruby trace", "app/models/user.rb:12:in `name'"),
        ("a Ruby trace", "app/models/user.rb:12:in 'User#name'"),
        ("a Go panic", "panic: x\n\ngoroutine 7 [running]:\nmain.main()"),
        ("a PHP error", "PHP Fatal error:  Uncaught Error: x in /var/www/index.php:3\nStack trace:\n#0 {main}"),
        ("a .NET trace", "System.Exception: no\n   at Shop.Pay() in /src/Shop.cs:line 12"),
        ("a Rust panic", "thread 'main' panicked at src/main.rs:2:5"),
        (
            "Django's debug page",
            "<p>You’re seeing this error because you have <code>DEBUG = True</code> in your Django settings file.",
        ),
        ("Werkzeug's debugger", "<title>ZeroDivisionError // Werkzeug Debugger</title><script>var EVALEX = true"),
    ];

    #[test]
    fn traces_and_debug_pages_are_known() {
        for (what, text) in SHOWN {
            assert_eq!(found(text.as_bytes(), true), Some(*what), "{text}");
        }
    }

    #[test]
    fn what_people_write_is_let_through() {
        for text in [
            "{\"detail\":\"Look at the clock at 10:20:30, or at noon.\"}",
            "<h1>Something went wrong</h1><p>Call us at 08:00:00</p>",
            "{\"failed\":\"at 2026-01-01T10:20:30\",\"again\":\"at 2026-01-01T10:25:30\",\"last\":\"at 10:30:00\"}",
            "{\"error\":\"cannot parse main.py\",\"line\":3}",
            "Our debugger is at Werkstrasse 7. The DEBUG flag is off.",
            "",
        ] {
            assert_eq!(found(text.as_bytes(), true), None, "{text}");
        }
    }

    #[test]
    fn a_client_error_may_hold_a_trace_that_was_asked_for_but_no_debug_page() {
        let trace = b"{\"output\":\"Traceback (most recent call last)\"}";
        assert_eq!(found(trace, false), None);
        assert!(
            found(b"<h1>Page not found</h1> because you have DEBUG = True in your Django settings file", false)
                .is_some()
        );
    }

    /// No bytes make it fail.
    #[test]
    fn random_bytes_are_looked_at() {
        let mut random = fastrand::Rng::with_seed(17);
        let pieces: [&[u8]; 10] = [b"at ", b":1:2", b"\n", b"\\n", b")", b"\"", b"<", b"\t", b".java:", b"\xff"];
        for _ in 0..20_000 {
            let text: Vec<u8> =
                (0..random.usize(..20)).flat_map(|_| pieces[random.usize(..pieces.len())].to_vec()).collect();
            found(&text, random.bool());
        }
    }
}
