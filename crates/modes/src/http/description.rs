//! The parts from which dialects build the description of their addresses in OpenAPI 3.1.

use std::collections::BTreeMap;

use ai_integration_contract::{Field, InputsSchema, Kind, Outputs, Shape};
use serde_json::{Map, Value, json};

use crate::http::failure::{Reason, Refusal};
use crate::http::inputs::call::MIXED;

/// The reasons for which any request may fail.
const ANY: [Reason; 6] = [
    Reason::Failed(Kind::MalformedRequest),
    Reason::Refused(Refusal::Unauthorized),
    Reason::Refused(Refusal::UriTooLong),
    Reason::Refused(Refusal::Misdirected),
    Reason::Refused(Refusal::RateLimited),
    Reason::Refused(Refusal::UnsupportedTransferCoding),
];

/// The name of the schema of the result, if the author has declared one.
pub(crate) const RESULT: &str = "Result";

/// A part of the OpenAPI document: addresses, and the schemas to which they refer.
#[derive(Debug, Default)]
pub(crate) struct Description {
    /// The operations of each address: an object with a member for each method.
    pub(crate) paths: Map<String, Value>,
    /// The schemas by name, for `#/components/schemas/`.
    pub(crate) schemas: Map<String, Value>,
}

/// The encoding of inputs. The description of a file depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Urlencoded,
    Multipart,
}

impl Description {
    /// Adds an operation.
    pub(crate) fn at(mut self, address: &str, method: &str, operation: Value) -> Self {
        self.merge_operation(address, method, operation);
        self
    }

    /// Adds a schema.
    pub(crate) fn schema(mut self, name: &str, schema: Value) -> Self {
        self.schemas.insert(name.to_owned(), schema);
        self
    }

    /// Adds everything in another description.
    pub(crate) fn merge(&mut self, other: Description) {
        for (address, operations) in other.paths {
            let Value::Object(operations) = operations else { continue };
            for (method, operation) in operations {
                self.merge_operation(&address, &method, operation);
            }
        }
        self.schemas.extend(other.schemas);
    }

    fn merge_operation(&mut self, address: &str, method: &str, mut operation: Value) {
        let operations = self.paths.entry(address).or_insert_with(|| json!({}));
        if let Some(other) = operations.get_mut(method) {
            unite(&mut operation, other);
        }
        operations[method] = operation;
    }
}

/// Adds what another dialect describes for the same address and method: bodies and responses. OpenAPI
/// has one operation for both.
fn unite(operation: &mut Value, other: &Value) {
    if operation.get("requestBody").is_some() {
        unite_content(&mut operation["requestBody"], other["requestBody"].clone());
    }
    let Value::Object(responses) = &other["responses"] else { return };
    if let (Some(default), Some(own)) =
        (responses.get("default"), operation["responses"].as_object_mut())
    {
        let failed = own.iter_mut().filter(|(status, _)| !responses.contains_key(*status));
        failed.for_each(|(_, own)| unite_content(own, default.clone()));
    }
    for (status, response) in responses {
        let own = &mut operation["responses"][status];
        if own.is_null() {
            *own = response.clone();
        } else {
            unite_content(own, response.clone());
        }
    }
}

/// Adds the media types of `other`. A media type that both have may have either schema.
fn unite_content(own: &mut Value, mut other: Value) {
    let Value::Object(types) = other["content"].take() else { return };
    for (media, described) in types {
        let own = &mut own["content"][&media];
        if own.is_null() {
            *own = described;
        } else if own["schema"] != described["schema"] {
            own["schema"] = json!({"anyOf": [own["schema"].take(), described["schema"]]});
        }
    }
}

/// Describes an operation without inputs. It may fail for the reasons of any request, and for those in
/// `more`.
pub(crate) fn operation(id: &str, summary: &str, response: Value, more: &[Reason]) -> Value {
    json!({
        "operationId": id,
        "summary": summary,
        "responses": responses(response, problems(ANY.iter().chain(more).copied())),
    })
}

/// Lists the reasons for which a request to the model may fail: all but those of unknown addresses and
/// wrong methods.
pub(crate) fn reasons_of_a_run() -> impl Iterator<Item = Reason> {
    let elsewhere =
        [Reason::Refused(Refusal::NotFound), Reason::Refused(Refusal::MethodNotAllowed)];
    Reason::all().filter(move |reason| !elsewhere.contains(reason))
}

/// Describes the responses to failures for these reasons, by status.
pub(crate) fn problems(reasons: impl Iterator<Item = Reason>) -> BTreeMap<u16, Value> {
    let mut titles = BTreeMap::<u16, Vec<&str>>::new();
    for reason in reasons {
        titles.entry(reason.status().as_u16()).or_default().push(reason.title());
    }
    let problem = |(status, titles): (u16, Vec<&str>)| {
        let reference = json!({"schema": {"$ref": "#/components/schemas/Problem"}});
        let types = json!({"application/problem+json": reference});
        let mut response = content(&titles.join(", or "), &types);
        if matches!(status, 429 | 503) {
            let header = json!({"$ref": "#/components/headers/RetryAfter"});
            response["headers"] = json!({"Retry-After": header});
        }
        (status, response)
    };
    titles.into_iter().map(problem).collect()
}

/// Puts together the responses of an operation: `success` for status 200, and the others by status.
pub(crate) fn responses(success: Value, others: impl IntoIterator<Item = (u16, Value)>) -> Value {
    let others = others.into_iter().map(|(status, other)| (status.to_string(), other));
    let all = [("200".to_owned(), success)].into_iter().chain(others);
    all.collect::<Map<_, _>>().into()
}

/// Describes a response that has one of these media types.
pub(crate) fn content(description: &str, types: &Value) -> Value {
    json!({"description": description, "content": types})
}

/// Describes a response that is a JSON object.
pub(crate) fn json_response(description: &str) -> Value {
    content(description, &json!({"application/json": {"schema": {"type": "object"}}}))
}

/// Describes the response to a request that fails: JSON of this schema, or a problem document if the
/// request is refused before its dialect is known.
pub(crate) fn failed(error: &Value) -> Value {
    let types = json!({
        "application/json": {"schema": error},
        "application/problem+json": {"schema": reference("Problem")},
    });
    content("There is no answer", &types)
}

/// Refers to a schema in the document.
pub(crate) fn reference(schema: &str) -> Value {
    json!({"$ref": place(schema)})
}

/// Returns the place of a schema in the document.
pub(crate) fn place(schema: &str) -> String {
    format!("#/components/schemas/{schema}")
}

/// Describes a result by what the author declares about it.
pub(crate) fn result(outputs: &Outputs) -> Value {
    if outputs.schema().is_some() {
        json!({"$ref": place(RESULT)})
    } else if is_text(outputs) {
        json!({"type": "string"})
    } else {
        json!({})
    }
}

/// Describes the response that is a result, by media type. A result that is neither text nor JSON may
/// be a list.
pub(crate) fn result_content(outputs: &Outputs) -> Value {
    let any = json!({"schema": {}});
    let Some(media) = outputs.media_type() else {
        return json!({"*/*": any, MIXED: any});
    };
    let mut content = json!({"text/event-stream": {"schema": {"type": "string"}}});
    if !outputs.is_json() && !is_text(outputs) {
        let urls = json!({"type": "array", "items": {"type": "string", "format": "uri"}});
        content["application/json"] = json!({"schema": urls});
        content[MIXED] = any;
    }
    content[media] = json!({"schema": result(outputs)});
    content
}

fn is_text(outputs: &Outputs) -> bool {
    !outputs.is_json() && outputs.media_type().is_some_and(|media| media.starts_with("text/"))
}

/// Describes the body of a request to the model, in each format that the server reads.
pub(crate) fn body(schema: &InputsSchema) -> Value {
    let encoded = |encoding| json!({"schema": inputs(schema, encoding)});
    let mut multipart = encoded(Encoding::Multipart);
    let types: Map<String, Value> = schema.fields().iter().filter_map(content_type).collect();
    if !types.is_empty() {
        multipart["encoding"] = types.into();
    }
    json!({
        "required": schema.fields().values().any(|field| field.required),
        "content": {
            "multipart/form-data": multipart,
            "application/x-www-form-urlencoded": encoded(Encoding::Urlencoded),
            "application/json": encoded(Encoding::Json),
        },
    })
}

/// Returns the media types that a part of a form may have, if the schema lists them.
fn content_type((name, field): (&String, &Field)) -> Option<(String, Value)> {
    let media_types = media_types(field);
    (!media_types.is_empty())
        .then(|| (name.clone(), json!({"contentType": media_types.join(", ")})))
}

/// Returns the media types of the formats that the schema lists for a file.
fn media_types(field: &Field) -> Vec<&str> {
    match field.shape() {
        Shape::Blob { media } => field.constraints.formats.media_types(media).collect(),
        _ => Vec::new(),
    }
}

/// Describes the inputs of one job, as an object.
pub(crate) fn inputs(schema: &InputsSchema, encoding: Encoding) -> Value {
    let fields = schema.fields();
    let properties: Map<String, Value> =
        fields.iter().map(|(name, field)| (name.clone(), property(field, encoding))).collect();
    let required: Vec<&String> =
        fields.iter().filter(|(_, field)| field.required).map(|(name, _)| name).collect();
    // Inputs that the schema does not have are passed to the model. In a form each has one value.
    let scalar = json!({"type": ["string", "number", "boolean"]});
    let others = if encoding == Encoding::Json { json!(true) } else { scalar };
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": others,
        // A name must not have control characters.
        "propertyNames": {"pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"},
    })
}

/// Describes one input in JSON Schema 2020-12.
fn property(field: &Field, encoding: Encoding) -> Value {
    let item = item(field, encoding);
    let mut property = match &field.items {
        None => item,
        Some(count) => {
            let mut list = json!({"type": "array", "items": item});
            let least = Some(count.min).filter(|min| *min > 0);
            for (key, bound) in [("minItems", least), ("maxItems", count.max)] {
                if let Some(bound) = bound {
                    list[key] = bound.into();
                }
            }
            list
        }
    };
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            property[key] = value;
        }
    };
    set("description", field.description.clone().map(Value::from));
    set("default", field.default.clone());
    set("examples", Some(&field.examples).filter(|list| !list.is_empty()).map(|list| json!(list)));
    property
}

/// Describes one value of an input.
fn item(field: &Field, encoding: Encoding) -> Value {
    let mut property = match field.shape() {
        Shape::Text { format: None } => json!({"type": "string"}),
        Shape::Text { format } => json!({"type": "string", "format": format}),
        Shape::Blob { media } => {
            // JSON Schema has no list of media types.
            let listed = media_types(field);
            let media = if let [only] = listed[..] { only } else { media };
            if encoding == Encoding::Multipart {
                json!({"type": "string", "contentMediaType": media})
            } else {
                json!({"type": "string", "contentEncoding": "base64", "contentMediaType": media})
            }
        }
        Shape::Number { whole } => {
            json!({"type": if whole { "integer" } else { "number" }})
        }
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Choice => json!({"enum": field.constraints.choices}),
        Shape::Json if encoding == Encoding::Json => json!({}),
        Shape::Json => json!({"type": "string", "contentMediaType": "application/json"}),
    };
    for (key, bound) in [("minimum", &field.constraints.min), ("maximum", &field.constraints.max)] {
        if let Some(bound) = bound {
            property[key] = bound.clone().into();
        }
    }
    property
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_dialects_may_share_an_address() {
        let operation = |id: &str, body: &str, status: &str, schema: &str| {
            json!({
                "operationId": id,
                "requestBody": {"content": {body: {"schema": {"type": schema}}}},
                "responses": {status: {"content": {"a/b": {"schema": {"type": schema}}}}},
            })
        };
        let mut all =
            Description::default().at("/", "post", operation("first", "x/y", "200", "null"));
        let second = operation("second", "x/z", "200", "string");
        all.merge(Description::default().at("/", "post", second));
        let third = operation("third", "x/y", "400", "null");
        all.merge(Description::default().at("/", "post", third));
        let either = json!({"anyOf": [{"type": "string"}, {"type": "null"}]});
        let expected = json!({
            "operationId": "third",
            "requestBody": {"content": {
                "x/y": {"schema": {"type": "null"}},
                "x/z": {"schema": {"type": "string"}},
            }},
            "responses": {
                "400": {"content": {"a/b": {"schema": {"type": "null"}}}},
                "200": {"content": {"a/b": {"schema": either}}},
            },
        });
        assert_eq!(all.paths["/"]["post"], expected);
    }

    #[test]
    fn a_text_has_its_format() {
        let (schema, _) = InputsSchema::parse(&json!({"d": "date", "t": "datetime", "x": "text"}));
        let properties = json!({
            "d": {"type": "string", "format": "date"},
            "t": {"type": "string", "format": "date-time"},
            "x": {"type": "string"},
        });
        for encoding in [Encoding::Json, Encoding::Urlencoded, Encoding::Multipart] {
            assert_eq!(inputs(&schema, encoding)["properties"], properties);
        }
    }
}
