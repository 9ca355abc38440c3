//! How far it is, for somebody who sits before a terminal: a bar on standard error. Nothing elsewhere.

use crate::domain::progress::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// A bar for one piece of work.
pub(super) struct ShownProgress(ProgressBar);

impl ShownProgress {
    /// A bar that counts up to a number, if there is somebody to see it.
    pub(super) fn new(what: &str, total: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        const BAR: &str = "{msg:28} {bar:40} {percent:>3} %  {elapsed_precise}  {eta} left";
        let bar = ProgressBar::new(total).with_message(what.to_owned());
        let style = ProgressStyle::with_template(BAR);
        Self(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }
}

impl Progress for ShownProgress {
    fn at(&self, done: u64, total: Option<u64>) {
        if let Some(total) = total {
            self.0.set_length(total);
        }
        self.0.set_position(done);
    }
}

impl Drop for ShownProgress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
