"""The modules of the explorer that do no I/O, in a real browser."""

import json
from typing import Any

import pytest

from tests.browser.conftest import Evaluate

FORM = """
    const { nodeOf, initial, holds, fits, optionFor, placeOf } =
        await import("/static/pages/explore/form-model.js");
"""


def node(run: Evaluate, schema: dict[str, Any], more: str = "node.kind") -> Any:
    return run(f"{FORM} const node = nodeOf({json.dumps(schema)}); return {more};")


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string"}, "string"),
        ({"minLength": 1}, "string"),
        ({"type": "integer"}, "integer"),
        ({"maximum": 1}, "number"),
        ({"type": "boolean"}, "boolean"),
        ({"enum": ["a", 1]}, "enum"),
        ({"const": {"a": 1}}, "const"),
        ({"type": "null"}, "null"),
        ({"type": "object", "properties": {"a": {}}}, "object"),
        ({"type": "object"}, "json"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "json"),
        ({"type": "array"}, "array"),
        ({"prefixItems": [{}]}, "array"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string"),
        ({"type": ["number", "null"]}, "number"),
        ({"type": ["number", "string"]}, "choice"),
        ({"oneOf": [{"const": "a"}, {"enum": ["b", "c"]}]}, "enum"),
        ({"oneOf": [{"type": "object", "properties": {"a": {}}}, {"type": "string"}]}, "choice"),
        ({"allOf": [{"type": "object", "properties": {"a": {}}}, {"required": ["a"]}]}, "object"),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "boolean"}}}, "boolean"),
        ({"$ref": "https://elsewhere.example/x"}, "json"),
        ({}, "json"),
        (True, "json"),
        ({"not": {}}, "json"),
    ],
)
def test_a_schema_has_a_kind_of_control(run: Evaluate, schema: dict[str, Any], kind: str) -> None:
    assert node(run, schema) == kind


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, ""),
        ({"type": "number"}, None),
        ({"type": "number", "default": 7}, 7),
        ({"enum": ["a", "b"]}, "a"),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": None}, False),
        ({"type": "array", "items": {"const": 1}, "minItems": 2}, [1, 1]),
        (
            {
                "type": "object",
                "required": ["a", "n", "o"],
                "properties": {
                    "a": {"type": "string"},
                    "b": {"type": "string", "default": "x"},
                    "n": {"type": "number"},
                    "o": {"type": "object", "required": ["k"], "properties": {"k": {"const": 2}}},
                },
            },
            {"a": "", "o": {"k": 2}},
        ),
    ],
)
def test_a_form_begins_with_what_is_required(
    run: Evaluate, schema: dict[str, Any], value: Any
) -> None:
    assert node(run, schema, "initial(node) ?? null") == value


def test_a_schema_that_contains_itself_ends(run: Evaluate) -> None:
    tree = {"$ref": "#/$defs/t", "$defs": {"t": {"type": "object", "required": ["t"]}}}
    tree["$defs"]["t"]["properties"] = {"t": {"$ref": "#/$defs/t"}}  # type: ignore[index]
    assert node(run, tree, "JSON.stringify(initial(node)).length < 200") is True


@pytest.mark.parametrize(
    ("value", "option"),
    [
        ('{"kind":"b","x":1}', 1),
        ('{"kind":"a"}', 0),
        ('{"kind":"c"}', 0),
        ('"text"', 2),
        ("[]", -1),
    ],
)
def test_the_option_of_a_union_is_the_one_that_fits(run: Evaluate, value: str, option: int) -> None:
    objects = [
        {"type": "object", "required": ["kind"], "properties": {"kind": {"const": kind}}}
        for kind in "ab"
    ]
    union = {"oneOf": [*objects, {"type": "string"}]}
    assert node(run, union, f"optionFor(node, {value})") == option


@pytest.mark.parametrize(
    ("schema", "value", "held"),
    [
        ({"type": "string"}, '"a\\nb"', True),
        ({"type": "string"}, '"a\\rb"', False),  # a text field would change it
        ({"type": "string", "format": "email"}, '"a\\nb"', False),
        ({"type": "string", "format": "date"}, '"2026-11-22"', True),
        ({"type": "string", "format": "date"}, '"tomorrow"', False),
        ({"type": "integer"}, "12345678901234567890n", True),
        ({"type": "number"}, '"1"', False),
        ({"type": "string"}, "null", False),
        ({"type": ["string", "null"]}, "null", True),
        ({"enum": [{"a": 1}]}, "{ a: 1 }", True),
    ],
)
def test_a_control_holds_what_it_does_not_change(
    run: Evaluate, schema: dict[str, Any], value: str, held: object
) -> None:
    assert node(run, schema, f"holds(node, {value})") is held


def test_a_fault_is_at_the_place_that_its_pointer_names(run: Evaluate) -> None:
    faults = [
        {"pointer": "/a~1b/0/c~0", "message": "no"},
        {"pointer": "", "message": "no"},
        {"pointer": "/lines/0", "message": '"s\\"u" is a required property'},
    ]
    assert run(f"{FORM} return {json.dumps(faults)}.map(placeOf);") == [
        ["a/b", "0", "c~"],
        [],
        ["lines", "0", 's"u'],
    ]


def test_numbers_keep_their_digits_and_names_stay_names(run: Evaluate) -> None:
    text = '{"n":[12345678901234567890,-0.5,1e3],"__proto__":{"a":"\\u2028"},"e":{}}'
    script = f"""
        const {{ parse, stringify, partsOf }} = await import("/static/pages/explore/json.js");
        const value = parse({json.dumps(text)});
        return [stringify(value), stringify(value, 2), partsOf('{{"a": ["\\\\"", -1.5e3, null]}}')];
    """
    flat, indented, parts = run(script)
    assert flat == text.replace("1e3", "1000").replace("\\u2028", "\u2028")
    assert json.loads(indented) == json.loads(flat)
    assert parts == [
        ["{", ""], ['"a"', "key"], [":", ""], [" [", ""], ['"\\""', "string"], [", ", ""],
        ["-1.5e3", "number"], [", ", ""], ["null", "word"], ["]}", ""],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "match", "part"),
    [
        ("", ">", ""),
        (" iot.* ", "iot.*", ""),
        ("Hall", ">", "hall"),
        ("iot.hall.T", "iot.hall.>", "iot.hall.t"),
        (".x", ">", ".x"),
    ],
)
def test_a_search_asks_for_a_pattern(run: Evaluate, text: str, match: str, part: str) -> None:
    script = f"""
        const {{ searchOf }} = await import("/static/pages/explore/channel-search.js");
        return searchOf({json.dumps(text)});
    """
    assert run(script) == {"match": match, "part": part}


def test_a_search_for_a_part_reads_a_bounded_number_of_channels(run: Evaluate) -> None:
    script = """
        const { readChannels } = await import("/static/pages/explore/channel-search.js");
        const asked = [];
        const read = async ({ after = "-1", limit }) => {
            asked.push(limit);
            const begin = Number(after) + 1;
            const channels = Array.from({ length: limit }, (_, i) => ({ name: String(begin + i) }));
            return { channels, next: channels.at(-1).name, complete: true };
        };
        const rare = await readChannels(read, { match: ">", part: "77" });
        const none = await readChannels(read, { match: ">", part: "x" });
        const all = await readChannels(read, { match: ">", part: "" });
        return [rare.channels.length, rare.next, rare.channels[0].name,
                none.channels.length, none.next, none.looked, all.channels.length, asked];
    """
    found = run(script)
    assert found[0] <= 100
    assert found[2:7] == ["77", 0, "4999", 5000, 100]
    assert found[7] == [1000] * 10 + [100]


def test_a_token_is_left_out_of_frames(run: Evaluate) -> None:
    script = """
        const { Frames, LIMIT, linesOf } = await import("/static/pages/explore/frames.js");
        const frames = new Frames(() => {});
        class Socket extends EventTarget { send() {} }
        const socket = new (frames.recorded(Socket))("ws://h/v1/ws");
        socket.send('{"type":"auth","token":"secret"}');
        socket.send('{"type":"publish","data":"auth"}');
        const lines = linesOf(frames.all);
        for (let i = 0; i < 5000; i += 1) frames.add("received", "x".repeat(20000));
        return [lines.includes("secret"), lines.includes('"data":"auth"'),
                frames.all.length <= 2 * LIMIT, frames.all[0].text.length < 20000, frames.total];
    """
    assert run(script) == [False, True, True, True, 5003]
