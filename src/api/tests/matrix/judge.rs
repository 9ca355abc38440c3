//! What a caller was told, beside what an administrator was told in clear.

use super::callers::Who;
use super::center::Center;
use super::rules::Rule;
use serde_json::Value;

impl Center {
    /// Whether an answer about an object of a type is what the rules let this caller see of it.
    pub fn judge(&self, who: Who, of: &str, clear: &Value, got: &Value) -> Result<(), String> {
        match (clear, got) {
            (Value::Array(clear), Value::Array(got)) if clear.len() == got.len() => {
                let mut pairs = clear.iter().zip(got);
                pairs.try_for_each(|(clear, got)| self.judge(who, of, clear, got))
            }
            (Value::Object(clear), Value::Object(got)) => {
                let mut fields = got.iter().filter(|(name, _)| *name != "__typename");
                fields.try_for_each(|(name, got)| {
                    let clear = clear.get(name).unwrap_or(&Value::Null);
                    self.judge_field(who, (of, name), clear, got)
                })
            }
            _ if clear == got => Ok(()),
            _ => Err(format!("{of}: told {got} in place of {clear}")),
        }
    }

    fn judge_field(
        &self,
        who: Who,
        (of, name): (&str, &str),
        clear: &Value,
        got: &Value,
    ) -> Result<(), String> {
        let field = format!("{of}.{name}");
        let (behind, _) = self.shape.behind(of, name);
        let in_clear = || self.judge(who, behind, clear, got);
        let told = || {
            Err(format!(
                "{field} told {got} where an administrator is told {clear}"
            ))
        };
        let may = |right: &str| self.rules.may(who.letter, right);
        match self.rules.of(&field) {
            Rule::Caller => Ok(()),
            Rule::With => in_clear(),
            Rule::Right(right) if may(right) => in_clear(),
            Rule::Right(_) => told(),
            Rule::Masked(right) | Rule::Hidden(right) | Rule::Part(right) if may(right) => {
                in_clear()
            }
            Rule::Masked(_)
                if clear.is_null() == got.is_null() && (got.is_null() || clear != got) =>
            {
                Ok(())
            }
            Rule::Hidden(_) if got.is_null() || got.as_array().is_some_and(Vec::is_empty) => Ok(()),
            Rule::Part(_) => self.judge_part(who, behind, clear, got),
            Rule::Names if who.is_staff() => in_clear(),
            Rule::Names => {
                let is_name = clear
                    .as_str()
                    .is_some_and(|text| text.starts_with("operator:"));
                let right = if is_name {
                    got == "operator"
                } else {
                    got == clear
                };
                if right { Ok(()) } else { told() }
            }
            Rule::Masked(_) | Rule::Hidden(_) => told(),
        }
    }

    /// Whether each of what was told is among what there is, in its order.
    fn judge_part(&self, who: Who, of: &str, clear: &Value, got: &Value) -> Result<(), String> {
        let (Some(clear), Some(got)) = (clear.as_array(), got.as_array()) else {
            return Err(format!("{of} is no list"));
        };
        let mut rest = clear.iter();
        for one in got {
            let is_it = |clear: &Value| self.judge(who, of, clear, one).is_ok();
            if !rest.any(is_it) {
                return Err(format!(
                    "{of}: {one} is not in its place among what there is"
                ));
            }
        }
        Ok(())
    }
}
