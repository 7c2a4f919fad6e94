//! The mode that reads the inputs dict as a pickle from standard input. Only plain data is read. No
//! code that a pickle names is executed; see [`crate::pickle`].

use ai_integration_contract::{InputsSchema, RawInputs, RawValue, number};
use serde_json::{Number, Value as Json};

use crate::mode::{Context, Mode, Running};
use crate::pickle::{self, Pickled};
use crate::stdin;

pub(crate) struct TestInputsPickledDict;

impl Mode for TestInputsPickledDict {
    fn name(&self) -> &'static str {
        "test_inputs_pickled_dict"
    }

    fn hint(&self) -> &'static str {
        "Pipe a pickle of the inputs dict in"
    }

    fn example(&self) -> Option<&'static str> {
        Some("docker run --rm -i -e MODE=test_inputs_pickled_dict IMAGE < dict.pkl")
    }

    fn run(&self, context: Context) -> Running {
        stdin::run_once(context, |bytes, model| read(&bytes, &model.schema))
    }
}

fn read(bytes: &[u8], schema: &InputsSchema) -> Result<RawInputs, String> {
    let pickled = pickle::decode(bytes).map_err(|error| error.to_string())?;
    let Pickled::Dict(entries) = pickled else {
        return Err("the pickle is not a dict of input names to values".to_owned());
    };
    let entries = entries.into_iter().map(|(key, value)| {
        let name = text(key)?;
        let is_list = schema.fields().get(&name).is_some_and(|field| field.items.is_some());
        let value = match value {
            Pickled::List(items) | Pickled::Tuple(items) if is_list => {
                RawValue::List(items.into_iter().map(item).collect::<Result<_, _>>()?)
            }
            value => raw(value)?,
        };
        Ok((name, value))
    });
    entries.collect()
}

/// Returns a dict's key as text. Python 2 writes text keys as bytes.
fn text(key: Pickled) -> Result<String, String> {
    match key {
        Pickled::Text(text) => Ok(text),
        Pickled::Bytes(bytes) => String::from_utf8(bytes).map_err(|error| error.to_string()),
        Pickled::Integer(number) => Ok(number.to_string()),
        other => Err(format!("the pickle has a dict with the key {other:?}; use text")),
    }
}

fn raw(value: Pickled) -> Result<RawValue, String> {
    Ok(match value {
        Pickled::Bytes(bytes) => RawValue::Bytes(bytes.into()),
        Pickled::Text(text) => RawValue::Text(text),
        other => RawValue::Json(json(other)?),
    })
}

/// Reads an item of a list. Text in a list is the value itself, and is not parsed as JSON.
fn item(value: Pickled) -> Result<RawValue, String> {
    Ok(match value {
        Pickled::Bytes(bytes) => RawValue::Bytes(bytes.into()),
        other => RawValue::Json(json(other)?),
    })
}

fn json(value: Pickled) -> Result<Json, String> {
    Ok(match value {
        Pickled::None => Json::Null,
        Pickled::Bool(yes) => yes.into(),
        Pickled::Integer(number) => number.into(),
        Pickled::BigInteger(digits) => {
            number::parse(&digits).map_err(|error| format!("the pickle has {error}"))?.into()
        }
        Pickled::Float(number) => Number::from_f64(number)
            .map(Json::Number)
            .ok_or_else(|| format!("{number} is not a finite number"))?,
        Pickled::Text(text) => text.into(),
        Pickled::Bytes(bytes) => String::from_utf8(bytes)
            .map_err(|_| "bytes inside a list or dict are not supported; give them as an input")?
            .into(),
        Pickled::List(items) | Pickled::Tuple(items) => {
            items.into_iter().map(json).collect::<Result<Vec<_>, _>>()?.into()
        }
        Pickled::Dict(entries) => entries
            .into_iter()
            .map(|(key, value)| Ok((text(key)?, json(value)?)))
            .collect::<Result<serde_json::Map<_, _>, String>>()?
            .into(),
    })
}
