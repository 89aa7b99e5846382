//! File names: which are safe for every system that may see them, and a safe one in place of one that is not.

/// Longer names do not fit most file systems.
const LONGEST: usize = 255;
/// Names that Windows gives to devices, with every extension.
const DEVICES: [&str; 22] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "lpt1", "lpt2",
    "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];
/// Extensions that some server, desktop or browser runs, wherever in the name they stand.
const RUN: [&str; 44] = [
    "php", "php3", "php4", "php5", "php7", "php8", "phtml", "phar", "pht", "asp", "aspx", "ashx", "asmx", "cer", "jsp",
    "jspx", "jsw", "cgi", "pl", "py", "rb", "sh", "bash", "ps1", "bat", "cmd", "com", "exe", "scr", "pif", "msi",
    "dll", "jar", "vbs", "vbe", "js", "mjs", "wsf", "hta", "lnk", "htm", "html", "shtml", "htaccess",
];

/// Why a name is not safe; `None`: it is.
pub(crate) fn fault(name: &str) -> Option<&'static str> {
    let decoded = percent_decoded(name);
    of_one(name).or_else(|| decoded.as_deref().and_then(of_one))
}

fn of_one(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > LONGEST {
        return Some("it is empty, or longer than 255 bytes");
    }
    if name.chars().any(|one| one.is_control() || is_invisible(one)) {
        return Some("it has characters that are not shown, or that turn the direction of text");
    }
    if name.contains(['/', '\\', ':']) || name.contains("..") {
        return Some("it is a path");
    }
    if name.starts_with(['.', ' ', '~', '-']) || name.ends_with(['.', ' ']) {
        return Some("it begins or ends with a dot, a space, or a sign that shells understand");
    }
    if name.contains(['<', '>', '"', '|', '?', '*']) {
        return Some("it has characters that systems understand as something else");
    }
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    if DEVICES.contains(&stem.as_str()) {
        return Some("it is the name of a device");
    }
    inner(name).any(|part| RUN.contains(&part.as_str())).then_some("it has a second extension, of files that are run")
}

/// A safe name that resembles this one, with the same last extension.
pub(crate) fn clean(name: &str) -> String {
    let decoded = percent_decoded(name);
    let last = decoded.as_deref().unwrap_or(name).rsplit(['/', '\\']).next().unwrap_or_default();
    let plain = |one: char| one.is_alphanumeric() || matches!(one, '.' | '-' | '_' | ' ' | '(' | ')' | '+' | ',');
    let mapped: String =
        last.chars().filter(|one| !is_invisible(*one)).map(|one| if plain(one) { one } else { '_' }).collect();
    let trimmed = mapped.trim_end_matches(['.', ' ']).trim_start_matches(['.', ' ', '-']);
    let (stem, extension) = trimmed.rsplit_once('.').unwrap_or((trimmed, ""));
    // One dot is left: whatever stood before it is no extension any more. Lengths hold for characters of four bytes too.
    let mut stem: String = stem.replace('.', "_").chars().take(50).collect();
    if stem.trim().is_empty() || DEVICES.contains(&stem.trim_end().to_ascii_lowercase().as_str()) {
        stem.insert_str(0, "file_");
    }
    let extension: String = extension.chars().take(10).collect();
    let name = if extension.is_empty() { stem } else { format!("{stem}.{extension}") };
    name.trim_end().to_owned()
}

/// What stands between the first and the last dot, in lower case.
fn inner(name: &str) -> impl Iterator<Item = String> {
    let parts: Vec<&str> = name.split('.').collect();
    let end = parts.len().saturating_sub(1);
    parts.into_iter().take(end).skip(1).map(|part| part.trim().to_ascii_lowercase()).collect::<Vec<_>>().into_iter()
}

/// Turns direction, joins, or shows nothing (Unicode's bidirectional controls, zero-width characters).
fn is_invisible(one: char) -> bool {
    matches!(one, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}' | '\u{61c}')
}

/// As an app may decode it; `None` when nothing changes. What is no UTF-8 then becomes a control character.
fn percent_decoded(name: &str) -> Option<String> {
    name.contains('%').then_some(())?;
    let (bytes, mut out, mut at) = (name.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        match hex.filter(|_| bytes[at] == b'%') {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    let text = String::from_utf8(out).unwrap_or_else(|_| "\u{0}".into());
    (text != name).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_safe() {
        for name in [
            "a.pdf",
            "Bericht Q3 (final).docx",
            "résumé.v1.2.pdf",
            "写真.jpg",
            "backup.tar.gz",
            "100%.png",
            "a%b.txt",
            "com.png.txt",
        ] {
            assert_eq!(fault(name), None, "{name}");
        }
    }

    #[test]
    fn whatever_is_cleaned_is_safe() {
        let alphabet: Vec<char> = "a.b/\\ -~%20:con1\u{0}\u{202e}\u{1f600}ü漢\"?php".chars().collect();
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let name: String = (0..random.usize(0..90)).map(|_| alphabet[random.usize(0..alphabet.len())]).collect();
            let cleaned = clean(&name);
            assert_eq!(fault(&cleaned), None, "{name:?} became {cleaned:?}");
        }
        assert_eq!(fault(&clean(&"漢.".repeat(300))), None);
        assert_eq!(clean("com1 .txt"), "file_com1 .txt");
    }

    #[test]
    fn unsafe_names_are_not_and_are_made_safe() {
        for (name, cleaned) in [
            ("../../etc/passwd.txt", "passwd.txt"),
            ("C:\\Users\\x.png", "x.png"),
            ("/etc/passwd", "passwd"),
            ("..%2f..%2fx.png", "x.png"),
            ("x.php.jpg", "x_php.jpg"),
            ("x.PHP .jpg", "x_PHP .jpg"),
            ("a.png.", "a.png"),
            ("a.png ", "a.png"),
            ("invoice\u{202e}gpj.exe", "invoicegpj.exe"),
            ("con.txt", "file_con.txt"),
            ("LPT1.pdf", "file_LPT1.pdf"),
            (".htaccess", "htaccess"),
            ("a.png:stream", "a.png_stream"),
            ("-rf.txt", "rf.txt"),
            ("a?b*.txt", "a_b_.txt"),
            ("", "file_"),
        ] {
            assert!(fault(name).is_some(), "{name}");
            assert_eq!(clean(name), cleaned, "{name}");
            assert_eq!(fault(cleaned), None, "{cleaned}");
        }
        assert!(fault("a.php%00.png").is_some());
        assert!(fault(&"x".repeat(256)).is_some());
        assert!(fault("a%ff.png").is_some());
    }
}
