//! The parser: bytes go in as they come, parts come out with their places. It keeps a few KiB and no content.

use memchr::memmem::{Finder, find};

use super::{Part, disposition};
use crate::problems::{Refusal, TOO_LARGE, malformed};

/// Header fields of one part.
const HEAD: usize = 8 << 10;

/// What a form may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of one file.
    pub file: u64,
    /// Bytes of all files.
    pub total: u64,
    /// Files.
    pub files: usize,
    /// Bytes of all other fields.
    pub fields: u64,
    /// Parts of both kinds.
    pub parts: usize,
}

/// Reads one form.
pub(crate) struct Parser {
    /// `--boundary`.
    delimiter: Finder<'static>,
    limits: Limits,
    /// Bytes that are not understood yet, and where the first of them is in the body.
    pending: Vec<u8>,
    offset: u64,
    state: State,
    parts: Vec<Part>,
    /// Of files, and of fields, that are complete.
    sums: (u64, u64),
}

enum State {
    /// Before the first delimiter: nothing else may stand there.
    Start,
    /// Behind a delimiter: CRLF or `--`.
    Delimited,
    Head,
    Data,
    /// Behind the last delimiter: at most CRLF.
    End,
}

impl Parser {
    pub(crate) fn new(boundary: &str, limits: Limits) -> Self {
        let delimiter = Finder::new(format!("--{boundary}").as_bytes()).into_owned();
        Self { delimiter, limits, pending: Vec::new(), offset: 0, state: State::Start, parts: Vec::new(), sums: (0, 0) }
    }

    /// The next bytes of the body.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.pending.extend_from_slice(bytes);
        while self.step()? {}
        Ok(())
    }

    /// The parts, once the body is complete.
    pub(crate) fn finish(self) -> Result<Vec<Part>, Refusal> {
        match self.state {
            State::End if self.pending.is_empty() || self.pending == b"\r\n" => Ok(self.parts),
            State::End => malformed("Something stands behind the last delimiter."),
            _ => malformed("The form ends before its last delimiter."),
        }
    }

    /// Understands a little more; false: more bytes are needed.
    fn step(&mut self) -> Result<bool, Refusal> {
        match self.state {
            State::Start => self.start(),
            State::Delimited => self.delimited(),
            State::Head => self.head(),
            State::Data => self.data(),
            State::End if self.pending.len() > 2 => malformed("Something stands behind the last delimiter."),
            State::End => Ok(false),
        }
    }

    fn start(&mut self) -> Result<bool, Refusal> {
        let delimiter = self.delimiter.needle();
        let length = self.pending.len().min(delimiter.len());
        if self.pending[..length] != delimiter[..length] {
            return malformed("The form does not begin with its boundary.");
        }
        if length < delimiter.len() {
            return Ok(false);
        }
        self.consume(length);
        self.state = State::Delimited;
        Ok(true)
    }

    fn delimited(&mut self) -> Result<bool, Refusal> {
        let Some(two) = self.pending.get(..2) else { return Ok(false) };
        self.state = match two {
            b"\r\n" if self.parts.len() == self.limits.parts => {
                return Err(Refusal::new(TOO_LARGE, format!("There are more than {} parts.", self.limits.parts)));
            }
            b"\r\n" => State::Head,
            b"--" if self.parts.is_empty() => return malformed("The form has no parts."),
            b"--" => State::End,
            _ => return malformed("A boundary is followed by something else."),
        };
        self.consume(2);
        Ok(true)
    }

    fn head(&mut self) -> Result<bool, Refusal> {
        let end = find(&self.pending, b"\r\n\r\n");
        if end.unwrap_or(self.pending.len()) > HEAD {
            return malformed("The header fields of a part are too long.");
        }
        let Some(end) = end else { return Ok(false) };
        let Ok(text) = std::str::from_utf8(&self.pending[..end]) else {
            return malformed("The header fields of a part are not UTF-8.");
        };
        let mut part = read_head(text, self.offset)?;
        self.consume(end + 4);
        part.data = self.offset..self.offset;
        self.parts.push(part);
        let files = self.parts.iter().filter(|part| part.filename.is_some()).count();
        if files > self.limits.files {
            return Err(Refusal::new(TOO_LARGE, format!("There are more than {} files.", self.limits.files)));
        }
        self.state = State::Data;
        Ok(true)
    }

    fn data(&mut self) -> Result<bool, Refusal> {
        let found = self.delimiter.find(&self.pending);
        let Some(at) = found else {
            // The beginning of a delimiter, with CRLF before it, may be at the end.
            let keep = (self.delimiter.needle().len() + 1).min(self.pending.len());
            self.consume(self.pending.len() - keep);
            self.measure(self.offset)?;
            return Ok(false);
        };
        let length = self.delimiter.needle().len();
        let begin = self.parts.last().map_or(0, |part| part.data.start);
        // An empty part has its CRLF right behind the head, so `at` counts from there on in either case.
        if at < 2 || self.offset + at as u64 - 2 < begin || &self.pending[at - 2..at] != b"\r\n" {
            return malformed("The boundary stands in the middle of a part.");
        }
        let end = self.offset + at as u64 - 2;
        self.measure(end)?;
        if let Some(part) = self.parts.last_mut() {
            part.data.end = end;
            let size = end - part.data.start;
            if part.filename.is_some() { self.sums.0 += size } else { self.sums.1 += size }
        }
        self.consume(at + length);
        self.state = State::Delimited;
        Ok(true)
    }

    /// The last part reaches to here at least.
    fn measure(&self, end: u64) -> Result<(), Refusal> {
        let Some(part) = self.parts.last() else { return Ok(()) };
        let size = end.saturating_sub(part.data.start);
        let over = |what: &str, limit: u64| Err(Refusal::new(TOO_LARGE, format!("{what} may have {limit} bytes.")));
        if part.filename.is_none() {
            return if self.sums.1 + size > self.limits.fields {
                over("All fields together", self.limits.fields)
            } else {
                Ok(())
            };
        }
        if size > self.limits.file {
            return over("A file", self.limits.file);
        }
        if self.sums.0 + size > self.limits.total { over("All files together", self.limits.total) } else { Ok(()) }
    }

    fn consume(&mut self, length: usize) {
        self.pending.drain(..length);
        self.offset += length as u64;
    }
}

/// The header fields of a part, which begin at `offset` of the body.
fn read_head(text: &str, offset: u64) -> Result<Part, Refusal> {
    let (mut part, mut content_type) = (None, None);
    let mut at = 0;
    for line in text.split("\r\n") {
        let begin = at;
        at += line.len() + 2;
        if line.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
            return malformed("A header field of a part has a control character.");
        }
        let Some((name, value)) = line.split_once(':') else {
            return malformed("A header line of a part has no colon.");
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return malformed("The name of a part's header field is no token.");
        }
        match name.to_ascii_lowercase().as_str() {
            "content-disposition" if part.is_none() => {
                let value_at = offset + (begin + name.len() + 1) as u64;
                part = Some(read_disposition(value, value_at)?);
            }
            "content-type" if content_type.is_none() => content_type = Some(value.trim().to_ascii_lowercase()),
            "content-disposition" | "content-type" => return malformed(format!("A part has {name} twice.")),
            // RFC 7578, 4.7: it is deprecated; decoded by some, and by others not.
            "content-transfer-encoding"
                if !["binary", "8bit", "7bit"].contains(&value.trim().to_ascii_lowercase().as_str()) =>
            {
                return malformed("A part has an encoding of its own.");
            }
            _ => {}
        }
    }
    let Some(mut part) = part else { return malformed("A part has no Content-Disposition.") };
    if content_type.as_deref().is_some_and(|kind: &str| kind.starts_with("multipart/") || kind.starts_with("message/"))
    {
        return malformed("A part has parts of its own.");
    }
    let plain = |kind: &str| kind.starts_with("text/plain") || kind.starts_with("application/json");
    if part.filename.is_none() && content_type.as_deref().is_some_and(|kind| !plain(kind)) {
        return malformed(
            "A part has a type of its own and no file name: some take it for a file, others for a field.",
        );
    }
    part.content_type = content_type.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_owned());
    Ok(part)
}

fn read_disposition(value: &str, value_at: u64) -> Result<Part, Refusal> {
    let (kind, rest) = value.split_once(';').unwrap_or((value, ""));
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return malformed("A part is not form-data.");
    }
    let rest_at = value_at + (value.len() - rest.len()) as u64;
    let (mut name, mut filename, mut filename_at) = (None, None, 0..0);
    for (key, value, range) in disposition::parameters(rest)? {
        match key.as_str() {
            "name" if name.is_none() => name = Some(value),
            "filename" if filename.is_none() => {
                filename = Some(value);
                filename_at = rest_at + range.start as u64..rest_at + range.end as u64;
            }
            _ => {
                return malformed(format!(
                    "A part's Content-Disposition has `{key}` twice, or a `{key}` that is unknown."
                ));
            }
        }
    }
    let Some(name) = name else { return malformed("A part has no name.") };
    Ok(Part { name, filename, filename_at, content_type: None, data: 0..0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { file: 10, total: 15, files: 2, fields: 20, parts: 4 };

    /// The parts, in every way of cutting the body; or the code of the refusal.
    fn read(body: &str) -> Result<Vec<Part>, &'static str> {
        let with = |step: usize| {
            let mut parser = Parser::new("XY", LIMITS);
            body.as_bytes().chunks(step).try_for_each(|piece| parser.push(piece))?;
            parser.finish()
        };
        let whole = with(body.len().max(1)).map_err(|refusal| refusal.kind.code);
        for step in 1..9 {
            assert_eq!(with(step).map_err(|refusal| refusal.kind.code), whole, "in pieces of {step}: {body}");
        }
        whole
    }

    fn file(content: &str) -> String {
        format!(
            "--XY\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n{content}\r\n"
        )
    }

    #[test]
    fn parts_and_their_places() {
        let body =
            format!("{}--XY\r\ncontent-disposition: form-data; name=n\r\n\r\n\r\n--XY--\r\n", file("12\r\n--X34"));
        let parts = read(&body).unwrap();
        assert_eq!(parts.len(), 2);
        let text = |range: &std::ops::Range<u64>| &body[range.start as usize..range.end as usize];
        assert_eq!((text(&parts[0].data), text(&parts[0].filename_at)), ("12\r\n--X34", "a.txt"));
        assert_eq!((parts[0].content_type.as_deref(), parts[1].name.as_str()), (Some("text/plain"), "n"));
        assert_eq!((text(&parts[1].data), parts[1].filename.as_deref()), ("", None));
    }

    #[test]
    fn limits_hold_at_the_byte() {
        let form = |parts: &[String]| read(&format!("{}--XY--", parts.concat())).map(|parts| parts.len());
        assert_eq!(form(&[file("1234567890")]), Ok(1));
        assert_eq!(form(&[file("12345678901")]), Err("SEA_UPLOADS_TOO_LARGE"));
        assert_eq!(form(&[file("1234567890"), file("12345")]), Ok(2));
        assert_eq!(form(&[file("1234567890"), file("123456")]), Err("SEA_UPLOADS_TOO_LARGE"));
        assert_eq!(form(&[file(""), file(""), file("")]), Err("SEA_UPLOADS_TOO_LARGE"));
        let field = "--XY\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n1234567\r\n".to_owned();
        assert_eq!(form(&vec![field.clone(); 2]), Ok(2));
        assert_eq!(form(&vec![field.clone(); 3]), Err("SEA_UPLOADS_TOO_LARGE"));
    }

    #[test]
    fn what_two_parsers_may_read_differently_is_refused() {
        let head = |head: &str| format!("--XY\r\n{head}\r\n\r\nx\r\n--XY--\r\n");
        let good = "Content-Disposition: form-data; name=\"f\"; filename=\"a.txt\"";
        assert!(read(&head(good)).is_ok());
        let bodies = [
            String::new(),
            "--XY--\r\n".into(),
            format!("preamble\r\n{}--XY--", file("x")),
            format!("\r\n{}--XY--", file("x")),
            file("x"),
            format!("{}--XY", file("x")),
            format!("{}--XY-", file("x")),
            format!("{}--XY--epilogue", file("x")),
            format!("{}--XY--\r\n\r\n", file("x")),
            file("x").replace("--XY\r\n", "--XY \r\n") + "--XY--",
            file("x").replace("\r\n", "\n") + "--XY--",
            format!("{}--XY--", file("a\n--XY\nb")),
            format!("{}--XY--", file("a--XYb")),
            format!("{}--XYZ--", file("x")),
            head(&format!("{good}\r\n{good}")),
            head(&format!("{good}\r\nContent-Type: text/plain\r\ncontent-type: text/html")),
            head(&format!("{good}\r\nContent-Type: multipart/mixed; boundary=Z")),
            head(&format!("{good}\r\nContent-Transfer-Encoding: base64")),
            head(&format!("{good}\r\n folded: x")),
            head(&format!("{good}\r\nX: a\nContent-Type: text/html")),
            head("Content-Type: text/plain"),
            head("Content-Disposition : form-data; name=\"f\""),
            head("Content-Disposition: attachment; name=\"f\""),
            head("Content-Disposition: form-data; filename=\"a\""),
            head("Content-Disposition: form-data; name=\"f\"\r\nContent-Type: application/octet-stream"),
            head("Content-Disposition: form-data; name=\"f\"; filename=\"a\"; filename=\"b\""),
            head("Content-Disposition: form-data; name=\"f\"; filename=\"a\"; filename*=utf-8''b"),
            head("Content-Disposition: form-data; name=\"f\"; filename=\"a\\\"; filename=\"b\""),
            head("Content-Disposition: form-data; name=\"f\"; filename=a b"),
            head("Content-Disposition: form-data; name=\"f\"; filename=\"a\u{0}.txt\""),
            head(&format!("{good}\r\nX: {}", "x".repeat(HEAD))),
        ];
        for body in bodies {
            assert_eq!(read(&body), Err("SEA_UPLOADS_MALFORMED"), "{body:?}");
        }
    }
}
