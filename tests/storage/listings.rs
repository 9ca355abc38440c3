//! Listings: pages in both directions, and what belongs to orders by its orders.

use super::{in_doubt, new, open, open_case};
use crate::support::database::TestDatabase;
use crate::support::given;
use payhall::domain::time::BusinessDate;
use payhall::storage::orders::{Filter, Page};
use payhall::storage::{cases, exceptions, orders};

#[tokio::test]
async fn a_listing_pages_in_both_directions_without_gaps() {
    for database in TestDatabase::all() {
        let store = open(&database, "a");
        let news = (1..=25).map(|digits| store.create(new(&given::order(digits))));
        futures_util::future::join_all(news).await;
        let list = |after: Option<String>, before: Option<String>, filter: Filter| {
            let page = Page {
                after,
                before,
                limit: 10,
            };
            let store = store.clone();
            async move {
                let rows = store
                    .read(move |c| orders::list(c, &filter, &page))
                    .await
                    .unwrap();
                rows.into_iter()
                    .map(|order| order.order_no.to_string())
                    .collect::<Vec<_>>()
            }
        };
        let all = Filter::default();
        let first = list(None, None, all.clone()).await;
        let second = list(first.last().cloned(), None, all.clone()).await;
        let third = list(second.last().cloned(), None, all.clone()).await;
        let seen: Vec<_> = [first.clone(), second.clone(), third].concat();
        let expected: Vec<_> = (1..=25).rev().map(given::number).collect();
        assert_eq!(seen, expected, "{}", database.kind);
        let back = list(None, second.first().cloned(), all.clone()).await;
        assert_eq!(back, first, "{}: backwards", database.kind);
        let none = Filter {
            merchant: Some("other".to_owned()),
            ..all.clone()
        };
        assert!(list(None, None, none).await.is_empty());
        let day = Filter {
            from: Some(given::date()),
            to: Some(given::date()),
            ..all
        };
        assert_eq!(list(None, None, day).await.len(), 10);
        store.close().await;
    }
}

#[tokio::test]
async fn exceptions_and_cases_are_listed_by_their_orders() {
    for database in TestDatabase::all() {
        let store = open(&database, "a");
        for digits in 1..=3 {
            in_doubt(&store, digits).await;
            let case = open_case(digits);
            assert!(store.solo(move |tx| tx.open_case(&case)).await.unwrap());
        }
        let list = async |orders: Filter| {
            let of = orders.clone();
            let filter = exceptions::Filter {
                orders,
                ..exceptions::Filter::default()
            };
            let read = move |c: &mut _| exceptions::list(c, &filter, None, 10);
            let exceptions = store.read(read).await.unwrap().into_iter();
            let exceptions = exceptions.map(|one| one.order_no.to_string());
            let filter = cases::Filter {
                orders: of,
                ..cases::Filter::default()
            };
            let read = move |c: &mut _| cases::list(c, &filter, None, 10);
            let cases = store.read(read).await.unwrap().into_iter();
            let cases: Vec<_> = cases
                .map(|one| one.order_no.expect("it is about one").to_string())
                .collect();
            assert_eq!(exceptions.collect::<Vec<_>>(), cases, "{}", database.kind);
            cases
        };
        let text = |text: &str| Some(text.to_owned());
        let all = Filter::default();
        let newest_first = [3, 2, 1].map(given::number);
        let alike = Filter {
            states: vec!["UNKNOWN".to_owned(), "MANUAL".to_owned()],
            merchant: text("portal"),
            biller: text("sh-telecom"),
            bill_no: None,
            from: Some(given::date()),
            to: Some(given::date()),
        };
        assert_eq!(list(all.clone()).await, newest_first, "{}", database.kind);
        assert_eq!(list(alike.clone()).await, newest_first, "{}", database.kind);
        let one = Filter {
            bill_no: Some(given::order(2).bill_no.to_string()),
            ..alike
        };
        assert_eq!(list(one).await, [given::number(2)], "{}", database.kind);
        let (mut state, mut merchant, mut biller) = (all.clone(), all.clone(), all.clone());
        state.states = vec!["SUCCEEDED".to_owned()];
        merchant.merchant = text("other");
        biller.biller = text("other");
        let (mut later, mut earlier) = (all.clone(), all);
        later.from = given::date().0.succ_opt().map(BusinessDate);
        earlier.to = given::date().0.pred_opt().map(BusinessDate);
        for none in [state, merchant, biller, later, earlier] {
            assert!(list(none.clone()).await.is_empty(), "{none:?}");
        }
        store.close().await;
    }
}
