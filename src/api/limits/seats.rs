//! How many of something one address may hold at once.

use super::CallerAddress;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Places that are counted by address. Cheap to clone.
#[derive(Clone)]
pub(in crate::api) struct Seats {
    each_max: usize,
    taken: Arc<Mutex<HashMap<CallerAddress, usize>>>,
}

/// A place that is taken; it is free again when this is dropped.
pub(in crate::api) struct Seat {
    address: CallerAddress,
    taken: Arc<Mutex<HashMap<CallerAddress, usize>>>,
}

impl Seats {
    /// So many for each address; 0 is no limit.
    pub fn new(each_max: usize) -> Self {
        Self {
            each_max,
            taken: Arc::default(),
        }
    }

    /// Takes a place; none where the address has all that it may have.
    pub fn take(&self, address: CallerAddress) -> Option<Seat> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_default();
        if self.each_max > 0 && *count >= self.each_max {
            return None;
        }
        *count += 1;
        Some(Seat {
            address,
            taken: self.taken.clone(),
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_again_when_it_was_left() {
        let at = |text: &str| CallerAddress::of(text.parse().unwrap());
        let seats = Seats::new(2);
        let first = seats.take(at("192.0.2.1"));
        let second = seats.take(at("192.0.2.1"));
        assert!(first.is_some() && second.is_some());
        assert!(seats.take(at("192.0.2.1")).is_none());
        assert!(seats.take(at("192.0.2.2")).is_some());
        drop(first);
        assert!(seats.take(at("192.0.2.1")).is_some());
        drop(second);
        assert!(
            seats.taken.lock().unwrap().is_empty(),
            "nobody is remembered"
        );
        let free = Seats::new(0);
        let all: Vec<_> = (0..100).map(|_| free.take(at("192.0.2.1"))).collect();
        assert!(all.iter().all(Option::is_some));
    }
}
