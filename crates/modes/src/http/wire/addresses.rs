//! The declared addresses: which one a request is for, before any handler sees it.

use std::collections::{HashMap, HashSet};

use crate::http::dialect::Dialect;
use crate::http::metrics::{HttpMetrics, Route};
use crate::http::request_context::OTHER;
use crate::http::routes::Mounted;

/// All addresses.
pub(crate) struct Addresses {
    /// The numbers of the declared ones, by their segments.
    declared: matchit::Router<usize>,
    /// For addresses that are not declared: the numbers of those that word their refusals, by the
    /// first segment.
    below: HashMap<&'static str, usize>,
    served: Vec<Served>,
}

/// An address, or all that are not declared and whose refusals one dialect words.
pub(crate) struct Served {
    /// The counts of its requests.
    pub(crate) route: Route,
    /// The dialect that words its refusals, if it is one's.
    pub(crate) dialect: Option<&'static dyn Dialect>,
}

impl Addresses {
    /// The addresses of these parts of the server. An address that is not declared is counted among
    /// all such, and worded by the first dialect that has addresses below the same first segment: a
    /// client of `/v2/models/x` reads the words of the dialect that has `/v2`.
    pub(crate) fn new<'a>(
        parts: impl IntoIterator<Item = (&'a Mounted, Option<&'static dyn Dialect>)>,
        metrics: &HttpMetrics,
    ) -> Self {
        let mut all = Addresses {
            declared: matchit::Router::new(),
            below: HashMap::new(),
            served: vec![Served { route: metrics.route(OTHER), dialect: None }],
        };
        let mut known = HashSet::new();
        for (mounted, dialect) in parts {
            for address in &mounted.addresses {
                // An address of two parts, which answer other methods each, is the first one's.
                if known.insert(*address) {
                    let number = all.serve(metrics.route(address), dialect);
                    if let Err(error) = all.declared.insert(*address, number) {
                        tracing::error!("{address} is counted among others: {error}");
                    }
                }
                let first = first_segment(address);
                if !(first.is_empty() || first.contains('{') || all.below.contains_key(first)) {
                    let number = all.serve(metrics.route(OTHER), dialect);
                    all.below.insert(first, number);
                }
            }
        }
        all
    }

    fn serve(&mut self, route: Route, dialect: Option<&'static dyn Dialect>) -> usize {
        self.served.push(Served { route, dialect });
        self.served.len() - 1
    }

    /// Returns the number of the address that `path` is for.
    pub(crate) fn find(&self, path: &str) -> usize {
        if let Ok(found) = self.declared.at(path) {
            return *found.value;
        }
        self.below.get(first_segment(path)).copied().unwrap_or_default()
    }

    /// Returns the address of that number.
    pub(crate) fn get(&self, number: usize) -> &Served {
        &self.served[number]
    }
}

fn first_segment(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::dialects::DIALECTS;

    fn mounted(addresses: &[&'static str]) -> Mounted {
        Mounted { router: axum::Router::new(), addresses: addresses.to_vec() }
    }

    #[test]
    fn labels_are_the_declared_addresses_and_words_those_of_the_segments_dialect() {
        let (first, second) = (Some(DIALECTS[0]), Some(DIALECTS[1]));
        let parts = [
            (&mounted(&["/v2/models/{name}", "/", "/v1/models"]), first),
            (&mounted(&["/v1/{name}", "/predictions/{id}", "/{model}/infer", "/"]), second),
            (&mounted(&["/healthz"]), None),
        ];
        let addresses = Addresses::new(parts, &HttpMetrics::default());
        let name = |dialect: Option<&dyn Dialect>| dialect.map(Dialect::name);
        for (path, label, dialect) in [
            ("/", "/", first),
            ("/v2/models/a%20b", "/v2/models/{name}", first),
            ("/v2/models", OTHER, first),
            ("/v2/models/a/b", OTHER, first),
            ("/v2/infer", "/{model}/infer", second),
            ("/v1/models", "/v1/models", first),
            ("/v1/x", "/v1/{name}", second),
            ("/v1/x/y", OTHER, first),
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
