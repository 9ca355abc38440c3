//! Many payments at once.

use super::client::{Client, Failed, OrderView};
use super::world::TOPUP;
use std::ops::Range;
use tokio::task::JoinSet;

/// The bill number of a top-up that behaves well at the simulated bank, a different one each.
pub fn good_bill(number: usize) -> String {
    // Endings from 9001 on have tricks of their own.
    format!("1380{:03}{:04}", number / 9_000, number % 9_000)
}

/// Pays a range of good bills, so many at a time, the callers taking turns.
pub async fn pay_many(
    callers: &[Client],
    bills: Range<usize>,
    at_once: usize,
) -> Vec<Result<OrderView, Failed>> {
    let mut answers = Vec::with_capacity(bills.len());
    let mut running = JoinSet::new();
    for number in bills {
        if running.len() == at_once {
            answers.extend(running.join_next().await);
        }
        let caller = callers[number % callers.len()].clone();
        running.spawn(async move {
            let (request, bill_no) = (format!("good-{number}"), good_bill(number));
            caller.pay(&request, (TOPUP, &bill_no), 5_000).await
        });
    }
    while let Some(answer) = running.join_next().await {
        answers.push(answer);
    }
    answers
        .into_iter()
        .map(|answer| answer.expect("no panic"))
        .collect()
}
