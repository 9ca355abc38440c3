//! How far a long piece of work has come, told to whoever wants to show it.

/// Takes word of how far something has come. Called often, from any thread: whoever stores or draws it
/// thins it out.
pub trait Progress: Send + Sync {
    /// So many of so many are done, of whatever the work counts (rows, lines, flows). `total` is none
    /// as long as nobody knows it; `done` never goes back within one piece of work.
    fn at(&self, done: u64, total: Option<u64>);
}

/// Nobody wants to know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn at(&self, _done: u64, _total: Option<u64>) {}
}
