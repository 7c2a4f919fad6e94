use serde_json::json;

use super::*;

fn nested(levels: usize) -> Json {
    (0..levels).fold(json!({}), |inner, _| json!({"items": inner}))
}

#[test]
fn what_is_declared_is_described() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"]},
            "required": {"enum": [1, null]},
            "box": {"prefixItems": [{"type": "number"}, true], "items": false},
        },
        "required": ["type"],
        "x-mine": {"type": 7},
    });
    for (given, described) in [
        (json!(null), json!(null)),
        (json!({}), json!(null)),
        (json!({"view": null, "schema": null}), json!(null)),
        (json!({"content_type": "image/png"}), json!({"content_type": "image/png"})),
        (
            json!({"content_type": "Text/Plain; charset=utf-8"}),
            json!({"content_type": "Text/Plain; charset=utf-8"}),
        ),
        (json!({"schema": schema}), json!({"content_type": "application/json", "schema": schema})),
        (json!({"view": "boxes"}), json!({"content_type": "application/json", "view": "boxes"})),
        (
            json!({"view": "raw", "schema": true, "content_type": "application/geo+json"}),
            json!({"view": "raw", "schema": true, "content_type": "application/geo+json"}),
        ),
        (
            json!({"schema": nested(49)}),
            json!({"content_type": "application/json", "schema": nested(49)}),
        ),
    ] {
        let outputs = Outputs::parse(&given);
        assert_eq!(outputs.mistakes(), [""; 0], "{given}");
        assert_eq!(outputs.describe(), described);
        assert_eq!(Outputs::parse(&described).describe(), described);
    }
}

#[test]
fn a_mistake_is_left_out_with_its_place_and_the_way_out() {
    let long = json!({"description": "x".repeat(MAX_SCHEMA)});
    let of_x = |x: Json| json!({"schema": {"properties": {"x": x}}});
    for (given, words) in [
        (json!(["image/png"]), "[\"image/png\"] is ignored: it is not a dict; give one such as"),
        (
            json!({"content-type": "a/b"}),
            "the key \"content-type\" is not known and is ignored: did you mean \"content_type\"?",
        ),
        (
            json!({"title": "a"}),
            "the key \"title\" is not known and is ignored: known: content_type, schema, view",
        ),
        (
            json!({"content_type": "png"}),
            "content_type is ignored: \"png\" is not a media type; give one such as image/png",
        ),
        (json!({"content_type": "image/*"}), "\"image/*\" is not a media type"),
        (json!({"content_type": "text/plain;\r\nx: y"}), "is not a media type"),
        (json!({"content_type": "text/plain; x=ü"}), "is not a media type"),
        (json!({"content_type": format!("text/plain; x={}", "y".repeat(1024))}), "… is not"),
        (json!({"content_type": 7}), "content_type is ignored: 7 is not a media type"),
        (
            json!({"view": "boxs"}),
            "view is ignored: \"boxs\" is not a view; did you mean \"boxes\"?",
        ),
        (
            json!({"view": ["picture"]}),
            "[\"picture\"] is not a view; known: boxes, labels, table, tree, raw",
        ),
        (
            json!({"schema": "object"}),
            "schema is ignored: expected a schema, such as {\"type\": \"object\"}, got \"object\"",
        ),
        (
            of_x(json!({"type": "float"})),
            "schema is ignored: at properties.x.type, \"float\" is not a type of JSON Schema; did you mean \"number\"?",
        ),
        (of_x(json!({"type": "strng"})), "did you mean \"string\"?"),
        (
            of_x(json!({"type": "picture"})),
            "known: array, boolean, integer, null, number, object, string",
        ),
        (of_x(json!({"type": []})), "at properties.x.type, [] is not a type"),
        (
            of_x(json!({"required": true})),
            "at properties.x.required, expected a list of names, got true",
        ),
        (of_x(json!({"enum": "a"})), "at properties.x.enum, expected a list of values, got \"a\""),
        (of_x(json!({"anyOf": [{}, 3]})), "at properties.x.anyOf[1], expected a schema"),
        (of_x(json!({"oneOf": {}})), "at properties.x.oneOf, expected a list of schemas, got {}"),
        (of_x(json!({"$ref": 1})), "at properties.x.$ref, expected a string, got 1"),
        (json!({"schema": {"properties": ["x"]}}), "at properties, expected a dict of schemas"),
        (json!({"schema": nested(51)}), "it is nested too deeply; at most 50 levels fit"),
        (json!({"schema": long}), "bytes as JSON, and at most 100000 fit; give a shorter one"),
        (
            json!({"content_type": "image/png", "schema": true}),
            "schema is ignored: the content type is image/png, and only JSON can have one",
        ),
        (
            json!({"content_type": "image/png", "view": "boxes"}),
            "view is ignored: the content type is image/png",
        ),
    ] {
        let outputs = Outputs::parse(&given);
        let [mistake] = outputs.mistakes() else { panic!("{given}: {:?}", outputs.mistakes()) };
        assert!(mistake.contains(words), "{mistake}\n{words}");
        let kept = outputs.describe();
        assert!(kept.is_null() || kept == json!({"content_type": "image/png"}), "{kept}");
    }
}

#[test]
fn references_follow_the_schema_to_its_place() {
    let schema = json!({
        "$ref": "#/$defs/Box",
        "$defs": {"Box": {
            "properties": {
                "inner": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
                "$ref": {"const": {"$ref": "#/x"}},
                "other": {"items": {"$ref": "https://example.org/box#/a"}},
            },
        }, "Own": {"$id": "own", "items": {"$ref": "#/a"}}},
    });
    let outputs = Outputs::parse(&json!({"schema": schema}));
    let moved = outputs.schema_at("#/here").unwrap();
    assert_eq!(moved["$ref"], "#/here/$defs/Box");
    let defined = &moved["$defs"]["Box"]["properties"];
    assert_eq!(defined["inner"]["anyOf"][0]["$ref"], "#/here");
    assert_eq!(defined["$ref"], json!({"const": {"$ref": "#/x"}}));
    assert_eq!(defined["other"]["items"]["$ref"], "https://example.org/box#/a");
    assert_eq!(moved["$defs"]["Own"]["items"]["$ref"], "#/a");
    assert_eq!(outputs.schema().unwrap()["$ref"], "#/$defs/Box");
}
