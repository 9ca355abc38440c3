//! Group read: orders that are asked for at the same time are read with one statement. Like a writer, it
//! takes whatever is there, and there is one of it: it never waits for company.
//!
//! It reads the database and nothing else, after the question was asked: whoever has seen a commit
//! finds it here.

use super::StoreError;
use super::connection::{AnyConnection, Opener};
use super::orders::{self, OrderRow};
use super::queue::Queue;
use crate::domain::ids::OrderNo;
use crate::domain::order::Order;
use diesel::r2d2::ManageConnection;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A question for one order, and where its answer goes.
pub(super) struct Question {
    pub order_no: OrderNo,
    pub reply: oneshot::Sender<Result<Option<Order>, StoreError>>,
}

/// The thread that reads orders by number, with a connection of its own.
pub(super) struct Finder {
    pub opener: Opener,
    pub questions: Arc<Queue<Question>>,
    /// At most so many orders share a statement.
    pub batch_max: usize,
}

impl Finder {
    /// Answers until nobody can ask any more.
    pub fn run(self) {
        let mut connection = None;
        let mut seat = self.questions.seat();
        while let Some(questions) = seat.next(self.batch_max) {
            let numbers: Vec<&OrderNo> = questions.iter().map(|asked| &asked.order_no).collect();
            match self.read(&mut connection, &numbers) {
                Ok(rows) => answer(questions, rows),
                Err(error) => {
                    for question in questions {
                        let _ = question.reply.send(Err(error.again()));
                    }
                }
            }
        }
    }

    /// Reads the rows. A connection that broke since it was last used is replaced once.
    fn read(
        &self,
        connection: &mut Option<AnyConnection>,
        numbers: &[&OrderNo],
    ) -> Result<Vec<OrderRow>, StoreError> {
        let is_used = connection.is_some();
        let c = match connection {
            Some(c) => c,
            None => connection.insert(self.opener.connect()?),
        };
        let rows = orders::rows_of(c, numbers);
        if rows.is_err() && self.opener.has_broken(c) {
            *connection = None;
            if is_used {
                return self.read(connection, numbers);
            }
        }
        rows
    }
}

/// Each question gets its own order; a row that cannot be read harms nobody else's.
fn answer(questions: Vec<Question>, rows: Vec<OrderRow>) {
    let rows: HashMap<String, OrderRow> = rows
        .into_iter()
        .map(|row| (row.order_no.clone(), row))
        .collect();
    for Question { order_no, reply } in questions {
        let row = rows.get(order_no.as_str()).cloned();
        let _ = reply.send(row.map(Order::try_from).transpose());
    }
}
