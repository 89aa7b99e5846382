//! Python classes whose annotated fields are variables of the environment (pydantic-settings).

use std::sync::LazyLock;

use regex::Regex;

use crate::{knowledge::Pattern, source::Source, variables::literal};

/// A field, as the variable that it is read from.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// The variable.
    pub name: String,
    /// Where the field is.
    pub offset: usize,
    /// Its default, where that is a literal.
    pub default: Option<String>,
}

static CLASS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?m)^([ \t]*)class\s+\w+\(([^)]*)\)\s*:").ok());
static FIELD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^([A-Za-z]\w*)\s*:\s*([^=\n]+)").ok());
static PREFIX: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\benv_prefix["']?\s*[=:]\s*["']([^"']*)["']"#).ok());
static ALIAS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\b(?:validation_alias|alias|env)\s*=\s*(?:AliasChoices\(\s*)?["'](\w+)["']"#).ok());
static DEFAULT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let value = r#"("[^"\n]*"|'[^'\n]*'|-?\d[\d._]*|True|False)"#;
    Regex::new(&format!(
        r"=\s*{value}\s*$|=\s*Field\(\s*(?:default\s*=\s*)?{value}\s*[,)]|\bdefault\s*=\s*{value}\s*[,)]"
    ))
    .ok()
});

/// The fields of every class with this base.
pub fn fields(source: &Source, base: &Pattern) -> Vec<Field> {
    let (Some(class), code) = (CLASS.as_ref(), &source.code) else { return Vec::new() };
    let mut found = Vec::new();
    for header in source.matches(class).filter(|header| base.0.is_match(&header[2])) {
        let start = header.get(0).map_or(0, |header| header.end());
        let body = body(&code[start..], header[1].len());
        found.extend(fields_of(source, start, body));
    }
    found
}

/// What is indented deeper than the class.
fn body(rest: &str, indent: usize) -> &str {
    let mut length = 0;
    for (index, line) in rest.split_inclusive('\n').enumerate() {
        let deep = line.trim().is_empty() || indent_of(line) > indent || line.trim_start().starts_with(')');
        if index > 0 && !deep {
            break;
        }
        length += line.len();
    }
    &rest[..length]
}

fn fields_of(source: &Source, start: usize, body: &str) -> Vec<Field> {
    let mut lines: Vec<(usize, &str)> = Vec::new();
    let mut offset = 0;
    for line in body.split_inclusive('\n') {
        let at = start + offset + indent_of(line);
        if !line.trim().is_empty() && !source.is_text(at) {
            lines.push((offset, line));
        }
        offset += line.len();
    }
    let indents = lines.iter().skip_while(|(offset, _)| *offset == 0).map(|(_, line)| indent_of(line));
    let Some(indent) = indents.min() else { return Vec::new() };
    let starts: Vec<usize> =
        lines.iter().filter(|(_, line)| indent_of(line) == indent).map(|(offset, _)| *offset).collect();
    let first_of = |pattern: &LazyLock<Option<Regex>>, text: &str| {
        let found = pattern.as_ref()?.captures(text)?;
        found.iter().skip(1).flatten().next().map(|part| part.as_str().to_owned())
    };
    let prefix = first_of(&PREFIX, body).unwrap_or_default();
    let ends = starts.iter().skip(1).copied().chain([body.len()]);
    let pieces = starts.iter().zip(ends).map(|(from, to)| (*from + indent, body[*from..to].trim()));
    let field = |(offset, piece): (usize, &str)| {
        let found = FIELD.as_ref()?.captures(piece)?;
        if &found[1] == "model_config" || found[2].contains("ClassVar") {
            return None;
        }
        let name = first_of(&ALIAS, piece).unwrap_or_else(|| format!("{prefix}{}", &found[1]).to_ascii_uppercase());
        Some(Field { name, offset: start + offset, default: first_of(&DEFAULT, piece).map(|text| literal(&text)) })
    };
    pieces.filter_map(field).collect()
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::Knowledge;

    fn read(text: &str) -> Vec<String> {
        let knowledge = Knowledge::load().unwrap();
        let python = &knowledge.languages["python"];
        let source = Source::new(text, &python.tokens);
        let found = fields(&source, python.settings_class.as_ref().unwrap());
        let show = |field: &Field| {
            format!("{}={}@{}", field.name, field.default.as_deref().unwrap_or("-"), source.line(field.offset))
        };
        found.iter().map(show).collect()
    }

    #[test]
    fn fields_are_variables() {
        let text = r#"
class Settings(BaseSettings):
    """
    note: not a field
    """
    model_config = SettingsConfigDict(env_file=".env", env_prefix="APP_")
    debug: bool = False
    # old: int = 3
    database_url: PostgresDsn
    retries: int = Field(3, ge=0)
    key: str = Field(
        alias="API_KEY",
        default="x",
    )
    known: ClassVar[int] = 3

    def url(self) -> str:
        local: int = 5
        return "a"

after: int = 3

class Other(BaseModel):
    name: str
"#;
        assert_eq!(read(text), ["APP_DEBUG=False@7", "APP_DATABASE_URL=-@9", "APP_RETRIES=3@10", "API_KEY=x@11"]);
    }

    #[test]
    fn the_older_style_has_its_prefix_in_a_class() {
        let text =
            "class S(pydantic.BaseSettings):\n    a: str = 'b'\n\n    class Config:\n        env_prefix = 'X_'\n";
        assert_eq!(read(text), ["X_A=b@2"]);
        assert_eq!(read("class S(BaseSettings): pass\n"), [] as [String; 0]);
        assert_eq!(read("class S(BaseSettings):"), [] as [String; 0]);
    }
}
