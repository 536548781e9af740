"""The API page: the server's own documents, readable, with nothing from elsewhere."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import Evaluate, Visitor, entrance
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]
PATH = "/docs"


def shown(page: Page) -> Page:
    expect(page.locator("#operations")).not_to_have_attribute("aria-busy", "true")
    return page


@pytest.fixture(scope="module")
def opened(browser: Browser, server: EventHubServer) -> Iterator[Page]:
    """The page at a usual size, for tests that change nothing in it."""
    with entrance(browser) as enter:
        yield shown(enter(server).open(PATH))


def operation(page: Page, method: str, path: str) -> Locator:
    return page.locator(".entry").filter(
        has=page.get_by_role("heading", name=f"{method} {path}", exact=True)
    )


def cells(table: Locator) -> list[list[str]]:
    rows: list[list[str]] = table.locator("tbody tr").evaluate_all(
        "(all) => all.map((row) => [...row.cells].map((it) => it.textContent))"
    )
    return rows


def test_everything_comes_from_this_server(server: EventHubServer, identity: Visit) -> None:
    visitor = identity(server)
    asked: list[str] = []
    visitor.context.on("request", lambda request: asked.append(request.url))
    page = shown(visitor.open(PATH))
    expect(page.get_by_role("heading", level=1)).to_contain_text("API")
    assert [url for url in asked if not url.startswith(server.url)] == []
    assert page.locator("script:not([src]), style, [style]").count() == 0


def test_every_operation_is_there_under_its_tag(server: EventHubServer, opened: Page) -> None:
    document = http.get(f"{server.url}/openapi.json").json()
    for path, item in document["paths"].items():
        for method, description in item.items():
            group = opened.get_by_role(
                "region", name=description["tags"][0].capitalize(), exact=True
            )
            entry = group.locator(".entry").filter(has=opened.get_by_text(path, exact=True))
            entry = entry.filter(has=opened.get_by_text(method.upper(), exact=True))
            expect(entry.locator(".summary")).to_have_text(description["summary"])


def test_an_operation_says_what_goes_in_and_what_comes_out(opened: Page) -> None:
    publish = operation(opened, "POST PUT", "/v1/channels/{channel}")
    parameters = cells(publish.get_by_role("table", name="Parameters"))
    assert parameters[0][:4] == ["channel", "path", "string", "yes"]
    assert ["Idempotency-Key", "header", "string", "no"] in [row[:4] for row in parameters]
    assert all(row[-1] for row in parameters[1:])
    assert [row[0] for row in cells(publish.get_by_role("table", name="Body"))] == [
        "application/json",
        "application/x-ndjson",
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
        "application/senml+json",
    ]
    answers = {row[0]: row for row in cells(publish.get_by_role("table", name="Answers"))}
    assert list(answers) == ["200", "201", "202", "207", "422", "503", "any other"]
    assert answers["201"][-1] == "application/json Stored or Batch"
    assert "application/x-ndjson" in answers["200"][-1]
    publish.get_by_role("link", name="Stored").click()
    expect(opened.locator("#schema-Stored")).to_be_in_viewport()
    assert [row[0] for row in cells(opened.locator("#schema-Stored table"))] == [
        "id",
        "channel",
        "time",
    ]


def test_channel_types_show_the_fields_of_their_payloads(opened: Page) -> None:
    types = opened.get_by_role("region", name="Channel types")
    expect(types.get_by_role("heading", level=3)).to_have_text(["chat", "logs", "iot"])
    assert cells(opened.locator("#type-chat").get_by_role("table")) == [
        ["sender", "string", "yes", "1 to 64 characters", "Who says it"],
        ["text", "string", "yes", "1 to 4,000 characters", "What is said, plain text"],
    ]
    expect(opened.locator("#type-chat")).to_contain_text("Other fields are refused.")
    expect(opened.locator("#type-iot")).to_contain_text("Events come from HTTP producers.")
    logs = cells(opened.locator("#type-logs").get_by_role("table"))
    assert logs[0] == [
        "level",
        "string",
        "yes",
        "one of debug, info, warning, error, critical",
        "How much it matters",
    ]
    assert logs[2][:4] == ["logger", "string or null", "no", "at most 256 characters"]


def test_fields_of_what_is_stored_are_shown_where_they_are_others(
    server: EventHubServer, identity: Visit
) -> None:
    accepted = {"properties": {"amount": {"type": "number"}}}
    schemas = {"accepted": accepted, "stored": {"properties": {"amount": {"type": "string"}}}}
    visitor = identity(server)
    visitor.context.route(
        "**/v1/types/chat",
        lambda route: route.fulfill(json={**route.fetch().json(), "schemas": schemas}),
    )
    page = shown(visitor.open(PATH))
    assert cells(page.locator("#type-chat").get_by_role("table", name="Fields of an event's data"))[
        0
    ][:2] == ["amount", "number"]
    assert cells(page.locator("#type-chat").get_by_role("table", name="Fields of a stored event"))[
        0
    ][:2] == ["amount", "string"]
    assert page.locator("#type-iot").get_by_role("table").count() == 1


def test_every_link_leads_somewhere(server: EventHubServer, opened: Page) -> None:
    targets: list[str] = opened.get_by_role("link").evaluate_all(
        "(all) => all.map((each) => each.href)"
    )
    own, fragments = (
        {each for each in targets if "#" not in each},
        {each.split("#")[1] for each in targets if "#" in each},
    )
    assert {f"{server.url}/openapi.json", f"{server.url}/asyncapi.json"} <= own
    answers = {target: http.get(target, follow_redirects=True) for target in own}
    assert {target: answer.status_code for target, answer in answers.items()} == dict.fromkeys(
        own, 200
    )
    assert fragments
    assert [each for each in fragments if opened.locator(f"[id='{each}']").count() != 1] == []


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.proof)])
@pytest.mark.parametrize("width", [360, pytest.param(1280, marks=pytest.mark.proof)])
def test_nothing_is_wider_than_the_screen(
    server: EventHubServer, identity: Visit, width: int, scheme: str
) -> None:
    page = shown(
        identity(server, viewport={"width": width, "height": 800}, color_scheme=scheme).open(PATH)
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    within = "(all, most) => all.filter((each) => each.getBoundingClientRect().right > most).length"
    assert page.locator("main :not(thead, thead *)").evaluate_all(within, width) == 0


def test_a_fragment_is_gone_to(server: EventHubServer, identity: Visit) -> None:
    page = shown(identity(server).open(f"{PATH}#schema-Problem"))
    expect(page.locator("#schema-Problem h3")).to_be_in_viewport()


def test_a_document_that_is_missing_is_said_and_the_rest_is_shown(
    server: EventHubServer, identity: Visit
) -> None:
    visitor = identity(server)
    visitor.context.route(
        "**/openapi.json", lambda route: route.fulfill(status=200, body="not json")
    )
    page = shown(visitor.open(PATH))
    expect(page.get_by_role("alert")).to_contain_text("Not everything can be shown")
    expect(page.locator("#type-chat")).to_be_visible()


def test_hostile_schemas_are_shown_as_they_are(server: EventHubServer, identity: Visit) -> None:
    hostile = '<img src=x onerror="window.harmed=1">'
    schema = {
        "type": "object",
        "description": hostile,
        "properties": {hostile: {"const": hostile, "description": hostile}},
    }
    schemas = {"accepted": schema, "stored": schema}
    visitor = identity(server)
    visitor.context.route(
        "**/v1/types/chat",
        lambda route: route.fulfill(json={**route.fetch().json(), "schemas": schemas}),
    )
    page = shown(visitor.open(PATH))
    assert cells(page.locator("#type-chat table")) == [
        [hostile, "string", "no", f"exactly {hostile}", hostile]
    ]
    assert page.evaluate("window.harmed") is None


def test_roles_and_names_tell_the_page(opened: Page) -> None:
    navigation = opened.get_by_role("navigation", name="On this page")
    expect(navigation.get_by_role("link")).to_have_text([
        "Channel types", "Publish", "Read", "Subscribe",
        "Refused", "Operate", "Administer", "Answers",
    ])  # fmt: skip
    expect(opened.locator("#type-chat")).to_match_aria_snapshot("""
        - article:
          - heading "chat" [level=3]
          - table "Fields of an event's data":
            - rowgroup:
              - row "Name Type Required Constraints Description"
            - rowgroup:
              - row /sender string yes/
              - row /text string yes/
    """)


FIELD = """
    const { fields } = await import("/static/pages/common/schema-fields.js");
    const $defs = {
        Name: { type: "string", maxLength: 9 },
        Loop: { properties: { it: { $ref: "#/$defs/Loop" } } },
    };
    const whole = (value) => ({ properties: { it: value }, $defs });
"""


@pytest.mark.parametrize(
    ("schema", "kind", "constraints"),
    [
        ({}, "any JSON", ""),
        (True, "any JSON", ""),
        ({"type": ["integer", "null"], "minimum": 0}, "integer or null", "at least 0"),
        (
            {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5},
            "number",
            "more than 0; a multiple of 0.5",
        ),
        (
            {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
            "integer",
            "1 to 9; default 3",
        ),
        ({"$ref": "#/$defs/Name"}, "string", "at most 9 characters"),
        ({"$ref": "#/$defs/None"}, "any JSON", ""),
        (
            {"anyOf": [{"$ref": "#/$defs/Name"}, {"type": "null"}], "default": None},
            "string or null",
            "at most 9 characters",
        ),
        ({"allOf": [{"$ref": "#/$defs/Name"}, {"minLength": 1}]}, "string", "1 to 9 characters"),
        ({"enum": ["a", 1, None]}, "string or number or null", "one of a, 1, null"),
        (
            {"type": "array", "items": {"$ref": "#/$defs/Name"}, "maxItems": 1},
            "array of string",
            "at most 1 item; each at most 9 characters",
        ),
        (
            {"type": "string", "format": "date", "pattern": "^2"},
            "string",
            "matches ^2; format date",
        ),
    ],
)
def test_schemas_in_words(modules: Page, schema: Any, kind: str, constraints: str) -> None:
    body = f"(async (value) => {{ {FIELD} return fields(whole(value))[0]; }})"
    row = modules.evaluate(body, schema)
    assert (row["type"], row["constraints"]) == (kind, constraints)


@pytest.mark.parametrize(
    ("schema", "names"),
    [
        ({"properties": {"a": {}, "b": {"type": "string"}}}, ["it", "it.a", "it.b"]),
        ({"type": "array", "items": {"properties": {"sku": {}}}}, ["it", "it[].sku"]),
        ({"anyOf": [{"properties": {"a": {}}}, {"type": "null"}]}, ["it", "it.a"]),
    ],
)
def test_fields_within_fields_are_listed(modules: Page, schema: Any, names: list[str]) -> None:
    body = (
        f"(async (value) => {{ {FIELD} return fields(whole(value)).map(({{ name }}) => name); }})"
    )
    assert modules.evaluate(body, schema) == names


def test_a_schema_within_itself_ends(run: Evaluate) -> None:
    assert run(FIELD + 'return fields(whole({ $ref: "#/$defs/Loop" })).length;') < 20


def test_methods_that_differ_stay_apart(run: Evaluate) -> None:
    document = {
        "paths": {
            "/a": {"get": {"summary": "one"}, "put": {"summary": "two"}, "post": {"summary": "two"}}
        }
    }
    script = (
        f'return (await import("/static/pages/docs/openapi.js")).groups({json.dumps(document)});'
    )
    (group,) = run(script)
    assert group["tag"] == "other"
    assert [each["methods"] for each in group["operations"]] == [["GET"], ["PUT", "POST"]]
