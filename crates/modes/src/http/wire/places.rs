//! The places of connections. When all are taken, a client that has few gets one of the client that has the
//! most: connections on which nothing happens keep nobody else out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::http::wire::connection::Pulse;

/// All places.
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// The connections of each client. Who came earlier has a lower number.
    by_client: BTreeMap<IpAddr, BTreeMap<u64, Seat>>,
    count: usize,
    next: u64,
}

/// A connection, as others see it.
#[derive(Debug)]
struct Seat {
    pulse: Arc<Pulse>,
    leaves: oneshot::Sender<()>,
}

/// A connection's place, which it has until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    client: IpAddr,
    number: u64,
    pulse: Arc<Pulse>,
    is_wanted: oneshot::Receiver<()>,
}

impl Places {
    /// As many places.
    pub(crate) fn new(most: usize) -> Self {
        Places { most, taken: Mutex::default() }
    }

    /// Takes a place for a connection of this client, if there is one or somebody has to leave for it.
    pub(crate) fn take(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let mut taken = self.taken();
        if taken.count >= self.most && !taken.make_room(client) {
            return None;
        }
        taken.count += 1;
        taken.next += 1;
        let (number, pulse) = (taken.next, Arc::<Pulse>::default());
        let (leaves, is_wanted) = oneshot::channel();
        let seat = Seat { pulse: pulse.clone(), leaves };
        taken.by_client.entry(client).or_default().insert(number, seat);
        Some(Place { places: self.clone(), client, number, pulse, is_wanted })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Closes the oldest connection without a request of the client that has the most, if that one has
    /// more than this client would have.
    fn make_room(&mut self, client: IpAddr) -> bool {
        let own = self.by_client.get(&client).map_or(0, BTreeMap::len);
        let most = self.by_client.iter_mut().max_by_key(|(_, seats)| seats.len());
        let Some((_, seats)) = most.filter(|(_, seats)| seats.len() > own + 1) else {
            return false;
        };
        let idle = seats.iter().find(|(_, seat)| seat.pulse.is_idle());
        let Some(number) = idle.map(|(number, _)| *number) else { return false };
        if let Some(seat) = seats.remove(&number) {
            let _ = seat.leaves.send(());
            self.count -= 1;
        }
        true
    }
}

impl Place {
    /// The pulse of the connection, by which others see whether it has a request.
    pub(crate) fn pulse(&self) -> Arc<Pulse> {
        self.pulse.clone()
    }

    /// Waits until the connection has to be closed for another client's.
    pub(crate) async fn is_wanted(&mut self) {
        let _ = (&mut self.is_wanted).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        let Some(seats) = taken.by_client.get_mut(&self.client) else { return };
        let was_there = seats.remove(&self.number).is_some();
        if seats.is_empty() {
            taken.by_client.remove(&self.client);
        }
        // One that had to leave counts no more.
        if was_there {
            taken.count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_have_few_get_a_place_of_those_who_have_many() {
        let [one, other, third] = [1, 2, 3].map(|last| IpAddr::from([192, 0, 2, last]));
        let places = Arc::new(Places::new(4));
        let mut busy: Vec<Place> = (0..4).filter_map(|_| places.take(one)).collect();
        assert_eq!(busy.len(), 4);
        assert!(places.take(one).is_none(), "nobody else has any");
        let request = busy[0].pulse().beat();
        let first = places.take(other).unwrap();
        assert!(!places.taken().by_client[&one].contains_key(&busy[1].number));
        let second = places.take(other).unwrap();
        assert!(places.take(other).is_none(), "both have as many");
        assert!(places.take(third).is_none_or(|place| place.client == third));
        drop((first, second, request));
        busy.clear();
        let taken = places.taken();
        assert_eq!((taken.count, taken.by_client.len()), (0, 0));
    }
}
