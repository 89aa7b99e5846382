//! The HTTP cache (RFC 9111) in front of the app, ETags for what the app answers without one, and compression.
//!
//! `layer.rs` is the way in: what is fresh in the store is answered at once. `exchange.rs` is the long way: one request asks
//! the app for all that want the same. `freshness.rs` says what may be stored and for how long, `store.rs` keeps it.

mod answer;
mod app;
mod compression;
mod conditions;
mod counts;
mod dictionary;
mod directives;
mod etag;
mod exchange;
mod fill;
mod freshness;
pub mod fuzzing;
mod invalidation;
mod key;
mod layer;
mod policy;
mod purge;
mod range;
mod search;
mod settings;
mod shard;
mod status;
mod store;
mod stored;
mod storing;
mod tiers;

pub use compression::{
    CodingName, Compress, CompressService, CompressionPolicy, CompressionSetting, CompressionSettings, Encoders,
    Negotiate, NegotiateService, OwnTags, OwnTagsService, WithCredentials,
};
pub use etag::{Etags, EtagsService};
pub use invalidation::{Invalidate, InvalidateService};
pub use layer::{Cache, CacheService};
pub use policy::{Per, Policy};
pub use settings::{CacheSetting, PolicySettings, RoutePolicy, Settings};
pub use store::Store;
