//! Maps a request's path to the address that was declared for it, before any handler runs.

use std::collections::{HashMap, HashSet};

use crate::http::dialect::Dialect;
use crate::http::metrics::Route;
use crate::http::request_context::OTHER;
use crate::http::routes::Mounted;

/// The number of first segments by which an undeclared path finds its dialect.
const MOST_SEGMENTS: usize = 3;

/// All addresses of the server.
pub(crate) struct Addresses {
    /// The index in `served` of each declared address, by its path segments.
    declared: matchit::Router<usize>,
    /// The index in `served` of each address with a verb, such as `/models/{name}:run`, by the index of
    /// the address without it and the verb.
    verbs: HashMap<(usize, &'static str), usize>,
    /// For paths that match no declared address: the index in `served` by the path's first segments,
    /// such as `/v2/models`.
    below: HashMap<&'static str, usize>,
    served: Vec<Served>,
}

/// A declared address, or all undeclared paths whose errors the same dialect formats.
pub(crate) struct Served {
    /// The metrics of requests for this address.
    pub(crate) route: Route,
    /// The dialect that formats the errors of this address, if the address belongs to a dialect.
    pub(crate) dialect: Option<&'static dyn Dialect>,
}

impl Addresses {
    /// Collects the addresses of these parts of the server.
    ///
    /// All undeclared paths share one metrics label. Their errors are formatted by the dialect that
    /// declares an address with the most first segments in common, and by the first such dialect if
    /// there are several: a client that requests `/v2/models/x` gets the error format of the dialect
    /// that serves `/v2/models`, or else `/v2`.
    pub(crate) fn new<'a>(
        parts: impl IntoIterator<Item = (&'a Mounted, Option<&'static dyn Dialect>)>,
    ) -> Self {
        let mut all = Addresses {
            declared: matchit::Router::new(),
            verbs: HashMap::new(),
            below: HashMap::new(),
            served: vec![Served { route: Route::new(OTHER), dialect: None }],
        };
        let mut known = HashSet::new();
        for (mounted, dialect) in parts {
            for address in &mounted.addresses {
                // Two parts may declare one address for different methods. The first part gets it.
                if known.insert(*address) {
                    let number = all.serve(Route::new(address), dialect);
                    if let Err(error) = all.declare(address, number) {
                        tracing::error!("requests for {address} are counted as {OTHER:?}: {error}");
                    }
                }
                for start in starts(address).take_while(|start| !start.contains('{')) {
                    if !all.below.contains_key(start) {
                        let number = all.serve(Route::new(OTHER), dialect);
                        all.below.insert(start, number);
                    }
                }
            }
        }
        all
    }

    fn declare(
        &mut self,
        address: &'static str,
        number: usize,
    ) -> Result<(), matchit::InsertError> {
        if let Some((name, verb)) = address.rsplit_once("}:")
            && let Ok(found) = self.declared.at(&address[..=name.len()])
        {
            self.verbs.insert((*found.value, verb), number);
            return Ok(());
        }
        self.declared.insert(address, number)
    }

    fn serve(&mut self, route: Route, dialect: Option<&'static dyn Dialect>) -> usize {
        self.served.push(Served { route, dialect });
        self.served.len() - 1
    }

    /// Returns the index of the address that serves `path`, for [`Addresses::get`].
    pub(crate) fn find(&self, path: &str) -> usize {
        if let Ok(found) = self.declared.at(path) {
            let verb = path.rsplit_once(':').map(|(_, verb)| verb);
            let of_verb = verb.and_then(|verb| self.verbs.get(&(*found.value, verb)));
            return *of_verb.unwrap_or(found.value);
        }
        starts(path).filter_map(|start| self.below.get(start)).last().copied().unwrap_or_default()
    }

    /// Returns the address with this index.
    pub(crate) fn get(&self, number: usize) -> &Served {
        &self.served[number]
    }
}

/// Returns the first segments of a path: `/a`, then `/a/b`, and so on.
fn starts(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
    ends.skip(1).take(MOST_SEGMENTS).map(|end| &path[..end]).filter(|start| start.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::dialects::DIALECTS;

    fn mounted(addresses: &[&'static str]) -> Mounted {
        Mounted { router: axum::Router::new(), addresses: addresses.to_vec() }
    }

    #[test]
    fn paths_get_their_declared_address_and_the_dialect_of_their_first_segment() {
        let (first, second) = (Some(DIALECTS[0]), Some(DIALECTS[1]));
        let parts = [
            (&mounted(&["/v2/models/{name}", "/v2/models/{name}:run", "/", "/v1/models"]), first),
            (
                &mounted(&[
                    "/v1/{name}",
                    "/v1/messages",
                    "/predictions/{id}",
                    "/{model}/infer",
                    "/",
                ]),
                second,
            ),
            (&mounted(&["/healthz"]), None),
        ];
        let addresses = Addresses::new(parts);
        let name = |dialect: Option<&dyn Dialect>| dialect.map(Dialect::name);
        for (path, label, dialect) in [
            ("/", "/", first),
            ("/v2/models/a%20b", "/v2/models/{name}", first),
            ("/v2/models/a:run", "/v2/models/{name}:run", first),
            ("/v2/models/a:b:run", "/v2/models/{name}:run", first),
            ("/v2/models/a:runs", "/v2/models/{name}", first),
            ("/v2/models/a:run/b", OTHER, first),
            ("/v2/models", OTHER, first),
            ("/v2/models/a/b", OTHER, first),
            ("/v2/infer", "/{model}/infer", second),
            ("/v1/models", "/v1/models", first),
            ("/v1/x", "/v1/{name}", second),
            ("/v1/x/y", OTHER, first),
            ("/v1/messages/x/y", OTHER, second),
            ("/v1/messages/", OTHER, second),
            ("/v1/messagesx/y", OTHER, first),
            ("/predictions/1", "/predictions/{id}", second),
            ("/predictions/1/nothing", OTHER, second),
            ("/v3/models/a", OTHER, None),
            ("/healthz", "/healthz", None),
            ("/healthz/x", OTHER, None),
            ("*", OTHER, None),
            ("", OTHER, None),
        ] {
            let served = addresses.get(addresses.find(path));
            assert_eq!((served.route.path, name(served.dialect)), (label, name(dialect)), "{path}");
        }
    }
}
