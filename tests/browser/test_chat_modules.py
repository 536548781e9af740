"""The modules of the chat page that do no I/O, in a real browser."""

from typing import Any

import pytest

from tests.browser.conftest import Evaluate

CHAT = """
    const load = (name) => import(`/static/pages/chat/${name}.js`);
    const { parse, mentions } = await load("text");
    const { Versions } = await load("versions");
    const { suggestionsFor } = await load("suggestions");
    const { withEmoji } = await load("emoji");
    const { Older } = await load("older");
    const say = (id, text, more = {}) =>
        ({ id: `k-${id}`, time: `t${id}`, data: { sender: "ana", text }, ...more });
    const refer = (id, relation, refers, text, more = {}) =>
        say(id, text, { relation, refers: `k-${refers}`, ...more });
    const brief = ({ text, edited, deleted, reactions }) => [
        text, edited, deleted, reactions.map((each) => [each.text, each.names, each.mine]),
    ];
"""


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["text:"]),
        ("plain <b>text</b>", ["text:plain <b>text</b>"]),
        ("a **b c** d", ["text:a ", "strong:b c", "text: d"]),
        ("*a* _b_", ["emphasis:a", "text: ", "emphasis:b"]),
        ("snake_case_name 2*3*4 ** a**", ["text:snake_case_name 2*3*4 ** a**"]),
        ("`a*b*` ```\nx\n y\n```", ["code:a*b*", "text: ", "block:x\n y"]),
        ("hi @rui, a@b.c @@x", ["text:hi ", "mention:@rui", "text:, a@b.c @@x"]),
        ("@ana.", ["mention:@ana", "text:."]),
        ('hi @"Ana Maria"!', ["text:hi ", "mention:@Ana Maria", "text:!"]),
        ('@"" @"a\nb" x@"a"', ['text:@"" @"a\nb" x@"a"']),
        ("see http://a.b/c.", ["text:see ", "link:http://a.b/c", "text:."]),
        ("http://a.b/iot.*", ["link:http://a.b/iot.*"]),
        ("(https://a.b/x_(y))", ["text:(", "link:https://a.b/x_(y)", "text:)"]),
        ("https://", ["text:https://"]),
        ("javascript:alert(1) data:text/html,x", ["text:javascript:alert(1) data:text/html,x"]),
        ("xhttp://a.b", ["text:x", "link:http://a.b"]),
    ],
)
def test_a_text_has_parts(run: Evaluate, text: str, parts: list[str]) -> None:
    script = f"return parse({text!r}).map(({{ kind, text }}) => `${{kind}}:${{text}}`);"
    assert run(CHAT + script) == parts


def test_every_part_of_a_text_is_kept_in_order_and_links_are_http(run: Evaluate) -> None:
    script = """
        const marks = ["**", "*", "_", "`", "```", "@", "http://", "a", " ", "(", ")", ".", "\\n"];
        let seed = 7;
        const next = (most) => (seed = (seed * 48271) % 2147483647) % most;
        const faults = [];
        for (let n = 0; n < 3000; n += 1) {
            const text = Array.from({ length: next(14) }, () => marks[next(marks.length)]).join("");
            let at = 0;
            for (const part of parse(text)) {
                const found = text.indexOf(part.text, at);
                if (found < 0) faults.push([text, part]);
                at = found + part.text.length;
                if (part.kind === "link" && !/^https?:/.test(part.href)) faults.push(part);
            }
        }
        return faults;
    """
    assert run(CHAT + script) == []


def test_a_mention_has_the_whole_name_in_any_case(run: Evaluate) -> None:
    script = """
        return [["oi @Ana!", "ana"], ["oi @anabela", "ana"], ["`@ana`", "ana"], ["@ana-b", "ana-b"],
            ['@"Ana Maria"', "ana maria"], ['@"Ana Maria"', "ana"]]
            .map(([text, name]) => mentions(text, name));
    """
    assert run(CHAT + script) == [True, False, False, True, True, False]


def test_a_token_says_whether_its_holder_moderates(run: Evaluate) -> None:
    script = """
        const { moderates } = await load("moderation");
        const token = (claims) => `x.${btoa(JSON.stringify(claims)).replaceAll("=", "")}.y`;
        const grant = (patterns) => token({ channels: { moderate: patterns } });
        const may = (patterns) => moderates(grant(patterns), "chat.a.b");
        return [
            [">", "chat.>", "chat.a.*", "chat.*.b", "chat.a.b"].filter((each) => !may([each])),
            ["chat.a", "chat.*", "chat.a.b.>", "*.a", "chat.a.c"].filter((each) => may([each])),
            [null, "", "ehk_key", "x.y.z", token({}), token({ channels: { moderate: "chat.>" } })]
                .filter((each) => moderates(each, "chat.a.b")),
        ];
    """
    assert run(CHAT + script) == [[], [], []]


def test_the_newest_version_counts_in_whatever_order_events_are_known(run: Evaluate) -> None:
    script = """
        const events = [
            say(1, "helo"),
            refer(2, "edit", 1, "hello"),
            refer(3, "reaction", 1, "+1", { by: "rui" }),
            refer(4, "edit", 1, "hello!"),
            refer(5, "reaction", 1, "+1"),
            refer(6, "reaction", 1, "+1", { by: "rui" }),
            refer(7, "reaction", 1, "x", { by: "rui" }),
            refer(8, "delete", 7, "", { data: null }),
        ];
        const orders = [events, [...events].reverse(), [...events.slice(3), ...events.slice(0, 3)]];
        return orders.map((order) => {
            const versions = new Versions();
            const changed = order.map((event) => versions.add(event));
            return [brief(versions.view("k-1", "as ana")), changed[0]];
        });
    """
    mine = {"rui", "ana"}
    for (text, edited, deleted, reactions), _ in run(CHAT + script):
        assert (text, edited, deleted) == ("hello!", "t4", False)
        ((reaction, names, own),) = reactions
        assert (reaction, set(names), own) == ("+1", mine, "k-5")


def test_a_deleted_message_stays_deleted_and_a_forgotten_one_is_gone(run: Evaluate) -> None:
    script = """
        const versions = new Versions();
        const told = [
            versions.add(say(1, "oi")),
            versions.add(refer(2, "delete", 1, "", { data: null })),
            versions.add(refer(3, "edit", 1, "again")),
            versions.add(refer(4, "edit", 9, "of what is not here")),
        ];
        const view = brief(versions.view("k-1", "as ana"));
        versions.forget("k-1");
        return [told, view, versions.has("k-1")];
    """
    assert run(CHAT + script) == [["k-1", "k-1", "k-1", None], [None, "t3", True, []], False]


@pytest.mark.parametrize(
    ("before", "writes"),
    [
        ("nice :roc", ["🚀 "]),
        (":thumbs", ["👍 ", "👎 "]),
        (":t", []),
        ("http://x", []),
        ("hi @r", ["@rui "]),
        ("hi @", ["@ana ", "@rui ", '@"with space" ']),
        ("hi @With", ['@"with space" ']),
        ("mail a@r", []),
        ("@r ", []),
    ],
)
def test_an_emoji_or_a_name_is_suggested(run: Evaluate, before: str, writes: list[str]) -> None:
    script = f"""
        const {{ items }} = suggestionsFor({before!r}, ["ana", "rui", "with space"]);
        return items.map((each) => each.writes);
    """
    assert run(CHAT + script) == writes


def test_names_of_emoji_are_replaced_and_others_stay(run: Evaluate) -> None:
    assert run(CHAT + 'return withEmoji("go :rocket: :nothing: 10:30:00");') == (
        "go 🚀 :nothing: 10:30:00"
    )


PAGES = """
    const log = Array.from({ length: total }, (_, at) => ({ id: `k-${(at + 1) * 3}` }));
    let asked = 0;
    const read = async ({ since, limit }) => {
        asked += 1;
        const id = /^k-/.test(since) ? log.findIndex((each) => each.id === since) + 1 : null;
        const from = since === "earliest" ? 0 : id ?? Math.max(0, log.length + Number(since));
        const events = log.slice(from, from + Math.min(limit, 40));
        const position = events.at(-1)?.id ?? log.at(-1).id;
        return { events, position, head: log.at(-1).id };
    };
    const older = new Older(read);
    for (const event of log.slice(-held)) older.hold(event);
    const parts = [];
    while (!older.done && parts.length < 9) parts.push((await older.load()).map(({ id }) => id));
    const all = [...parts.reverse().flat(), ...log.slice(-held).map(({ id }) => id)];
    return [JSON.stringify(all) === JSON.stringify(log.map(({ id }) => id)), parts.length, asked];
"""


@pytest.mark.parametrize(("total", "held", "parts"), [(130, 20, 2), (30, 30, 1), (120, 100, 1)])
def test_older_messages_come_without_a_hole_until_nothing_older_is_kept(
    run: Evaluate, total: int, held: int, parts: int
) -> None:
    found: Any = run(f"const total = {total}, held = {held}; {CHAT} {PAGES}")
    assert found[:2] == [True, parts]
    assert found[2] < 20


def test_an_empty_room_has_nothing_older(run: Evaluate) -> None:
    script = """
        const older = new Older(() => { throw new Error("read"); });
        return await older.load();
    """
    assert run(CHAT + script) == []
