//! Who may send how much at once: so many in all, so many a merchant, and one for a merchant whose last
//! try failed. A server that hangs holds one place until it answers again, and never those of others.
//!
//! This is the memory of one running program and decides nothing but the pace. What is due, and who may
//! send it, is in the table.

use super::NotifyOptions;
use crate::domain::ids::MerchantCode;
use crate::domain::notification::TryOutcome;
use crate::domain::time::Instant;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The lanes of all merchants.
#[derive(Clone, Default)]
pub(in crate::engine) struct Lanes(Arc<Mutex<Road>>);

#[derive(Default)]
struct Road {
    under_way: usize,
    lanes: BTreeMap<MerchantCode, Lane>,
    /// The merchant who was served last: the next look begins behind it.
    last: Option<MerchantCode>,
    cried: BTreeMap<Cry, Instant>,
}

#[derive(Default)]
struct Lane {
    under_way: usize,
    ails: bool,
}

/// What is not done again for a while.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cry {
    /// Somebody is called: notifications of a merchant are given up.
    GivenUp(MerchantCode),
    /// Somebody is called: a merchant has waited long.
    Late(MerchantCode),
    /// Somebody is called: there is no key to sign with.
    NoKey,
    /// Merchants who have waited long are looked for.
    Looked,
}

/// A place on the road; given back when it is dropped.
pub(super) struct Place {
    lanes: Lanes,
    merchant: MerchantCode,
}

/// Places that were claimed and are not used yet.
pub(super) struct Rooms(BTreeMap<MerchantCode, Vec<Place>>);

impl Lanes {
    fn road(&self) -> MutexGuard<'_, Road> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims places for merchants who have something due, in turn.
    pub(super) fn claim(&self, mut due: Vec<MerchantCode>, options: &NotifyOptions) -> Rooms {
        let mut road = self.road();
        if let Some(last) = &road.last {
            let behind = due.partition_point(|code| code <= last);
            due.rotate_left(behind);
        }
        let mut rooms = BTreeMap::new();
        for merchant in due {
            let free = options.parallel.saturating_sub(road.under_way);
            let lane = road.lanes.entry(merchant.clone()).or_default();
            let most = if lane.ails {
                1
            } else {
                options.parallel_per_merchant
            };
            let room = most.saturating_sub(lane.under_way).min(free);
            if room == 0 {
                continue;
            }
            lane.under_way += room;
            road.under_way += room;
            road.last = Some(merchant.clone());
            let place = || Place {
                lanes: self.clone(),
                merchant: merchant.clone(),
            };
            let places = std::iter::repeat_with(place).take(room).collect();
            rooms.insert(merchant.clone(), places);
        }
        Rooms(rooms)
    }

    /// Remembers how a merchant's server fares.
    pub(super) fn note(&self, merchant: &MerchantCode, outcome: TryOutcome) {
        let mut road = self.road();
        let lane = road.lanes.entry(merchant.clone()).or_default();
        lane.ails = outcome != TryOutcome::Delivered;
    }

    /// Whether something may be done now: not again within so long.
    pub(super) fn may_cry(&self, cry: Cry, now: Instant, every: Duration) -> bool {
        let mut road = self.road();
        let every = chrono::Duration::from_std(every).unwrap_or_default();
        if road.cried.get(&cry).is_some_and(|at| now - *at < every) {
            return false;
        }
        road.cried.insert(cry, now);
        true
    }
}

impl Rooms {
    /// How many places each merchant has.
    pub(super) fn sizes(&self) -> Vec<(MerchantCode, i64)> {
        let size = |places: &Vec<Place>| i64::try_from(places.len()).unwrap_or(0);
        self.0
            .iter()
            .map(|(merchant, places)| (merchant.clone(), size(places)))
            .collect()
    }

    /// Takes a place of a merchant.
    pub(super) fn take(&mut self, merchant: &MerchantCode) -> Option<Place> {
        self.0.get_mut(merchant)?.pop()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut road = self.lanes.road();
        road.under_way = road.under_way.saturating_sub(1);
        if let Some(lane) = road.lanes.get_mut(&self.merchant) {
            lane.under_way = lane.under_way.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(texts: &[&str]) -> Vec<MerchantCode> {
        let code = |text: &&str| MerchantCode::try_new(*text).unwrap();
        texts.iter().map(code).collect()
    }

    fn sizes(rooms: &Rooms) -> Vec<(String, i64)> {
        let sizes = rooms.sizes().into_iter();
        sizes.map(|(code, n)| (code.to_string(), n)).collect()
    }

    fn options(parallel: usize, parallel_per_merchant: usize) -> NotifyOptions {
        NotifyOptions {
            parallel,
            parallel_per_merchant,
            ..NotifyOptions::default()
        }
    }

    #[test]
    fn nobody_has_more_than_its_own_lane() {
        let lanes = Lanes::default();
        let options = options(10, 3);
        let first = lanes.claim(codes(&["a", "b"]), &options);
        assert_eq!(sizes(&first), [("a".to_owned(), 3), ("b".to_owned(), 3)]);
        assert!(sizes(&lanes.claim(codes(&["a", "b"]), &options)).is_empty());
        let second = lanes.claim(codes(&["a", "c", "d"]), &options);
        assert_eq!(sizes(&second), [("c".to_owned(), 3), ("d".to_owned(), 1)]);
        drop(first);
        let third = lanes.claim(codes(&["a"]), &options);
        assert_eq!(sizes(&third), [("a".to_owned(), 3)]);
    }

    #[test]
    fn who_was_served_last_comes_last() {
        let lanes = Lanes::default();
        let options = options(2, 1);
        let served = |due: &[&str]| sizes(&lanes.claim(codes(due), &options));
        let all = ["a", "b", "c"];
        assert_eq!(served(&all), [("a".to_owned(), 1), ("b".to_owned(), 1)]);
        assert_eq!(served(&all), [("a".to_owned(), 1), ("c".to_owned(), 1)]);
    }

    #[test]
    fn who_fails_has_one_place_until_it_answers() {
        let lanes = Lanes::default();
        let options = options(100, 8);
        let [ill] = <[MerchantCode; 1]>::try_from(codes(&["ill"])).unwrap();
        let room = |lanes: &Lanes| lanes.claim(vec![ill.clone()], &options).sizes()[0].1;
        assert_eq!(room(&lanes), 8);
        lanes.note(&ill, TryOutcome::TimedOut);
        assert_eq!(room(&lanes), 1);
        lanes.note(&ill, TryOutcome::Delivered);
        assert_eq!(room(&lanes), 8);
    }

    #[test]
    fn the_same_is_cried_about_once_in_a_while() {
        let lanes = Lanes::default();
        let [ill] = <[MerchantCode; 1]>::try_from(codes(&["ill"])).unwrap();
        let at = |s| Instant::UNIX_EPOCH + chrono::Duration::seconds(s);
        let may = |cry: &Cry, s| lanes.may_cry(cry.clone(), at(s), Duration::from_secs(60));
        let cries = [0, 1, 59, 60, 61].map(|s| may(&Cry::GivenUp(ill.clone()), s));
        assert_eq!(cries, [true, false, false, true, false]);
        let others = [Cry::Late(ill), Cry::NoKey, Cry::Looked].map(|cry| may(&cry, 61));
        assert_eq!(others, [true; 3]);
    }
}
