//! Limits the number of open connections. At the limit, a new connection of a client with few
//! connections replaces an idle connection of the client with the most. So idle connections of one
//! client cannot lock out other clients.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::http::wire::connection::Activity;

/// The places for open connections.
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// The connections of each client, by their numbers. Older connections have lower numbers.
    by_client: BTreeMap<IpAddr, BTreeMap<u64, Connection>>,
    count: usize,
    next: u64,
}

/// An open connection, as [`Places`] sees it.
#[derive(Debug)]
struct Connection {
    activity: Arc<Activity>,
    /// Asks the connection to close.
    close: oneshot::Sender<()>,
}

/// The place of an open connection. The place is free again when this value is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    client: IpAddr,
    number: u64,
    activity: Arc<Activity>,
    must_close: oneshot::Receiver<()>,
}

impl Places {
    /// Makes this many places.
    pub(crate) fn new(most: usize) -> Self {
        Places { most, taken: Mutex::default() }
    }

    /// Takes a place for a connection of this client. Returns `None` if all places are taken and no
    /// other connection can be closed for it.
    pub(crate) fn take(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let mut taken = self.taken();
        if taken.count >= self.most && !taken.make_room(client) {
            return None;
        }
        taken.count += 1;
        taken.next += 1;
        let (number, activity) = (taken.next, Arc::<Activity>::default());
        let (close, must_close) = oneshot::channel();
        let connection = Connection { activity: activity.clone(), close };
        taken.by_client.entry(client).or_default().insert(number, connection);
        Some(Place { places: self.clone(), client, number, activity, must_close })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Closes the oldest idle connection of the client with the most connections. That client must
    /// have more connections than this `client` would have. Returns false if nothing was closed.
    fn make_room(&mut self, client: IpAddr) -> bool {
        let own = self.by_client.get(&client).map_or(0, BTreeMap::len);
        let most = self.by_client.iter_mut().max_by_key(|(_, connections)| connections.len());
        let Some((_, connections)) = most.filter(|(_, theirs)| theirs.len() > own + 1) else {
            return false;
        };
        let idle = connections.iter().find(|(_, connection)| connection.activity.is_idle());
        let Some(number) = idle.map(|(number, _)| *number) else { return false };
        if let Some(connection) = connections.remove(&number) {
            let _ = connection.close.send(());
            self.count -= 1;
        }
        true
    }
}

impl Place {
    /// Returns the state of the connection's requests.
    pub(crate) fn activity(&self) -> Arc<Activity> {
        self.activity.clone()
    }

    /// Waits until the connection must close to make room for another client.
    pub(crate) async fn must_close(&mut self) {
        let _ = (&mut self.must_close).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        let Some(connections) = taken.by_client.get_mut(&self.client) else { return };
        let is_counted = connections.remove(&self.number).is_some();
        if connections.is_empty() {
            taken.by_client.remove(&self.client);
        }
        // A connection that `make_room` closed is no longer counted.
        if is_counted {
            taken.count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_with_few_connections_gets_a_place_of_a_client_with_many() {
        let [one, other, third] = [1, 2, 3].map(|last| IpAddr::from([192, 0, 2, last]));
        let places = Arc::new(Places::new(4));
        let mut busy: Vec<Place> = (0..4).filter_map(|_| places.take(one)).collect();
        assert_eq!(busy.len(), 4);
        assert!(places.take(one).is_none(), "no other client has a connection");
        let request = busy[0].activity().begin_request();
        let first = places.take(other).unwrap();
        assert!(!places.taken().by_client[&one].contains_key(&busy[1].number));
        let second = places.take(other).unwrap();
        assert!(places.take(other).is_none(), "both clients have two connections");
        assert!(places.take(third).is_none_or(|place| place.client == third));
        drop((first, second, request));
        busy.clear();
        let taken = places.taken();
        assert_eq!((taken.count, taken.by_client.len()), (0, 0));
    }
}
