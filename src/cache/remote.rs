//! Redis as a place of values: read one, write many, each through the version fence.
//!
//! The fence is a script, because only inside Redis are "read the version" and "write the value"
//! one step. It touches one key a call, so it runs on a cluster as well. A value whose version
//! cannot be read is replaced: garbage never blocks a key.

use super::link::{Link, Trouble};
use redis::{Cmd, ErrorKind, RedisResult, Script, ServerErrorKind, Value};
use std::time::Duration;

/// Sets `KEYS[1]` to `ARGV[2]` for `ARGV[3]` ms unless a version of at least `ARGV[1]` is there.
const FENCE: &str = r"
local held = redis.pcall('GETRANGE', KEYS[1], 0, 10)
if type(held) == 'string' then
    local version = string.match(held, '^(%d+)|')
    if version and tonumber(version) >= tonumber(ARGV[1]) then
        return 0
    end
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
";

/// One value on its way to Redis.
pub(super) struct Write {
    /// Where it goes.
    pub key: String,
    /// The version that the fence compares; `None` replaces whatever is there.
    pub version: Option<i32>,
    /// The text as stored.
    pub text: Vec<u8>,
    /// How long it lives there; at least a millisecond.
    pub life: Duration,
}

/// Redis, with the fence.
pub(super) struct Remote {
    link: Link,
    fence: Script,
}

impl Remote {
    /// Over a link that is ready.
    pub(super) fn new(link: Link) -> Self {
        Self {
            link,
            fence: Script::new(FENCE),
        }
    }

    /// The text under a key, if there is one.
    pub(super) async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, Trouble> {
        match self.link.ask(redis::cmd("GET").arg(key)).await? {
            Value::BulkString(text) => Ok(Some(text)),
            Value::Nil => Ok(None),
            _ => Err(Trouble::Garbage),
        }
    }

    /// Writes each value unless the fence holds it back; tells for each whether Redis now has this
    /// version or a newer one. Fails as a whole only where Redis as a whole does not serve.
    pub(super) async fn write(&self, writes: &[Write]) -> Result<Vec<bool>, Trouble> {
        let commands = writes.iter().map(|write| self.command(write, false));
        let answers = self.link.ask_all(commands.collect()).await?;
        let mut done: Vec<bool> = answers.iter().map(Result::is_ok).collect();
        let strangers: Vec<usize> = (0..writes.len())
            .filter(|index| answers.get(*index).is_some_and(is_unknown_script))
            .collect();
        if !strangers.is_empty() {
            // A server that was restarted does not know the script yet: EVAL carries it there.
            let again = strangers
                .iter()
                .map(|index| self.command(&writes[*index], true));
            let answers = self.link.ask_all(again.collect()).await?;
            for (index, answer) in strangers.into_iter().zip(answers) {
                done[index] = answer.is_ok();
            }
        }
        Ok(done)
    }

    /// Whether Redis answers, even if it rests.
    pub(super) async fn ping(&self) -> Result<(), Trouble> {
        self.link.send(&redis::cmd("PING")).await.map(drop)
    }

    fn command(&self, write: &Write, with_script: bool) -> Cmd {
        let life_ms = u64::try_from(write.life.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let Some(version) = write.version else {
            let mut set = Cmd::with_capacity(5, write.text.len() + 128);
            set.arg("SET").arg(&write.key).arg(&write.text);
            set.arg("PX").arg(life_ms);
            return set;
        };
        let mut eval = Cmd::with_capacity(7, write.text.len() + 256);
        if with_script {
            eval.arg("EVAL").arg(FENCE);
        } else {
            eval.arg("EVALSHA").arg(self.fence.get_hash());
        }
        eval.arg(1).arg(&write.key).arg(version).arg(&write.text);
        eval.arg(life_ms);
        eval
    }
}

fn is_unknown_script(answer: &RedisResult<Value>) -> bool {
    let unknown = ErrorKind::Server(ServerErrorKind::NoScript);
    matches!(answer, Err(error) if error.kind() == unknown)
}
