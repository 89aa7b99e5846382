//! Whether a file's name carries a hash of its content, so that the name changes whenever the content does.
//!
//! A wrong yes keeps an old file in people's browsers for a year; a wrong no costs one answer without a body. So a name
//! counts only when it looks like a bundler's and hardly like a person's: dates, versions, product names (`Web3Auth`),
//! UUIDs do not. `files.immutable` is for folders where that is too careful.

/// What bundlers write as hexadecimal digests: eight characters and more of MD5 to SHA-256.
const DIGESTS: [usize; 8] = [8, 10, 12, 16, 20, 32, 40, 64];

/// Digests that are a whole name. 32 is left out: uploads are often named by a UUID without its dashes.
const WHOLE_DIGESTS: [usize; 4] = [16, 20, 40, 64];

/// Folders in which every file is named or versioned by its build.
const IMMUTABLE_FOLDERS: [&str; 2] = ["/_next/static/", "/_app/immutable/"];

/// Folders that bundlers fill with scripts and styles.
const BUNDLER_FOLDERS: [&str; 4] = ["/assets/", "/_astro/", "/_nuxt/", "/chunks/"];

/// Looks at the path of a request.
pub(crate) fn is_hashed(path: &str) -> bool {
    if IMMUTABLE_FOLDERS.iter().any(|folder| path.contains(folder)) {
        return true;
    }
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (&path[..=folder.len()], name));
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    if ends_in_uuid(stem) {
        return false;
    }
    let code = matches!(extension, "js" | "mjs" | "css" | "map");
    let bundled = code && BUNDLER_FOLDERS.iter().any(|known| folder.contains(known));
    let words = if bundled { 3 } else { 4 };
    stem.split('.').enumerate().any(|(index, part)| {
        let tail = part.rsplit('-').next().unwrap_or(part);
        let whole = index == 0 && tail.len() == part.len();
        let digest = is_digest(tail) && (!whole || WHOLE_DIGESTS.contains(&tail.len()));
        let eight = last_eight(part, index == 0 && !folder.contains("/_nuxt/"));
        digest || eight.is_some_and(|eight| is_base64(eight, words) || (code && is_base32(eight)))
    })
}

/// Rollup and esbuild: eight characters after a dash or a dot. Base64url has dashes of its own, so counting from the end
/// is the only way.
fn last_eight(part: &str, needs_name: bool) -> Option<&str> {
    match part.len().checked_sub(8)? {
        0 => (!needs_name).then_some(part),
        1 => None,
        start => part.get(..start)?.ends_with('-').then(|| part.get(start..)).flatten(),
    }
}

/// Lower-case hexadecimal digits of a digest's length, mixed as no date, part number or month is.
fn is_digest(token: &str) -> bool {
    let digits = |byte: u8| byte.is_ascii_digit();
    let hexadecimal = token.bytes().all(|byte| digits(byte) || (b'a'..=b'f').contains(&byte));
    let least = match token.len() {
        8 if token.starts_with("19") || token.starts_with("20") => 3,
        8 => 2,
        10 | 12 => 3,
        _ => 4,
    };
    DIGESTS.contains(&token.len())
        && hexadecimal
        && changes(token, digits) >= least
        && (token.len() > 12 || !(token.contains("feb") || token.contains("dec")))
}

/// Base64url of both cases that falls into more words and numbers than a person would put into eight characters.
fn is_base64(token: &str, least_words: usize) -> bool {
    let allowed = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let both =
        token.bytes().any(|byte| byte.is_ascii_uppercase()) && token.bytes().any(|byte| byte.is_ascii_lowercase());
    let year =
        (token.starts_with("19") || token.starts_with("20")) && token.bytes().take(4).all(|b| b.is_ascii_digit());
    allowed && both && !year && words(token) >= least_words
}

/// Upper-case Base32 (RFC 4648, 6) with a digit inside, as esbuild writes it.
fn is_base32(token: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit();
    token.bytes().all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte)) && changes(token, digit) >= 2
}

/// How often neighbours differ in a property.
fn changes(token: &str, property: impl Fn(u8) -> bool) -> usize {
    token.as_bytes().windows(2).filter(|pair| property(pair[0]) != property(pair[1])).count()
}

/// Words (`Grid`, `API`, `view`) and numbers, as a reader would split them.
fn words(token: &str) -> usize {
    let mut previous = b'-';
    let mut count = 0;
    for byte in token.bytes() {
        let continues = match byte {
            b'A'..=b'Z' => previous.is_ascii_uppercase(),
            b'a'..=b'z' => previous.is_ascii_alphabetic(),
            b'0'..=b'9' => previous.is_ascii_digit(),
            _ => true,
        };
        count += usize::from(!continues);
        previous = byte;
    }
    count
}

fn ends_in_uuid(stem: &str) -> bool {
    let Some(tail) = stem.len().checked_sub(36).and_then(|start| stem.get(start..)) else { return false };
    let groups = tail.split('-').map(str::len);
    groups.eq([8, 4, 4, 4, 12]) && tail.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundlers_names_are_recognised() {
        for path in [
            "/assets/index-BxY12abc.js",        // Vite, Rollup 4
            "/assets/index-B-Y12_bc.css",       // a dash and an underscore in the hash
            "/assets/vendor-Kd4TzxqP.js.map",   // a map of it
            "/assets/index.3f2a9c1b.js",        // Vite 2
            "/assets/index-3f2a9c1b.css",       // Vite 3
            "/static/js/main.3f2a9c1b.js",      // webpack
            "/static/js/787.3f2a9c1b.chunk.js", // Create React App
            "/static/media/logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg",
            "/3f2a9c1b5d6e7f801a2b.png",     // webpack's asset modules
            "/main.3f2a9c1b5d6e7f80.js",     // Angular
            "/chunk-GAL4ENT6.js",            // esbuild
            "/static/base.27e20196a850.css", // Django
            "/assets/application-1f4f0b5c1bd6c1a0e1c2f9d8b7a69584736251403f2e1d0c9b8a796857463524.js", // Rails
            "/_next/static/chunks/main-app.js", // Next.js names its folder
            "/docs/_next/static/Tx1v9/_buildManifest.js",
            "/_app/immutable/entry/start.js", // SvelteKit
            "/_nuxt/BxY12abc.js",             // Nuxt 3
            "/_astro/page.BxY12abc.css",
            "/css/main.min.9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.css", // Hugo
        ] {
            assert!(is_hashed(path), "{path}");
        }
    }

    #[test]
    fn peoples_names_are_not() {
        for path in [
            "/jquery-3.7.1.js",
            "/jquery-3.7.1.min.js",
            "/report-20240101.pdf",
            "/report.20240101.pdf",
            "/report-2024-01-01.pdf",
            "/report-24-01-01.pdf",
            "/report-2024feb1.pdf",
            "/report-1feb2024.pdf",
            "/report-2024Q1v2.pdf",
            "/log-20240101T101530Z.txt",
            "/deadbeef.js",
            "/coffee-deadbeef.js",
            "/3f2a9c1b.js",
            "/font-Inter400.woff2",
            "/vendor-DataGrid.js",
            "/assets/vendor-DataGrid.js",
            "/vendor-Web3Auth.js",
            "/icon-iPhone15.svg",
            "/codec-H264High.wasm",
            "/clip-Mp3Audio.js",
            "/vendor-B2BSales.js",
            "/model-resnet50.onnx",
            "/image-1024x768.png",
            "/README-CONTRACT.txt",
            "/photo-IMG20240.jpg",
            "/part-a1234567.pdf",
            "/lib-1-10-2b.js",
            "/calendar-settings.js",
            "/123e4567-e89b-12d3-a456-42661417abf0.jpg",
            "/avatar-123e4567-e89b-12d3-a456-42661417abf0.jpg",
            "/3f2a9c1b5d6e4f801a2b3c4d5e6f7081.jpg",
            "/manifest.json",
            "/favicon.ico",
            "/_nuxt/builds/latest.json",
            "/_app/version.json",
            "/next/static/a.js",
            "/BxY12abc.js",
            "/index-BxY12abc",
            "/café-überübe.js",
            "/-.js",
            "/.",
            "",
        ] {
            assert!(!is_hashed(path), "{path}");
        }
    }

    #[test]
    fn most_random_hashes_are_recognised() {
        let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']).collect();
        let mut random = fastrand::Rng::with_seed(3);
        let mut share = |folder: &str| {
            let hash = |random: &mut fastrand::Rng| (0..8).filter_map(|_| random.choice(&alphabet)).collect::<String>();
            (0..2000).filter(|_| is_hashed(&format!("{folder}/index-{}.js", hash(&mut random)))).count()
        };
        assert!(share("/assets") > 1600, "Vite's own folder");
        assert!(share("") > 1200);
    }

    #[test]
    fn no_word_of_letters_is_taken_for_a_hash() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..2000 {
            let word: String = (0..8).map(|_| random.lowercase()).collect();
            let title = word[..1].to_uppercase() + &word[1..];
            for name in [&word, &title, &word.to_uppercase()] {
                assert!(!is_hashed(&format!("/assets/chunk-{name}.js")), "{name}");
            }
        }
    }
}
