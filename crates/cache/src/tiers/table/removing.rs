//! Removals as SQL.

use sqlx::Row as _;

use super::{Table, TableError};
use crate::{
    purge::Site,
    tiers::removal::{LONG, Removal},
};

const SITES_OF_TARGET: &str = "SELECT DISTINCT site FROM answers WHERE target = ?";

impl Table {
    /// Takes out what a removal names; returns how many answers went.
    pub(crate) async fn remove(&mut self, removal: &Removal) -> Result<usize, TableError> {
        match removal {
            Removal::Target { site, target } => self.remove_at(site, target, None).await,
            Removal::Url(site, target) => self.remove_between(site, target, None).await,
            Removal::Prefix(site, start) => self.remove_between(site, start, Some(after(start))).await,
            Removal::Tag(tag) => {
                let delete = sqlx::query(
                    "DELETE FROM answers WHERE number IN (SELECT answer FROM tags WHERE tag = ?) RETURNING size, varies",
                );
                let gone = delete.bind(tag.cast_signed()).fetch_all(&mut self.connection).await?;
                self.gone(&gone)
            }
            Removal::All => self.clear().await,
            Removal::Long(_) => self.remove_long(removal).await,
        }
    }

    /// Few targets are so long, and the index has their lengths: each is looked at.
    async fn remove_long(&mut self, removal: &Removal) -> Result<usize, TableError> {
        let select = sqlx::query("SELECT DISTINCT site, target FROM answers WHERE length(site) + length(target) > ?");
        let rows = select.bind(i64::try_from(LONG).unwrap_or(i64::MAX)).fetch_all(&mut self.connection).await?;
        let mut count = 0;
        for row in rows {
            let (site, target): (Vec<u8>, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
            if removal.names(&site, &target) == Some(true) {
                count += self.remove_at(&site, &target, None).await?;
            }
        }
        Ok(count)
    }

    /// Of the sites that are meant: exactly a target, or all from it on and before another (`Some(None)`: to the end).
    async fn remove_between(
        &mut self,
        wanted: &Site,
        from: &[u8],
        to: Option<Option<Vec<u8>>>,
    ) -> Result<usize, TableError> {
        // Each in words of its own: else the index is walked from the target to its end.
        let select = match &to {
            None => sqlx::query(SITES_OF_TARGET).bind(from),
            Some(None) => sqlx::query("SELECT DISTINCT site FROM answers WHERE target >= ?").bind(from),
            Some(Some(end)) => {
                sqlx::query("SELECT DISTINCT site FROM answers WHERE target >= ? AND target < ?").bind(from).bind(end)
            }
        };
        let rows = select.fetch_all(&mut self.connection).await?;
        let mut count = 0;
        for row in rows {
            let site: Vec<u8> = row.try_get(0)?;
            if wanted.is(&site) {
                count += self.remove_at(&site, from, to.as_ref().map(|end| end.as_deref())).await?;
            }
        }
        Ok(count)
    }

    async fn remove_at(&mut self, site: &[u8], from: &[u8], to: Option<Option<&[u8]>>) -> Result<usize, TableError> {
        let delete = match to {
            None => sqlx::query("DELETE FROM answers WHERE site = ? AND target = ? RETURNING size, varies")
                .bind(site)
                .bind(from),
            Some(None) => sqlx::query("DELETE FROM answers WHERE site = ? AND target >= ? RETURNING size, varies")
                .bind(site)
                .bind(from),
            Some(Some(end)) => {
                sqlx::query("DELETE FROM answers WHERE site = ? AND target >= ? AND target < ? RETURNING size, varies")
                    .bind(site)
                    .bind(from)
                    .bind(end)
            }
        };
        let gone = delete.fetch_all(&mut self.connection).await?;
        self.gone(&gone)
    }
}

/// The first target that does not begin so; `None` where every larger one may.
fn after(start: &[u8]) -> Option<Vec<u8>> {
    let last = start.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = start[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_exact_address_is_found_by_the_index() {
        let folder = tempfile::tempdir().unwrap();
        let mut table = Table::open(&folder.path().join("cache.db"), false).await.unwrap();
        let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {SITES_OF_TARGET}"));
        let rows = sqlx::query(plan).bind(&b"/a"[..]).fetch_all(&mut table.connection).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get(3)).collect();
        assert!(plan.join(" ").contains("USING COVERING INDEX answers_target (target=?)"), "{plan:?}");
    }
}
