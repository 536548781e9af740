"""The modules of the page of readings that do no I/O, in a real browser."""

import pytest

from tests.browser.conftest import Evaluate

READINGS = """
    const load = (name) => import(`/static/pages/readings/${name}.js`);
    const { Series } = await load("series");
    const { Sensors, MOST } = await load("sensors");
    const { Timeline } = await load("timeline");
    const { limitsFrom, limitsText, breach } = await load("limits");
    const { numberText, ageText, unitName } = await load("words");
    const event = (at, data, channel = "iot.a") =>
        ({ channel, id: `k-${at}`, time: new Date(at).toISOString(), data });
"""


def test_readings_are_in_the_order_of_time_and_each_is_there_once(run: Evaluate) -> None:
    script = """
        const series = new Series();
        const newest = [[5, 1], [9, 2], [7, 3], [9, 2], [9, 4]].map(([at, v]) => series.add(at, v));
        return [newest, series.times, series.values, series.firstAfter(7), series.firstAfter(99)];
    """
    assert run(READINGS + script) == [
        [True, True, False, False, True],
        [5, 7, 9, 9],
        [1, 3, 2, 4],
        2,
        4,
    ]


def test_a_sensor_keeps_a_bounded_number_of_readings(run: Evaluate) -> None:
    script = """
        const series = new Series(100);
        for (let at = 0; at < 10_000; at += 1) series.add(at, at);
        const same = series.qualities.length === series.length;
        return [series.length <= 2100, series.times.at(-1), same];
    """
    assert run(READINGS + script) == [True, 9999, True]


def test_a_column_has_the_lowest_and_the_highest_reading_in_their_order(run: Evaluate) -> None:
    script = """
        const series = new Series();
        [3, 9, 1, 5, 5, 2, 8].forEach((value, at) => series.add(at * 10, value));
        const out = new Array(8);
        const whole = [...series.columns(0, 80, 2, new Array(4))];
        const extremes = [series.extremes(5, 35), series.extremes(90, 99)];
        return [whole, series.columns(35, 75, 4, out), ...extremes];
    """
    assert run(READINGS + script) == [
        [9, 1, 2, 8],
        [5, None, 2, None, 8, None, None, None],
        [1, 9],
        None,
    ]


def test_the_line_breaks_where_a_sensor_was_silent(run: Evaluate) -> None:
    script = """
        const series = new Series();
        for (let at = 0; at < 20; at += 1) series.add(at, 1);
        for (let at = 80; at < 100; at += 1) series.add(at, 2);
        const breaks = (from, to) => {
            const out = series.columns(from, to, 50, new Array(100));
            return out.flatMap((value, place) => (value === null ? [place] : []));
        };
        return [breaks(0, 100), breaks(0, 15), new Series().columns(0, 9, 2, [1]).length];
    """
    assert run(READINGS + script) == [list(range(20, 80)), [], 1]


def test_no_peak_of_many_readings_is_lost(run: Evaluate) -> None:
    script = """
        const series = new Series();
        const peaks = { 31: -99, 7777: 99 };
        for (let at = 0; at < 15_000; at += 1) series.add(at, peaks[at] ?? 0);
        const out = series.columns(0, 15_000, 100, new Array(200));
        const all = out.filter((value) => value !== undefined);
        return [Math.max(...all), Math.min(...all)];
    """
    assert run(READINGS + script) == [99, -99]


def test_sensors_are_told_apart_and_have_their_newest_value(run: Evaluate) -> None:
    script = """
        const sensors = new Sensors();
        sensors.add(event(1, { value: 1, unit: "Cel", sensor: "b" }));
        sensors.add(event(3, { value: 3, unit: "Cel", sensor: "a", quality: "bad" }));
        sensors.add(event(2, { value: 2, unit: "Cel", sensor: "a" }));
        sensors.add(event(1, { value: 7, unit: "%" }, "iot.h"));
        sensors.add(event(4, { note: "no reading" }));
        sensors.leftOut("iot.a", 5, 9);
        const shown = sensors.all.map((s) => [s.label, s.value, s.quality, s.skipped]);
        const hues = new Set(sensors.all.map(({ hue }) => hue));
        return [shown, [...sensors.groups].map(([unit, all]) => [unit, all.length]), hues.size];
    """
    assert run(READINGS + script) == [
        [["a a", 3, "bad", 5], ["a b", 1, "good", 5], ["h", 7, "good", 0]],
        [["Cel", 2], ["%", 1]],
        3,
    ]


def test_sensors_beyond_the_bound_are_counted(run: Evaluate) -> None:
    script = """
        const sensors = new Sensors();
        for (let n = 0; n < MOST + 7; n += 1) {
            sensors.add(event(n, { value: n, sensor: `s${n}` }));
            sensors.add(event(n + 1, { value: n, sensor: `s${n}` }));
        }
        return [sensors.all.length === MOST, sensors.beyond.size];
    """
    assert run(READINGS + script) == [True, 7]


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ("", [900, 1000, True]),
        ("line.pan(-0.5, 1e6)", [850, 950, False]),
        ("line.pan(-0.5, 1e6); line.pan(0.6, 1e6)", [900, 1000, True]),
        ("line.zoom(2, 1e6)", [800, 1000, True]),
        ("line.show(2e5, 3e5); line.zoom(0.5, 1e6)", [225, 275, False]),
        ("line.show(2e5, 3e5); line.zoom(2, 1e6, 0)", [200, 400, False]),
        ("line.show(2e5, 3e5); line.follow(5e4)", [950, 1000, True]),
    ],
)
def test_the_timeline_moves_and_is_live_again_at_its_end(
    run: Evaluate, moves: str, expected: list[object]
) -> None:
    script = f"""
        const line = new Timeline(100_000);
        {moves};
        const {{ from, to }} = line.at(1e6);
        return [from / 1000, to / 1000, line.live];
    """
    assert run(READINGS + script) == expected


def test_thresholds_are_the_same_after_the_address_is_read(run: Evaluate) -> None:
    script = """
        const text = "Cel:18:26,m%2Fs::20,%25:1:";
        const limits = limitsFrom(`${text},bad:x:y`);
        const found = [27, 17, 20].map((value) => breach(value, limits.get("Cel")));
        const others = [breach(5, undefined), breach(-1, limits.get("%"))];
        return [limitsText(limits) === text, found, ...others];
    """
    assert run(READINGS + script) == [True, ["above 26", "below 18", ""], "", "below 1"]


def test_numbers_units_and_ages_are_for_people(run: Evaluate) -> None:
    script = """
        return [
            [21.456789, 101325, 0.000012, 0, -5.5, 12345678901].map(numberText),
            ["Cel", "kW", ""].map(unitName),
            [900, 12_500, 200_000, 7_200_000, 900_000_000].map(ageText),
        ];
    """
    assert run(READINGS + script) == [
        ["21.457", "101,325", "1.200e-5", "0", "-5.5", "1.235e+10"],
        ["°C", "kW", ""],
        ["now", "12 s ago", "3 min ago", "2 h ago", "10 d ago"],
    ]
