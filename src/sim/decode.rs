//! Bodies for the back door, read strictly: whatever is wrong is answered by the name of its field.
//!
//! The decoder says what is wrong, and not always where. The field is found by leaving fields out,
//! one more each time, until the complaint is another one: the last that was left out had it.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a body; `Err` says what is wrong with it.
pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| {
        if body.trim_ascii().is_empty() {
            return "the body is empty; it has to be a JSON object".to_owned();
        }
        if !error.is_data() {
            return format!("the body is not JSON: {error}");
        }
        let Ok(value @ Value::Object(_)) = serde_json::from_slice(body) else {
            return "the body has to be a JSON object".to_owned();
        };
        let complaint = complaint::<T>(value.clone());
        let complaint = complaint.unwrap_or_else(|| error.to_string());
        match field::<T>(&value, &|all| all) {
            Some(path) => format!("{path}: {complaint}"),
            None => complaint,
        }
    })
}

fn complaint<T: DeserializeOwned>(value: Value) -> Option<String> {
    let read = serde_json::from_value::<T>(value);
    read.err().map(|error| error.to_string())
}

/// The path to the field that the decoder complains about; `whole` puts this part of the body back
/// in its place. None where no single field is to blame, as when one is missing.
fn field<T: DeserializeOwned>(part: &Value, whole: &dyn Fn(Value) -> Value) -> Option<String> {
    let Value::Object(fields) = part else {
        return None;
    };
    let said = complaint::<T>(whole(part.clone()));
    let mut left = fields.clone();
    let (name, inner) = fields.iter().find(|(name, _)| {
        left.remove(*name);
        complaint::<T>(whole(Value::Object(left.clone()))) != said
    })?;
    let deeper = field::<T>(inner, &|inner| {
        let mut all = fields.clone();
        all.insert(name.clone(), inner);
        whole(Value::Object(all))
    });
    Some(match deeper {
        Some(deeper) => format!("{name}.{deeper}"),
        None => name.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::faults::FaultSpec;
    use super::decode;

    #[test]
    fn what_is_wrong_is_said_with_the_name_of_its_field() {
        for (body, said) in [
            ("", "the body is empty"),
            (" \n", "the body is empty"),
            ("{", "the body is not JSON: EOF"),
            ("{\"op\":\"PAY\",}", "the body is not JSON: trailing comma"),
            ("7", "the body has to be a JSON object"),
            ("{}", "missing field `op`"),
            (
                "{\"op\":\"XX\"}",
                "op: unknown variant `XX`, expected one of `PAY`",
            ),
            (
                "{\"op\":\"PAY\",\"effect\":\"XX\"}",
                "effect: unknown variant",
            ),
            ("{\"op\":\"PAY\",\"bank\":\"XX\"}", "bank: unknown variant"),
            ("{\"op\":\"PAY\",\"times\":-1}", "times: invalid value"),
            (
                "{\"op\":\"PAY\",\"later_ms\":\"1\",\"times\":\"1\"}",
                "times: invalid type: string",
            ),
            (
                "{\"op\":\"PAY\",\"answer\":{\"status\":\"1\"}}",
                "answer.status: invalid type: string",
            ),
            (
                "{\"op\":\"PAY\",\"answer\":{\"http\":200,\"headers\":{\"a\":1}}}",
                "answer.headers.a: invalid type: integer",
            ),
            ("{\"op\":\"PAY\",\"answer\":7}", "answer: invalid type"),
            ("{\"op\":\"PAY\",\"anser\":7}", "unknown field `anser`"),
            ("{\"op\":\"PAY\",\"op\":\"ANY\"}", "duplicate field `op`"),
        ] {
            let error = decode::<FaultSpec>(body.as_bytes()).unwrap_err();
            assert!(error.contains(said), "{body}: {error}");
        }
    }
}
