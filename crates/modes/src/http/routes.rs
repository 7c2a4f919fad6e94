//! Addresses with their handlers.

use axum::Router;
use axum::routing::MethodRouter;

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
