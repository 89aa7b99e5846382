//! Constant regular expressions.

/// A pattern that is compiled once. Tests compile each.
macro_rules! pattern {
    ($name:ident: $pattern:literal) => {
        static $name: std::sync::LazyLock<regex::Regex> =
            std::sync::LazyLock::new(|| regex::Regex::new($pattern).expect("the pattern is valid"));
    };
}
