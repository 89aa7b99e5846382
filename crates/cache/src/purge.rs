//! Orders to take stored answers out: by address, by the beginning of an address, by tag.

use http::{HeaderMap, HeaderName};
use seaworthy_core::{Purge, PurgeCache, Purging};
use sha2::{Digest, Sha256};

use crate::{store::Store, tiers::Removal};

/// Tags, parted by commas.
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
/// Tags, parted by spaces.
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
/// Of more tags on one answer the rest is not known.
const MOST_TAGS: usize = 128;

/// Takes the tags off an answer: they are for the cache, and nobody else's business.
pub(crate) fn take_tags(headers: &mut HeaderMap, mut each: impl FnMut(&[u8])) {
    if !headers.contains_key(CACHE_TAG) && !headers.contains_key(SURROGATE_KEY) {
        return;
    }
    let mut left = MOST_TAGS;
    for (name, separator) in [(CACHE_TAG, b','), (SURROGATE_KEY, b' ')] {
        for line in headers.get_all(&name) {
            let tags = line.as_bytes().split(|byte| *byte == separator).map(<[u8]>::trim_ascii);
            for tag in tags.filter(|tag| !tag.is_empty()).take(left) {
                left -= 1;
                each(tag);
            }
        }
        headers.remove(name);
    }
}

/// What a tag is known by, on every node.
pub(crate) fn tag_hash(tag: &[u8]) -> u64 {
    let digest = Sha256::digest(tag);
    digest.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

impl PurgeCache for Store {
    fn purge<'a>(&'a self, order: &'a Purge) -> Purging<'a> {
        Box::pin(async move {
            match Removal::of(order) {
                Some(removal) => self.remove_everywhere(removal).await,
                None => Ok(0),
            }
        })
    }
}

/// The scheme and host of an order; without, it is for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site(Option<(String, String)>);

impl Site {
    /// Parts an address into its site and its path with query. `None`: the scheme or the host is empty. No answer has such a
    /// site, and other nodes are told by two empty texts that all are meant.
    pub(crate) fn of(address: &str) -> Option<(Self, &str)> {
        let Some((scheme, rest)) = address.split_once("://").filter(|_| !address.starts_with('/')) else {
            return Some((Self(None), address));
        };
        let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        (!scheme.is_empty() && !host.is_empty())
            .then_some((Self(Some((scheme.to_ascii_lowercase(), host.to_ascii_lowercase()))), target))
    }

    /// Scheme and host; `None` where it is for all.
    pub(crate) fn parts(&self) -> Option<(&str, &str)> {
        self.0.as_ref().map(|(scheme, host)| (&**scheme, &**host))
    }

    /// The reverse; two empty texts are for all.
    pub(crate) fn from_parts(scheme: String, host: String) -> Self {
        Self((!scheme.is_empty() || !host.is_empty()).then_some((scheme, host)))
    }

    /// Whether a key's site is it: by either of the hosts that it may have.
    pub(crate) fn is(&self, site: &[u8]) -> bool {
        let Some((scheme, host)) = &self.0 else { return true };
        let rest = site.strip_prefix(scheme.as_bytes()).and_then(|rest| rest.strip_prefix(b"://"));
        rest.is_some_and(|hosts| hosts.split(|byte| *byte == b' ').any(|known| known == host.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fill::tests::{fill, put},
        shard::tests::key_at,
        stored::{
            Stored,
            tests::{headers, stored},
        },
    };

    const SITES: [&str; 2] = ["http://a.test", "http://b.test"];

    fn filled() -> Store {
        let store = Store::default();
        store.resize(1 << 20);
        for site in SITES {
            for target in ["/", "/a", "/a?b=1", "/a/c", "/d"] {
                let tags = vec![tag_hash(target.as_bytes()), tag_hash(b"all")];
                put(&store, &key_at(site, target), Stored { tags, ..stored(&HeaderMap::new(), HeaderMap::new(), "") });
            }
        }
        store
    }

    #[test]
    fn orders_take_what_they_name() {
        let took = |what: Purge| Removal::of(&what).map_or(0, |removal| filled().take_out(&removal));
        assert_eq!(took(Purge::Url("/a".into())), 2);
        assert_eq!(took(Purge::Url("http://A.test/a".into())), 1);
        assert_eq!(took(Purge::Url("https://a.test/a".into())), 0);
        assert_eq!(took(Purge::Url("http://a.test".into())), 1);
        assert_eq!(took(Purge::Prefix("/a".into())), 6);
        assert_eq!(took(Purge::Prefix("http://b.test/a/".into())), 1);
        assert_eq!(took(Purge::Prefix("http://b.test".into())), 5);
        assert_eq!(took(Purge::Tag("/d".into())), 2);
        assert_eq!(took(Purge::Tag("all".into())), 10);
        assert_eq!(took(Purge::Tag("none".into())), 0);
        assert_eq!((took(Purge::All(true)), took(Purge::All(false))), (10, 0));
    }

    #[test]
    fn an_order_with_half_a_site_is_for_nothing() {
        for address in [":///a", "://a.test/a", "http:///a", "http://", "http://?a"] {
            for order in [Purge::Url(address.into()), Purge::Prefix(address.into())] {
                assert_eq!(Removal::of(&order), None, "{order:?}");
            }
        }
    }

    #[test]
    fn what_is_on_its_way_may_have_the_tag_and_is_not_stored() {
        let store = filled();
        let fill = fill(&store, &key_at("http://a.test", "/new"));
        store.take_out(&Removal::Tag(tag_hash(b"all")));
        fill.store(stored(&HeaderMap::new(), HeaderMap::new(), ""));
        assert_eq!(store.take_out(&Removal::All), 0);
    }

    #[test]
    fn tags_are_taken_off() {
        let mut answer = headers(&[("cache-tag", "a, b"), ("cache-tag", "c"), ("surrogate-key", "d  e"), ("x", "y")]);
        let mut found = Vec::new();
        take_tags(&mut answer, |tag| found.push(String::from_utf8_lossy(tag).into_owned()));
        assert_eq!(found, ["a", "b", "c", "d", "e"]);
        assert_eq!(answer, headers(&[("x", "y")]));
    }
}
