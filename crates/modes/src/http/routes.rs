//! Addresses with their handlers.

use axum::Router;
use axum::routing::MethodRouter;

/// The greatest length of an address that a platform names.
const LONGEST_ADDRESS: usize = 1024;

/// Returns true if a text can be the path of a route: it is no pattern of paths, and has nothing that a
/// URL writes in another way.
pub(crate) fn is_address(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"{}?#\\%".contains(&byte);
    // The router refuses such a segment, because it was once the syntax of a pattern.
    let was_pattern = |segment: &str| segment.starts_with([':', '*']);
    text.starts_with('/')
        && text.len() <= LONGEST_ADDRESS
        && text.bytes().all(is_plain)
        && !text.split('/').any(was_pattern)
}

/// Addresses whose handlers share a state of type `S`.
pub(crate) struct Routes<S> {
    router: Router<S>,
    addresses: Vec<&'static str>,
}

/// Addresses whose handlers have their state: a part of the server's router.
pub(crate) struct Mounted {
    pub(crate) router: Router,
    /// The addresses as they were declared, which label logs and metrics.
    pub(crate) addresses: Vec<&'static str>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    pub(crate) fn new() -> Self {
        Routes { router: Router::new(), addresses: Vec::new() }
    }

    /// Adds an address, in axum's syntax: `/models/{name}`.
    pub(crate) fn at(mut self, address: &'static str, methods: MethodRouter<S>) -> Self {
        self.addresses.push(address);
        self.router = self.router.route(address, methods);
        self
    }

    /// Adds the label of an address that ends with a verb, such as `/models/{name}:run`. The handlers
    /// of `/models/{name}` get its requests, because the router has no suffixes of segments.
    pub(crate) fn verb(mut self, address: &'static str) -> Self {
        self.addresses.push(address);
        self
    }

    /// Adds an address without a label of its own. Its requests are counted under `other`.
    pub(crate) fn unlabelled(mut self, address: &str, methods: MethodRouter<S>) -> Self {
        self.router = self.router.route(address, methods);
        self
    }

    /// Gives the handlers their state.
    pub(crate) fn with_state(self, state: S) -> Mounted {
        Mounted { router: self.router.with_state(state), addresses: self.addresses }
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;

    use super::*;

    #[test]
    fn an_address_is_a_path_and_no_pattern() {
        for path in ["/", "/health", "/v1/endpoints/1/deployedModels/2:predict", "/a:b", "/a*"] {
            assert!(is_address(path), "{path}");
            // The router takes it.
            let _ = Router::<()>::new().route(path, get(async || ""));
        }
        let long = format!("/{}", "a".repeat(LONGEST_ADDRESS));
        for path in [
            "",
            "health",
            "/{name}",
            "/:a",
            "/*a",
            "/a/:b",
            "/a?b",
            "/a#b",
            "/a b",
            "/a%20b",
            "/a\\b",
            "/\u{e4}",
            "http://a/b",
            &long,
        ] {
            assert!(!is_address(path), "{path}");
        }
    }
}
