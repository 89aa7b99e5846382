//! Secrets that are in use, as the one who started us knows them.

use std::fmt;

/// Names and values of live secrets: found in a file or in history, they are a leak whatever they look like. Their values
/// are shown nowhere.
#[derive(Clone, Default)]
pub struct LiveSecrets {
    values: Vec<(String, String)>,
}

impl LiveSecrets {
    /// One more.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.values.push((name.into(), value.into()));
    }

    /// Name and value of each.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for LiveSecrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.values.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_shown() {
        let mut live = LiveSecrets::default();
        live.add("A", "value");
        assert_eq!(format!("{live:?}"), "[\"A\"]");
    }
}
