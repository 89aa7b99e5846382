//! Which other addresses lead to a place in the app: a path that is rewritten can end where a route of its own says what
//! holds, and that has to hold for it too.

use super::{
    settings::{PrefixSettings, RewritePolicy, path_of},
    template::{Piece, Template},
};

/// A route's paths as clients ask for them, and as the app sees them.
#[derive(Debug, Clone)]
pub struct Reach {
    client: Vec<Part>,
    app: Vec<Place>,
    kind: Kind,
}

/// How paths change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Same,
    Version,
    Own,
}

/// A segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// As it is written: `{id}`, `{id}.json`.
    Open(String),
    /// Everything from here on.
    Rest,
}

/// A segment of the path in the app.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Fixed(String),
    /// The segment at this place of the client's path.
    Client(usize),
    /// The rest of it.
    Rest,
}

/// How a route leads to the place of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// All its paths do.
    Whole,
    /// Those of this pattern (without a method) do.
    Part(String),
}

impl Reach {
    /// Of a route that matches this; `None` when none of its paths gets to the app.
    pub fn of(matched: &str, policy: &RewritePolicy, settings: &PrefixSettings) -> Option<Self> {
        let path = path_of(matched);
        let client = parts(path);
        if let Some(to) = &policy.rewrite {
            let pieces = Template::new(path, to).ok()?.pieces().to_vec();
            let app = pieces.iter().flat_map(|piece| places(piece, &client)).collect();
            return Some(Self { client, app: without_end(app), kind: Kind::Own });
        }
        let version = settings.version_prefix.as_ref().filter(|_| policy.versioned != Some(false));
        let (prefix, kind) = match (&policy.strip_prefix, version) {
            (Some(prefix), _) => (prefix.as_str(), Kind::Own),
            (None, Some(prefix)) => (prefix.as_str(), Kind::Version),
            (None, None) => ("", Kind::Same),
        };
        let mut below = parts(prefix);
        let taken = below.len();
        below.push(Part::Rest);
        // Of `/*` only what is below the prefix gets there.
        let client = meeting(&client, &below)?;
        let app = (taken..client.len())
            .map(|place| if client[place] == Part::Rest { Place::Rest } else { Place::Client(place) });
        Some(Self { app: app.collect(), client, kind })
    }

    /// Whether the app has these paths under the addresses that clients know, a version for the whole app aside: then
    /// the route is that of the place.
    pub fn is_of_its_place(&self) -> bool {
        self.kind != Kind::Own
    }

    /// Whether the app sees other paths than clients ask for.
    pub fn changes_paths(&self) -> bool {
        self.kind != Kind::Same
    }

    /// Less is more specific.
    pub fn openness(&self) -> usize {
        let open = |part: &Part| match part {
            Part::Literal(_) => 0,
            Part::Open(_) => 1,
            Part::Rest => 1_000,
        };
        self.seen_by_app().iter().map(open).sum()
    }

    /// The pattern of what clients ask for.
    pub fn asked_for(&self) -> String {
        written(&self.client)
    }

    /// How this route leads to where the other one's requests end in the app; `None`: not at all, or the route table
    /// sees to it, because both change paths in the same way.
    pub fn way_to(&self, other: &Self) -> Option<Way> {
        if self.kind == other.kind && self.kind != Kind::Own {
            return None;
        }
        let target = other.seen_by_app();
        let mut client = self.client.clone();
        for (number, place) in self.app.iter().enumerate() {
            match (place, target.get(number)) {
                (Place::Rest, _) => {
                    client.pop();
                    client.extend(target.get(number..).unwrap_or_default().iter().cloned());
                    return Some(self.way(client));
                }
                (_, Some(Part::Rest)) => return Some(self.way(client)),
                (Place::Fixed(text), Some(part)) => _ = meet(&Part::Literal(text.clone()), part)?,
                (Place::Client(place), Some(part)) => {
                    let met = meet(client.get(*place)?, part)?;
                    *client.get_mut(*place)? = met;
                }
                (_, None) => return None,
            }
        }
        matches!(target.get(self.app.len()..), Some([] | [Part::Rest])).then(|| self.way(client))
    }

    fn way(&self, client: Vec<Part>) -> Way {
        if client == self.client { Way::Whole } else { Way::Part(written(&client)) }
    }

    fn seen_by_app(&self) -> Vec<Part> {
        let part = |place: &Place| match place {
            Place::Fixed(text) => Part::Literal(text.clone()),
            Place::Client(place) => self.client.get(*place).cloned().unwrap_or(Part::Rest),
            Place::Rest => Part::Rest,
        };
        self.app.iter().map(part).collect()
    }
}

/// The segments of a pattern; a slash at the end makes no other path, as in the route table.
fn parts(path: &str) -> Vec<Part> {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let part = |segment: &str| match segment {
        "*" => Part::Rest,
        open if open.contains('{') => Part::Open(open.to_owned()),
        literal => Part::Literal(literal.to_owned()),
    };
    segments.map(part).collect()
}

fn places(piece: &Piece, client: &[Part]) -> Vec<Place> {
    match piece {
        Piece::Literal(text) => vec![Place::Fixed(text.clone())],
        // A template counts the segments as we do: a pattern that begins with a slash has no empty one before its end.
        Piece::Segment(place) => vec![Place::Client(*place)],
        Piece::Rest(place) if client.last() == Some(&Part::Rest) && *place + 1 == client.len() => vec![Place::Rest],
        Piece::Rest(place) => vec![Place::Client(*place)],
    }
}

fn without_end(mut app: Vec<Place>) -> Vec<Place> {
    while app.last() == Some(&Place::Fixed(String::new())) {
        app.pop();
    }
    app
}

/// The paths that two patterns both have.
fn meeting(one: &[Part], other: &[Part]) -> Option<Vec<Part>> {
    let mut met = Vec::new();
    for place in 0.. {
        match (one.get(place), other.get(place)) {
            (None, None | Some(Part::Rest)) | (Some(Part::Rest), None) => break,
            (Some(Part::Rest), _) => {
                met.extend(other.get(place..).unwrap_or_default().iter().cloned());
                break;
            }
            (_, Some(Part::Rest)) => {
                met.extend(one.get(place..).unwrap_or_default().iter().cloned());
                break;
            }
            (Some(one), Some(other)) => met.push(meet(one, other)?),
            (Some(_), None) | (None, Some(_)) => return None,
        }
    }
    Some(met)
}

/// The segments that both take; as the first one writes it where neither says more.
fn meet(one: &Part, other: &Part) -> Option<Part> {
    match (one, other) {
        (Part::Literal(text), Part::Literal(same)) => text.eq_ignore_ascii_case(same).then(|| one.clone()),
        (Part::Literal(text), Part::Open(open)) => fits(open, text).then(|| one.clone()),
        (Part::Open(open), Part::Literal(text)) => fits(open, text).then(|| other.clone()),
        (Part::Open(open), Part::Open(_)) if is_whole(open) => {
            let says_more = matches!(other, Part::Open(other) if !is_whole(other));
            Some(if says_more { other.clone() } else { one.clone() })
        }
        // Of two that each leave something open, nobody can say more than that one of them takes it.
        (Part::Open(_) | Part::Literal(_), _) | (Part::Rest, _) => Some(one.clone()),
    }
}

fn is_whole(open: &str) -> bool {
    open.starts_with('{') && open.find('}') == Some(open.len() - 1)
}

/// Whether a text can be what is left open, with what is around it.
fn fits(open: &str, text: &str) -> bool {
    let (open, text) = (open.to_ascii_lowercase(), text.to_ascii_lowercase());
    let (before, after) = (open.split('{').next().unwrap_or_default(), open.rsplit('}').next().unwrap_or_default());
    text.len() >= before.len() + after.len() && text.starts_with(before) && text.ends_with(after)
}

fn written(parts: &[Part]) -> String {
    let text = |part: &Part| match part {
        Part::Literal(text) | Part::Open(text) => format!("/{text}"),
        Part::Rest => "/*".into(),
    };
    if parts.is_empty() { "/".into() } else { parts.iter().map(text).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> PrefixSettings {
        PrefixSettings { version_prefix: Some("/v1".into()), ..PrefixSettings::default() }
    }

    fn plain(matched: &str) -> Reach {
        Reach::of(matched, &RewritePolicy::default(), &PrefixSettings::default()).unwrap()
    }

    fn part(path: &str) -> Option<Way> {
        Some(Way::Part(path.into()))
    }

    #[test]
    fn what_a_prefix_was_taken_off_leads_to_the_route_of_the_place() {
        let policy = RewritePolicy { strip_prefix: Some("/api".into()), ..RewritePolicy::default() };
        let of = |matched: &str| Reach::of(matched, &policy, &PrefixSettings::default()).unwrap();
        let all = of("/api/*");
        assert_eq!(all.way_to(&plain("POST /login")), part("/api/login"));
        assert_eq!(all.way_to(&plain("/users/{id}/")), part("/api/users/{id}"));
        assert_eq!(all.way_to(&plain("/files/*")), part("/api/files/*"));
        assert_eq!(all.way_to(&plain("/")), part("/api"));
        assert_eq!(all.way_to(&plain("/*")), Some(Way::Whole));
        assert_eq!(of("/api/Login").way_to(&plain("/login")), Some(Way::Whole));
        assert_eq!(of("/api/{page}").way_to(&plain("/login")), part("/api/login"));
        assert_eq!(of("/api/{page}").way_to(&plain("/users/{id}")), None);
        assert_eq!(of("/api/{page}").way_to(&plain("/{file}.json")), part("/api/{file}.json"));
        assert_eq!(of("/api/users/*").way_to(&plain("/login")), None);
    }

    #[test]
    fn a_version_leads_to_what_has_none() {
        let unversioned = RewritePolicy { versioned: Some(false), ..RewritePolicy::default() };
        let of = |matched: &str, policy: &RewritePolicy| Reach::of(matched, policy, &settings());
        let all = of("/*", &RewritePolicy::default()).unwrap();
        assert_eq!(all.asked_for(), "/v1/*");
        let login = of("/login", &unversioned).unwrap();
        assert_eq!(all.way_to(&login), part("/v1/login"));
        assert_eq!(of("GET /v1/login", &RewritePolicy::default()).unwrap().way_to(&login), Some(Way::Whole));
        assert!(of("/login", &RewritePolicy::default()).is_none(), "it is refused without its version");
        let versioned = of("/v1/login", &RewritePolicy::default()).unwrap();
        assert_eq!((all.way_to(&versioned), login.way_to(&versioned)), (None, Some(Way::Whole)));
        assert!(versioned.is_of_its_place() && versioned.openness() < all.openness());
    }

    #[test]
    fn a_rewrite_leads_where_its_template_says() {
        let of = |matched: &str, to: &str| {
            let policy = RewritePolicy { rewrite: Some(to.into()), ..RewritePolicy::default() };
            Reach::of(matched, &policy, &PrefixSettings::default()).unwrap()
        };
        let legacy = of("/legacy/*", "/app/*");
        assert!(!legacy.is_of_its_place() && legacy.changes_paths());
        assert_eq!(legacy.way_to(&plain("/app/login")), part("/legacy/login"));
        assert_eq!(legacy.way_to(&plain("/app/*")), Some(Way::Whole));
        assert_eq!(legacy.way_to(&plain("/app")), part("/legacy"));
        assert_eq!(legacy.way_to(&plain("/other/login")), None);
        let order = of("/order/{id}", "/orders/by-id/{id}");
        assert_eq!(order.way_to(&plain("/orders/*")), Some(Way::Whole));
        assert_eq!(order.way_to(&plain("/orders/by-id/new")), part("/order/new"));
        assert_eq!(order.way_to(&plain("/orders/{kind}/{id}")), Some(Way::Whole));
        assert_eq!(of("/a/{x}/{y}", "/{y}/{x}/").way_to(&plain("/login/{z}")), part("/a/{x}/login"));
        assert_eq!(of("/old/{id}/*", "/new/*").way_to(&plain("/new/login")), part("/old/{id}/login"));
    }
}
