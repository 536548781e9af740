"""The modules of the page of logs that do no I/O, in a real browser."""

from typing import Any

from tests.browser.conftest import Evaluate

LOGS = """
    const load = (name) => import(`/static/pages/${name}.js`);
    const { Lines } = await load("logs/lines");
    const { Tail } = await load("logs/tail");
    const { LevelCounts } = await load("logs/level-counts");
    const { whereOf, equals, differs, faultIn } = await load("logs/where");
    const { viewFrom, queryOf } = await load("logs/view");
    const { rowsOf, detailsOf, lineOf, summaryOf } = await load("logs/line");
    const { resolvePatterns, shortName } = await load("common/patterns");
    const { namedInAddress } = await load("common/place");
    const { beginningOf, rangeFrom, localTime } = await load("common/time-range");
    const line = (at, id = `k-${at}`) => ({ at, id, channel: "logs.a", message: id });
    const shown = (lines) => Array.from({ length: lines.length }, (_, index) => lines.at(index));
"""


def test_the_filter_of_a_view_is_one_expression(run: Evaluate) -> None:
    script = """
        const all = ["debug", "info", "warning", "error", "critical"];
        return [
            whereOf({ levels: all, services: [], text: " " }) ?? null,
            whereOf({ levels: ["error"], services: ["logs.a", "logs.b"] }),
            whereOf({ text: 'Ünd "X"', expression: "data.fields.n > 1 || true" }),
            whereOf({ from: 0, to: 1500 }),
        ];
    """
    assert run(LOGS + script) == [
        None,
        'data.level in ["error"] && channel in ["logs.a", "logs.b"]',
        "(data.fields.n > 1 || true)"
        ' && (data.message.lowerAscii().contains("Ünd \\"x\\"")'
        ' || has(data.logger) && data.logger.lowerAscii().contains("Ünd \\"x\\""))',
        'time >= timestamp("1970-01-01T00:00:00.000Z")'
        ' && time < timestamp("1970-01-01T00:00:01.500Z")',
    ]


def test_a_value_becomes_an_expression_and_a_fault_has_the_persons_columns(run: Evaluate) -> None:
    script = """
        return [
            equals(["fields", "user-id", "n"], 5),
            equals(["logger"], 'a"b'),
            differs(["fields", "user-id"], 5),
            faultIn("where is no filter: column 12: expected a value", "data.x == , 1"),
            faultIn("where is no filter: column 7: expected a name, found ')'", " data. "),
        ];
    """
    assert run(LOGS + script) == [
        'data.fields["user-id"].n == 5',
        'data.logger == "a\\"b"',
        '!(has(data.fields) && data.fields != null && "user-id" in data.fields'
        ' && data.fields["user-id"] == 5)',
        "column 11: expected a value",
        "column 6: it ends here; expected a name after the dot, as in data.level",
    ]


def test_lines_are_in_the_order_of_time_and_keep_their_order_within_one_time(
    run: Evaluate,
) -> None:
    script = """
        const lines = new Lines(() => 10);
        for (const each of [line(3), line(1), line(2), line(3, "later"), line(0)]) lines.add(each);
        return [shown(lines).map(({ id }) => id), lines.find("logs.a", "later"), lines.top(5)];
    """
    assert run(LOGS + script) == [["k-0", "k-1", "k-2", "k-3", "later"], 4, 50]


def test_lines_are_bounded_and_say_how_many_pixels_went(run: Evaluate) -> None:
    script = """
        const lines = new Lines(({ at }) => 10 + (at % 2), 100);
        let removed = 0;
        for (let at = 0; at < 5000; at += 1) lines.add(line(at));
        removed += lines.takeRemoved() + lines.takeRemoved();
        const all = shown(lines);
        return [all.length, all.at(-1).at, removed + lines.top(all.length), lines.top(all.length),
                all.reduce((sum, { at }) => sum + 10 + (at % 2), 0)];
    """
    length, last, pixels, shown, expected = run(LOGS + script)
    assert (length <= 1100, last, pixels, shown) == (True, 4999, 52_500, expected)


def test_the_line_at_a_pixel_is_found(run: Evaluate) -> None:
    script = """
        const lines = new Lines(({ at }) => at, 100);
        for (const at of [10, 20, 30]) lines.add(line(at));
        return [-5, 0, 9, 10, 29, 30, 900].map((pixel) => lines.indexAt(pixel));
    """
    assert run(LOGS + script) == [0, 0, 0, 1, 1, 2, 2]


def test_a_held_tail_keeps_the_newest_and_says_what_it_left_out(run: Evaluate) -> None:
    script = """
        const lines = new Lines(() => 1);
        const tail = new Tail(lines, () => {});
        tail.add(line(1));
        tail.hold();
        for (let at = 2; at <= 25_001; at += 1) tail.add(line(at));
        const before = [lines.length, tail.fresh];
        tail.release();
        const all = shown(lines);
        const missing = all.find(({ note }) => note);
        const kept = all.filter(({ note }) => !note);
        const lost = Number(missing.note.split(" ")[0].replace(",", ""));
        return [before, tail.fresh, kept.length + lost, kept.at(-1).at];
    """
    assert run(LOGS + script) == [[1, 25_000], 0, 25_001, 25_001]


def test_the_histogram_counts_each_line_once_in_at_most_so_many_bars(run: Evaluate) -> None:
    script = """
        const counts = new LevelCounts();
        for (let at = 0; at < 3600; at += 1) counts.add(at * 1000 + 7, at % 5 ? "info" : "error");
        const { step, bars } = counts.bars(0, 3_599_999, 50);
        const of = (level) => bars.reduce((sum, bar) => sum + bar.counts[level], 0);
        const few = counts.bars(10_000, 19_999, 50);
        const each = few.bars.map(({ counts: all }) => all[1] + all[3]);
        return [step, bars.length <= 50, [of(1), of(3)], each];
    """
    assert run(LOGS + script) == [120_000, True, [2880, 720], [1] * 10]


def test_a_view_is_the_same_after_its_address_is_read(run: Evaluate) -> None:
    script = """
        const view = {
            levels: ["error"], services: ["logs.a"], text: "a&b", expression: 'data.x == ","',
            range: { from: 1_000, to: 2_000 }, wrap: true, event: { channel: "logs.a", id: "k-1" },
        };
        const again = viewFrom(new URLSearchParams(String(queryOf(view))));
        const usual = viewFrom(new URLSearchParams("level=loud&since=nonsense&event=x"));
        return [again, view, String(queryOf(usual))];
    """
    again, view, usual = run(LOGS + script)
    assert (again, usual) == (view, "")


def test_a_range_begins_before_its_first_event_and_knows_its_end(run: Evaluate) -> None:
    script = """
        const now = 10_000_000;
        return [
            beginningOf({ since: "15m" }, now),
            beginningOf({ from: now - 5000, to: now - 1000 }, now),
            rangeFrom(new URLSearchParams("from=2026-01-02&to=2026-01-01"), "-9"),
            Date.parse(localTime(1_767_225_600_000)),
        ];
    """
    assert run(LOGS + script) == [
        {"since": "15m"},
        {"since": "65s", "from": 9_995_000, "to": 9_999_000},
        {"since": "-9"},
        1_767_225_600_000,
    ]


def test_a_name_without_a_channel_type_is_below_that_of_the_page(run: Evaluate) -> None:
    script = """
        const types = [["chat", "chat"], ["audit", "log"], ["logs", "log"]];
        const all = types.map(([name, payload]) => ({ name, payload }));
        const resolve = (named, from = all) => {
            const { patterns, fault } = resolvePatterns(named, from, "log", "logs");
            return fault ?? patterns.join(" ");
        };
        return [
            resolve("logs.api"), resolve("api"), resolve(">"), resolve(""), resolve("audit.>, api"),
            resolve("api", all.slice(0, 2)), resolve("chat.lobby"), resolve("api", []),
            resolve(" ,,"), resolve("api,,logs.api, api"),
            resolve("api,logs.>"), resolve("*.a,x.a,x"), resolve("a.>,a.*,a.b.c"),
            resolve("*.a,x.*"), resolve(">,audit.*"),
        ];
    """
    assert run(LOGS + script) == [
        "logs.api",
        "logs.api",
        "logs.>",
        "logs.>",
        "audit.> logs.api",
        "audit.api",
        "Events of chat.lobby have the payload chat; expected log.",
        "No channel type of this server has the payload log.",
        "logs.>",
        "logs.api",
        "logs.>",
        "logs.*.a logs.x",
        "logs.a.>",
        "logs.*.a and logs.x.* have channels in common: name them once.",
        "logs.> audit.*",
    ]


def test_the_address_names_the_channels_also_below_a_path(run: Evaluate) -> None:
    script = """
        const named = (path, server) => namedInAddress(path, server);
        return [named("/logs/logs.%3E", "/"), named("/hub/iot/a,b", "/hub/"), named("/logs", "/"),
                named("/logs/50%", "/"), shortName("logs.eu.api")];
    """
    assert run(LOGS + script) == ["logs.>", "a,b", "", "50%", "eu.api"]


def test_a_wrapped_text_has_as_many_rows_as_its_columns_make(run: Evaluate) -> None:
    script = """
        const texts = ["abcd", "abcde", "a\\nbb\\n\\nc", "日本語", "x".repeat(999)];
        return texts.map((text) => rowsOf(text, 4, 20));
    """
    assert run(LOGS + script) == [1, 2, 4, 2, 20]


def test_a_line_has_all_fields_and_a_summary(run: Evaluate) -> None:
    script = """
        const data = { level: "error", message: "m", logger: "l",
                       fields: { status: 500, user: { id: 7, tags: ["a"] }, path: "/x" } };
        const time = "2026-01-01T00:00:00Z";
        const event = { channel: "logs.a", id: "k-1", time, data, by: "ana" };
        const other = lineOf({ ...event, data: [1] });
        return [detailsOf({ event }).map(([label]) => label), summaryOf({ event }), other.message];
    """
    result: list[Any] = run(LOGS + script)
    assert result == [
        [
            *("channel", "received", "level", "message", "logger", "fields.status"),
            *("fields.user.id", "fields.user.tags", "fields.path", "id", "by"),
        ],
        'l status=500 user={"id":7,"tags":["a"]} path=/x',
        "[1]",
    ]
