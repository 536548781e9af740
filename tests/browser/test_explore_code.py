"""The programs that the explorer shows do what they say when they are pasted."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Evaluate, Visitor
from tests.browser.test_explore import opened
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]
BIN = str(Path(sys.executable).parent)
HARD = 'it\'s "so" $HOME `id` \\ %41 ! \n\t line ç 🎉 \u2028 </script>'


def shown(page: Page, language: str, name: str) -> str:
    page.get_by_role("tab", name="Code").click()
    page.get_by_role("button", name=language, exact=True).click()
    return page.locator(f"#code-{name}").text_content() or ""


def run_text(language: str, text: str) -> str:
    command = [sys.executable, "-c", text] if language == "Python" else ["bash", "-c", text]
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    finished = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_each_language_publishes_the_event_of_the_form(
    server: EventHubServer, identity: Visit
) -> None:
    page = opened(identity(server), "logs.code")
    event = {"level": "info", "message": HARD, "fields": {"a": [1, 2.5, None, True, {"'": "ü"}]}}
    page.get_by_role("button", name="JSON", exact=True).click()
    page.get_by_label("JSON event").fill(json.dumps(event))
    page.get_by_text("Attributes, key, signal").click()
    page.get_by_label("subject", exact=True).fill("a 'b' $c ç")
    for language in ("curl", "Python", "CLI"):
        run_text(language, shown(page, language, "publish"))
    script = shown(page, "JavaScript", "publish")
    page.evaluate(f"async () => {{ {script} }}")
    events = http.get(f"{server.url}/v1/channels/logs.code").json()["events"]
    assert [each["data"] for each in events] == [event] * 4
    assert [each["attributes"] for each in events] == [{"subject": "a 'b' $c ç"}] * 4


def test_each_language_follows_the_view(server: EventHubServer, identity: Visit) -> None:
    channel = f"{server.url}/v1/channels/logs.followed.a"
    lines = [{"level": "info", "message": message} for message in ("it's", "other", "it's")]
    http.post(channel, json=lines).raise_for_status()
    page = opened(identity(server), "logs.followed.>", "-2&where=data.message+%3D%3D+%22it's%22")
    expect(page.locator("#rows .id")).to_have_count(1)
    curl = f"{shown(page, 'curl', 'follow')} | sed -n '/\"event\"/{{p;q}}'"
    assert json.loads(run_text("curl", curl))["data"] == lines[2]
    python = shown(page, "Python", "follow").replace("print(item)", "print(item.data); break")
    assert "it's" in run_text("Python", python)
    command = f"{shown(page, 'CLI', 'follow')} -n 1 -o json"
    assert json.loads(run_text("CLI", command))["data"] == lines[2]


def test_a_credential_is_never_in_a_program(run: Evaluate) -> None:
    script = """
        const { publishSnippets, followSnippets, variableOf, LANGUAGES } =
            await import("/static/pages/explore/snippets.js");
        const found = {};
        for (const credential of ["ehk_secret", "e.secret.x", null]) {
            const variable = variableOf(credential);
            const request = { channel: "a.b", value: -1, many: false, key: "", attributes: {},
                              signal: false, accepts: ["producer"] };
            const view = { channel: "a.b", since: "-1", where: "" };
            const texts = [publishSnippets(request, "http://h", variable),
                           followSnippets(view, "http://h", variable)];
            const all = texts.flatMap((each) => LANGUAGES.map((language) => each[language]));
            found[credential] = [all.some((text) => text.includes("secret")),
                                 all.every((text) => text.includes(variable)), all.length];
        }
        return found;
    """
    assert run(script) == {
        "ehk_secret": [False, True, 8],
        "e.secret.x": [False, True, 8],
        "null": [False, False, 8],
    }


def test_values_are_literals_of_the_shell_and_of_languages(run: Evaluate) -> None:
    script = """
        const { shell, python, javascript, withVariable } =
            await import("/static/pages/explore/quoting.js");
        const { ceValue } = await import("/static/pages/explore/request.js");
        return [
            ["", "a-b.c", "it's", "*", "a b", "iot.>"].map(shell),
            python({ a: [true, null, 1n, "\\u2028'"], "__proto__x": {} }),
            javascript(JSON.parse('{"__proto__":{"x":[]},"n":1.5}')),
            javascript(12345678901234567890n),
            withVariable('a "$b` ', "T"),
            ceValue('a "b" % ç\\n'),
        ];
    """
    assert run(script) == [
        ["''", "a-b.c", "'it'\\''s'", "'*'", "'a b'", "'iot.>'"],
        '{"a": [True, None, 1, "\u2028\'"], "__proto__x": {}}',
        '{["__proto__"]: {"x": []}, "n": 1.5}',
        'JSON.rawJSON("12345678901234567890")',
        '"a \\"\\$b\\` $T"',
        "a%20%22b%22%20%25%20%C3%A7%0A",
    ]
