//! The declared addresses: which one a request is for, before any handler sees it.

use std::collections::HashSet;

use crate::http::dialect::Dialect;
use crate::http::metrics::{HttpMetrics, Route};
use crate::http::routes::Mounted;

/// The label of requests for addresses that are not declared.
const OTHER: &str = "other";

/// All addresses, in a tree of their segments.
pub(crate) struct Addresses {
    tree: matchit::Router<usize>,
    served: Vec<Served>,
}

/// An address.
pub(crate) struct Served {
    /// What is counted of its requests.
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
        let other = Served { route: metrics.route(OTHER), dialect: None };
        let mut all = Addresses { tree: matchit::Router::new(), served: vec![other] };
        let mut segments = HashSet::new();
        for (mounted, dialect) in parts {
            for address in &mounted.addresses {
                // An address of two parts, which answer other methods each, is the first one's.
                let number = all.served.len();
                if all.tree.insert(*address, number).is_ok() {
                    all.served.push(Served { route: metrics.route(address), dialect });
                }
            }
            let firsts = mounted.addresses.iter().filter_map(|address| address.split('/').nth(1));
            for first in firsts.filter(|first| !first.is_empty() && !first.contains('{')) {
                if segments.insert(first) {
                    let number = all.served.len();
                    let below = format!("/{first}/{{*rest}}");
                    if all.tree.insert(below, number).is_ok() {
                        all.served.push(Served { route: metrics.route(OTHER), dialect });
                    }
                }
            }
        }
        all
    }

    /// The number of the address that `path` is for.
    pub(crate) fn find(&self, path: &str) -> usize {
        self.tree.at(path).map_or(0, |found| *found.value)
    }

    /// The address of that number.
    pub(crate) fn get(&self, number: usize) -> &Served {
        &self.served[number]
    }
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
        let (dialect, probes) = (mounted(&["/v2/models/{name}", "/"]), mounted(&["/healthz"]));
        let parts = [(&dialect, Some(DIALECTS[0])), (&probes, None), (&mounted(&["/"]), None)];
        let addresses = Addresses::new(parts, &HttpMetrics::default());
        for (path, label, has_dialect) in [
            ("/", "/", true),
            ("/v2/models/a%20b", "/v2/models/{name}", true),
            ("/v2/models", OTHER, true),
            ("/v2/models/a/b", OTHER, true),
            ("/v3/models/a", OTHER, false),
            ("/healthz", "/healthz", false),
            ("/healthz/x", OTHER, false),
            ("*", OTHER, false),
            ("", OTHER, false),
        ] {
            let served = addresses.get(addresses.find(path));
            assert_eq!(
                (served.route.path, served.dialect.is_some()),
                (label, has_dialect),
                "{path}"
            );
        }
    }
}
