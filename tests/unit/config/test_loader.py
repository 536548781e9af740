"""config/loader.py: defaults, the file, variables that override it, arguments that override both,
and every error.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from eventhub.config.auth_settings import AuthSettings, KeySettings
from eventhub.config.loader import channel_types, ignored_variables, load
from eventhub.config.settings import SAMPLE_CHANNELS, Settings
from eventhub.errors import ConfigurationError
from eventhub.events.channel_types import (
    PublisherKind,
    Retention,
    SenderRule,
    SlowReaderPolicy,
    StateRetention,
)
from eventhub.events.schema import AnySchema, ModelSchema
from tests.unit.service_links import LINKS

Write = Callable[[str | bytes], Path]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove settings of the environment in which the tests run."""
    for name in os.environ:
        if name.upper().startswith("EVENTHUB_"):
            monkeypatch.delenv(name)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the configuration file."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "eventhub.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def faults(path: Path | None = None, overrides: dict[str, Any] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(path, overrides)
    return str(caught.value).splitlines()


def fault(path: Path | None = None, overrides: dict[str, Any] | None = None) -> str:
    (found,) = faults(path, overrides)
    return found


# Defaults


def test_defaults_are_for_this_machine_alone() -> None:
    settings = load()
    assert (settings.host, settings.port, settings.insecure, settings.broker) == (
        "127.0.0.1",
        8000,
        False,
        "memory://",
    )
    assert settings.loopback
    assert (settings.origins, settings.heartbeat) == ([], 25)
    assert settings == Settings()


def test_without_a_configuration_there_are_the_sample_channels() -> None:
    settings = load()
    assert list(settings.channels) == ["chat", "logs", "iot"]
    shown = {
        name: kind.model_dump(mode="json", exclude_unset=True)
        for name, kind in settings.channels.items()
    }
    assert shown["chat"]["history"] == {"events": 500, "age": 86_400_000}
    types = {kind.name: kind for kind in channel_types(settings, Path())}
    assert types["chat"].retention == Retention(500, 86_400_000)
    assert types["logs"].retention == Retention(10_000, 3_600_000)
    newest = StateRetention(latest=True)
    assert types["iot"].retention == Retention(1000, 7 * 86_400_000, newest)
    assert [kind.presence for kind in types.values()] == [True, False, False]
    assert [kind.slow for kind in types.values()] == [
        SlowReaderPolicy.DISCONNECT,
        SlowReaderPolicy.DISCONNECT,
        SlowReaderPolicy.LATEST,
    ]
    assert [sorted(kind.publish) for kind in types.values()] == [
        ["client", "producer"],
        ["producer"],
        ["producer"],
    ]


def test_the_sample_written_to_a_file_is_the_sample(write: Write) -> None:
    assert (
        load(write(yaml.safe_dump({"channels": SAMPLE_CHANNELS}))).model_dump()
        == load().model_dump()
    )


def test_a_channel_type_without_settings_has_the_defaults(write: Write) -> None:
    (kind,) = channel_types(load(write("channels: {orders: {}}")), Path())
    assert (kind.name, kind.payload, kind.retention) == ("orders", "json", Retention(1000, None))
    assert (kind.presence, kind.slow, kind.publish) == (
        False,
        SlowReaderPolicy.DISCONNECT,
        frozenset({PublisherKind.PRODUCER}),
    )
    assert isinstance(kind.schema, AnySchema)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().port = 1  # type: ignore[misc]  # that is what is tested


@pytest.mark.parametrize("content", ["", "# nothing\n", "---\n", "{}"])
def test_an_empty_file_changes_nothing(write: Write, content: str) -> None:
    assert load(write(content)).model_dump() == load().model_dump()


def test_every_setting_has_a_description() -> None:
    def undescribed(model: Any, path: str = "") -> list[str]:
        found = []
        for name, field in model.model_fields.items():
            kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
            sections = [kind for kind in kinds if hasattr(kind, "model_fields")]
            found += [path + name] if not field.description and not sections else []
            for section in sections:
                found += undescribed(section, f"{path}{name}.")
        return found

    assert undescribed(Settings) == []


# The file


def test_the_file_sets_every_kind_of_key(write: Write) -> None:
    settings = load(
        write(
            """
            host: 0.0.0.0
            port: 9000
            insecure: true
            heartbeat: 0.5
            origins: [https://app.example]
            limits: {depth: 8, event_bytes: 1024, body_seconds: 1.5}
            shutdown: {grace: 2}
            log: {level: debug, format: json, access: true}
            channels:
              orders: {payload: log, presence: true, slow: drop, publish: [],
                       history: {events: 0, age: 90s}}
            """
        )
    )
    assert (settings.host, settings.port, settings.insecure, settings.loopback) == (
        "0.0.0.0",
        9000,
        True,
        False,
    )
    assert (settings.limits.depth, settings.limits.event_bytes, settings.limits.page) == (
        8,
        1024,
        1000,
    )
    assert (settings.shutdown.grace, settings.shutdown.reconnect_within) == (2, 5)
    assert (settings.log.level, settings.log.format, settings.log.access) == ("debug", "json", True)
    assert list(settings.channels) == ["orders"], "the sample is used only without own channels"
    (kind,) = channel_types(settings, Path())
    assert kind.retention == Retention(0, 90_000)
    assert kind.publish == frozenset()
    assert isinstance(kind.schema, ModelSchema)


@pytest.mark.parametrize(
    ("age", "milliseconds"),
    [
        ("250ms", 250),
        ("30s", 30_000),
        ("5m", 300_000),
        ("24h", 86_400_000),
        ("7d", 604_800_000),
        ("null", None),
    ],
)
def test_ages_have_units(write: Write, age: str, milliseconds: int | None) -> None:
    assert (
        load(write(f"channels: {{a: {{history: {{age: {age}}}}}}}")).channels["a"].history.age
        == milliseconds
    )


@pytest.mark.parametrize(
    "age", ["0s", "-5m", "5 parsecs", "1.5h", "''", "[]", "24H", "2026-11-22", "60", "true"]
)
def test_an_age_without_a_unit_or_of_zero_is_refused(write: Write, age: str) -> None:
    assert "channels.a.history.age: " in fault(
        write(f"channels: {{a: {{history: {{age: {age}}}}}}}")
    )


# The environment


def test_a_variable_overrides_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTHUB_PORT", "9001")
    assert load(write("port: 9000\nheartbeat: 3")).port == 9001
    assert load(write("port: 9000\nheartbeat: 3")).heartbeat == 3


def test_arguments_override_file_and_variables(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENTHUB_PORT", "9001")
    assert load(write("port: 9000"), {"port": 9002}).port == 9002
    assert load(None, {"limits": {"depth": 3}}).limits.depth == 3


def test_nested_keys_are_joined_by_two_underscores(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENTHUB_LIMITS__DEPTH", "5")
    monkeypatch.setenv("EVENTHUB_CHANNELS__CHAT__HISTORY__AGE", "5m")
    settings = load(
        write(
            "limits: {batch: 7, depth: 6}\n"
            "channels: {chat: {payload: chat, history: {events: 9}}, logs: {}}"
        )
    )
    assert (settings.limits.depth, settings.limits.batch) == (5, 7)
    assert list(settings.channels) == ["chat", "logs"]
    assert settings.channels["chat"].payload == "chat"
    assert (settings.channels["chat"].history.events, settings.channels["chat"].history.age) == (
        9,
        300_000,
    )


def test_a_section_may_be_json_and_single_keys_override_it(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENTHUB_LIMITS", '{"depth": 5, "batch": 8}')
    monkeypatch.setenv("EVENTHUB_LIMITS__BATCH", "9")
    monkeypatch.setenv("EVENTHUB_ORIGINS", '["https://app.example"]')
    monkeypatch.setenv("EVENTHUB_CHANNELS", json.dumps({"Orders": {"publish": ["client"]}}))
    settings = load(write("limits: {page: 10}\norigins: [x]"))
    assert (settings.limits.depth, settings.limits.batch, settings.limits.page) == (5, 9, 10)
    assert settings.origins == ["https://app.example"]
    assert settings.channels["Orders"].publish == [PublisherKind.CLIENT]


@pytest.mark.parametrize("name", ["EVENTHUB_LIMITS", "EVENTHUB_CHANNELS", "EVENTHUB_ORIGINS"])
@pytest.mark.parametrize("value", ["{bad", "", "x"])
def test_a_variable_with_malformed_json_is_an_error_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert faults()[0].startswith("the environment")


@pytest.mark.parametrize("value", ["{bad", "", "client", "5"])
def test_a_nested_variable_with_malformed_json_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("EVENTHUB_CHANNELS__CHAT__PUBLISH", value)
    assert "channels" in fault()


def test_an_unknown_variable_is_refused_and_the_nearest_name_suggested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVENTHUB_PROT", "1")
    assert fault() == "the environment: unknown variable EVENTHUB_PROT; did you mean EVENTHUB_PORT?"


@pytest.mark.parametrize(
    "name", ["EVENTHUB_", "EVENTHUB_XYZZY__QQQ", "EVENTHUB_CONFIG__X", "EVENTHUB_PORT_8000_TCP"]
)
def test_any_other_variable_with_the_prefix_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    assert fault().startswith(f"the environment: unknown variable {name}; ")


@pytest.mark.parametrize(
    "name",
    [
        "EVENTHUB_PORT__X",
        "EVENTHUB_HOST__X__Y",
        "EVENTHUB_LIMITS__DEPTH__X",
        "EVENTHUB_LOG__ACCESS__X",
    ],
)
def test_a_variable_below_a_key_without_a_section_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    assert faults() != []


def test_variables_of_kubernetes_for_a_service_of_our_name_are_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in LINKS.items():
        monkeypatch.setenv(name, value)
    assert load().port == 8000
    assert ignored_variables() == sorted(LINKS)
    monkeypatch.setenv("EVENTHUB_PORT", "9000")
    assert load().port == 9000
    assert "EVENTHUB_PORT" not in ignored_variables()
    monkeypatch.setenv("EVENTHUB_PROT", "9000")
    assert fault() == "the environment: unknown variable EVENTHUB_PROT; did you mean EVENTHUB_PORT?"


@pytest.mark.parametrize("name", ["EVENTHUB_PORT", "EVENTHUB_PORT_8000_TCP"])
def test_an_incomplete_service_link_is_refused_with_a_hint_at_its_origin(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "tcp://10.0.0.1:8000")
    told = fault()
    assert told.startswith("the environment")
    assert name in told
    assert told.endswith(
        "for a Service or a link named eventhub: leave them out (enableServiceLinks: false)"
    )


@pytest.mark.parametrize("name", ["EVENTHUB_CHANNELS", "EVENTHUB_ORIGINS", "EVENTHUB_LIMITS"])
def test_a_variable_that_nests_too_deeply_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "[" * 20_000)
    assert (
        fault()
        == f"the environment, {name}: the JSON nests deeper than 32 levels, which is the limit"
    )


def test_an_unknown_nested_variable_is_refused_and_the_nearest_name_suggested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVENTHUB_LIMITS__DEPHT", "1")
    assert fault().endswith("limits.depht: unknown key; did you mean depth?")


def test_all_unknown_variables_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTHUB_HOTS", "x")
    monkeypatch.setenv("EVENTHUB_PROT", "x")
    assert len(faults()) == 2


def test_the_variable_for_the_file_and_foreign_variables_are_no_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVENTHUB_CONFIG", "/etc/eventhub.yaml")
    monkeypatch.setenv("EVENT", "x")
    monkeypatch.setenv("EVENTHUBX", "x")
    assert load() == Settings()
    assert "EVENTHUB_CONFIG" in os.environ, "the process's environment is left alone"


# Faults of keys


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("chanels: {}", "chanels: unknown key; did you mean channels?"),
        ("limits: {depht: 4}", "limits.depht: unknown key; did you mean depth?"),
        ("shutdown: {grave: 4}", "shutdown.grave: unknown key; did you mean grace?"),
        ("log: {levle: x}", "log.levle: unknown key; did you mean level?"),
        ("channels: {a: {histroy: {}}}", "channels.a.histroy: unknown key; did you mean history?"),
        (
            "channels: {a: {history: {event: 1}}}",
            "channels.a.history.event: unknown key; did you mean events?",
        ),
        (
            "channels: {limits: {shlow: 1}}",
            "channels.limits.shlow: unknown key; did you mean slow?",
        ),
        (
            "log: {zzz: 1}",
            "log.zzz: unknown key; expected one of access, access_share, format, level",
        ),
        (
            "shutdown: {zzz: 1}",
            "shutdown.zzz: unknown key; expected one of grace, reconnect_within, spread",
        ),
        (
            "channels: {a: {history: {zzz: 1}}}",
            "channels.a.history.zzz: unknown key; "
            "expected one of age, events, key_age, keys, latest",
        ),
        (
            "channels: {a: {zzz: 1}}",
            "channels.a.zzz: unknown key; "
            "expected one of anonymous, compatibility, history, key, payload, presence, publish, "
            "rate, refused, sender, signals, slow, upcast, version",
        ),
        (
            "zzz: 1",
            "zzz: unknown key; expected one of "
            "auth, broker, channels, cloudevents, compression, heartbeat, host, insecure, limits, "
            "log, native, origins, port, proxies, shutdown, tls, tracing, workers",
        ),
    ],
)
def test_an_unknown_key_at_any_level_is_refused_and_the_known_ones_are_named(
    write: Write, content: str, message: str
) -> None:
    path = write(content)
    assert fault(path) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("host: 5", "host"),
        ("host: null", "host"),
        ("port: -1", "port"),
        ("port: 65536", "port"),
        ("port: http", "port"),
        ("port: 80.5", "port"),
        ("insecure: maybe", "insecure"),
        ("heartbeat: 0", "heartbeat"),
        ("heartbeat: 3601", "heartbeat"),
        ("heartbeat: .nan", "heartbeat"),
        ("heartbeat: .inf", "heartbeat"),
        ("origins: [1]", "origins.0"),
        ("limits: 5", "limits"),
        ("limits: null", "limits"),
        ("limits: {depth: 0}", "limits.depth"),
        ("limits: {depth: 201}", "limits.depth"),
        ("limits: {event_bytes: 127}", "limits.event_bytes"),
        ("limits: {event_bytes: 16777217}", "limits.event_bytes"),
        ("limits: {body_bytes: 1}", "limits.body_bytes"),
        ("limits: {batch: 0}", "limits.batch"),
        ("limits: {page: 10001}", "limits.page"),
        ("limits: {subscriptions: 0}", "limits.subscriptions"),
        ("limits: {buffer_bytes: 4095}", "limits.buffer_bytes"),
        ("limits: {channels: 0}", "limits.channels"),
        ("limits: {history_bytes: 1}", "limits.history_bytes"),
        ("limits: {body_seconds: 0}", "limits.body_seconds"),
        ("limits: {body_seconds: .nan}", "limits.body_seconds"),
        ("limits: {1: 2}", "limits.1"),
        ("shutdown: {grace: 0}", "shutdown.grace"),
        ("shutdown: {reconnect_within: -1}", "shutdown.reconnect_within"),
        ("log: {level: loud}", "log.level"),
        ("log: {format: xml}", "log.format"),
        ("channels: {}", "channels"),
        ("channels: null", "channels"),
        ("channels: []", "channels"),
        ("channels: {a: null}", "channels.a"),
        ("channels: {a: chat}", "channels.a"),
        ("channels: {a: {payload: 5}}", "channels.a.payload"),
        ("channels: {a: {presence: maybe}}", "channels.a.presence"),
        ("channels: {a: {slow: wait}}", "channels.a.slow"),
        ("channels: {a: {publish: robot}}", "channels.a.publish.0"),
        ("origins: [https://app.example/]", "origins.0"),
        ("origins: app.example", "origins.0"),
        ("channels: {a: {publish: [robot]}}", "channels.a.publish.0"),
        ("channels: {a: {history: 5}}", "channels.a.history"),
        ("channels: {a: {history: {events: -1}}}", "channels.a.history.events"),
        ("channels: {a: {history: {events: 1000001}}}", "channels.a.history.events"),
    ],
)
def test_the_error_for_a_wrong_value_names_the_key_and_shows_the_value(
    write: Write, content: str, where: str
) -> None:
    path = write(content)
    found = fault(path)
    assert found.startswith(f"{path}: {where}: ")
    assert ", received " in found or " is no origin; expected " in found


def test_a_long_value_is_shown_cut(write: Write) -> None:
    assert len(fault(write(f"port: {'x' * 10_000}"))) < 400


def test_every_fault_is_named_at_once(write: Write) -> None:
    found = faults(write("port: x\nlimits: {depth: 0, zzz: 1}\nchannels: {a: {slow: x}}"))
    assert len(found) == 4


@pytest.mark.parametrize("name", ["a", "A-b_9", "x" * 64])
def test_the_name_of_a_channel_type_is_a_token(write: Write, name: str) -> None:
    assert list(load(write(f"channels: {{{name}: {{}}}}")).channels) == [name]


@pytest.mark.parametrize("name", ["a.b", "a b", "", "é", "x" * 65, "a\\n", "a/b", "*"])
def test_any_other_name_is_refused(write: Write, name: str) -> None:
    with pytest.raises(ConfigurationError, match="1 to 64 of A-Z a-z 0-9 _ -"):
        load(write(f'channels: {{"{name}": {{}}}}'))


@pytest.mark.parametrize("name", ["5", "yes", "null", "2026-11-22", "1.5"])
def test_a_name_that_yaml_reads_as_another_type_is_refused(write: Write, name: str) -> None:
    with pytest.raises(ConfigurationError, match="valid string"):
        load(write(f"channels: {{{name}: {{}}}}"))


# Secrets


@pytest.mark.parametrize(
    "broker", ["kafka://:s3cret@host/0", "redi://user:s3cret@host", "memory://:s3cret@x"]
)
def test_an_unknown_broker_is_refused_and_its_password_not_shown(write: Write, broker: str) -> None:
    found = fault(write(f"broker: {broker}"))
    assert ": broker: " in found
    assert "s3cret" not in found


@pytest.mark.parametrize(
    ("broker", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://user:hush@host:1/2?ssl_cert_reqs=none", "redis://***@host:1/2"),
        ("nats://u:pw/hush@host:1,other:2", "nats://***@host:1,other:2"),
        ("nats://u:p@w/hush@host", "nats://***@host"),
        ("redis+cluster://u:12/#hush@host", "redis+cluster://***@host"),
        ("redis+sentinel://host/it?sentinel_password=hush", "redis+sentinel://host/it"),
        ("redis+sentinel://host/it?sentinel_password=hu@sh", "redis+sentinel://***"),
        ("nats://u:pa?hush@host", "nats://***"),
        ("sqlite:///a@b.db?synchronous=normal", "sqlite:///a@b.db?synchronous=normal"),
    ],
)
def test_a_broker_is_shown_without_its_secrets(write: Write, broker: str, shown: str) -> None:
    assert load(write(f"broker: {broker!r}")).broker_shown == shown


@pytest.mark.parametrize("broker", ["", "memory", "memory:///x", " memory://", "memory://\n"])
def test_a_broker_is_chosen_by_the_scheme_of_its_url(broker: str) -> None:
    assert ": broker: " in "\n".join(faults(None, {"broker": broker}))


# Authentication

HASH = "sha256:" + "0" * 64
SECRET = "s3cret-" * 6
TOKEN_KEY = f"{{algorithm: HS256, secret: {SECRET}}}"


def auth(text: str) -> str:
    return f"auth: {{{text}}}"


def test_authentication_is_configured_by_keys_tokens_or_a_key_set(write: Write) -> None:
    for text in (
        f"keys: [{{name: a, hash: '{HASH}'}}]",
        f"tokens: {{keys: [{TOKEN_KEY}]}}",
        "tokens: {jwks: https://issuer.example/keys, issuer: i, audience: a}",
    ):
        assert load(write(auth(text))).auth.configured
    for text in ("", "query: true", "tokens: {issuer: i, audience: a}", "keys: []"):
        assert not load(write(auth(text))).auth.configured


def test_every_setting_of_authentication_can_be_set(write: Write) -> None:
    settings = load(
        write(
            f"""
            auth:
              query: true
              public_metrics: true
              keys:
              - {{name: backend, hash: '{HASH}', publish: [chat.*, iot.a.>],
                  subscribe: chat.lobby, presence: '>', expires: 2027-01-31}}
              - {{name: ops, hash: '{HASH[:-1]}1', operator: true, rate: 2.5,
                  expires: '2027-01-31T12:00:00+02:00'}}
              tokens:
                keys: [{{algorithm: ES256, id: a, file: public.pem}}, {TOKEN_KEY}]
                jwks: https://issuer.example:8443/keys?x=y
                issuer: i
                audience: a
                leeway: 0
                warning: 0.5
            channels:
              chat: {{anonymous: [subscribe, presence], rate: 10}}
              logs: {{anonymous: publish}}
            """
        )
    )
    backend, ops = settings.auth.keys
    assert (backend.publish, backend.subscribe, backend.presence) == (
        ["chat.*", "iot.a.>"],
        ["chat.lobby"],
        [">"],
    )
    assert [str(key.expires) for key in (backend, ops)] == [
        "2027-01-31 00:00:00+00:00",
        "2027-01-31 12:00:00+02:00",
    ]
    assert (ops.operator, ops.rate, backend.operator) == (True, 2.5, False)
    assert settings.auth.tokens.keys[1].secret is not None
    assert SECRET not in repr(settings)
    types = {kind.name: kind for kind in channel_types(settings, Path())}
    assert types["chat"].anonymous == {"subscribe", "presence"}
    assert types["logs"].anonymous == {"publish"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kyes: []", "auth.kyes: unknown key; did you mean keys?"),
        ("tokens: {key: []}", "auth.tokens.key: unknown key; did you mean keys?"),
        (
            f"keys: [{{name: a, hash: '{HASH}', publsh: [a]}}]",
            "auth.keys.0.publsh: unknown key; did you mean publish?",
        ),
        (
            "tokens: {keys: [{algorithm: HS256, secrt: s3cret}]}",
            "auth.tokens.keys.0.secrt: unknown key; did you mean secret?",
        ),
        ("keys: s3cret", "auth.keys: "),
        ("keys: {a: s3cret}", "auth.keys: "),
        ("keys: [s3cret]", "auth.keys.0: "),
        ("tokens: s3cret", "auth.tokens: "),
        ("tokens: [s3cret]", "auth.tokens: "),
        ("tokens: {keys: [s3cret]}", "auth.tokens.keys.0: "),
        ("query: s3cret", "auth.query: "),
        ("public_metrics: s3cret", "auth.public_metrics: "),
        ("keys: [{name: a, hash: s3cret}]", "auth.keys.0.hash: "),
        ("keys: [{name: a, hash: ehk_s3cret}]", "auth.keys.0.hash: "),
        ("keys: [{name: a, hash: 2718281828459045}]", "auth.keys.0.hash: "),
        ("keys: [{name: a}]", "auth.keys.0.hash: Field required"),
        (f"keys: [{{hash: '{HASH}'}}]", "auth.keys.0.name: Field required"),
        (f"keys: [{{name: 'a b', hash: '{HASH}'}}]", "auth.keys.0.name: "),
        (
            f"keys: [{{name: a, hash: '{HASH}', publish: ['a b']}}]",
            "auth.keys.0.publish.0: expected a channel pattern",
        ),
        (
            f"keys: [{{name: a, hash: '{HASH}', publish: [5]}}]",
            "auth.keys.0.publish.0: expected a channel pattern",
        ),
        (f"keys: [{{name: a, hash: '{HASH}', expires: soon}}]", "auth.keys.0.expires: "),
        (
            f"keys: [{{name: a, hash: '{HASH}', expires: '2027-01-31T12:00:00'}}]",
            "auth.keys.0.expires: ",
        ),
        (
            f"keys: [{{name: a, hash: '{HASH}', rate: 0}}]",
            "auth.keys.0.rate: Input should be greater than 0, received '0'",
        ),
        (
            f"keys: [{{name: a, hash: '{HASH}'}}, {{name: a, hash: '{HASH[:-1]}1'}}]",
            "auth: two keys have the name a",
        ),
        (
            f"keys: [{{name: a, hash: '{HASH}'}}, {{name: b, hash: '{HASH}'}}]",
            f"auth: two keys have the hash {HASH}",
        ),
        ("tokens: {keys: [{algorithm: none, secret: s3cret}]}", "auth.tokens.keys.0.algorithm: "),
        ("tokens: {keys: [{algorithm: HS512, secret: s3cret}]}", "auth.tokens.keys.0.algorithm: "),
        (
            "tokens: {keys: [{algorithm: HS256}]}",
            "auth.tokens.keys.0: expected either secret or file",
        ),
        (
            "tokens: {keys: [{algorithm: HS256, secret: s3cret, file: x}]}",
            "auth.tokens.keys.0: expected either secret or file",
        ),
        (
            "tokens: {keys: [{algorithm: ES256, secret: s3cret}]}",
            "auth.tokens.keys.0: ES256 has no secret; expected file",
        ),
        (
            "tokens: {keys: [{algorithm: HS256, secret: 2718281828459045}]}",
            "auth.tokens.keys.0.secret: ",
        ),
        ("tokens: {keys: [{algorithm: HS256, secret: [s3cret]}]}", "auth.tokens.keys.0.secret: "),
        ("tokens: {keys: [{algorithm: HS256, secret: s3cret, id: ''}]}", "auth.tokens.keys.0.id: "),
        (
            "tokens: {jwks: https://issuer.example/keys}",
            "auth.tokens: jwks needs issuer and audience",
        ),
        (
            "tokens: {jwks: https://issuer.example/keys, issuer: i}",
            "auth.tokens: jwks needs issuer and audience",
        ),
        ("tokens: {jwks: 'ftp://s3cret', issuer: i, audience: a}", "auth.tokens.jwks: "),
        (
            "tokens: {jwks: 'https://u:s3cret@issuer.example/', issuer: i, audience: a}",
            "auth.tokens.jwks: ",
        ),
        (
            "tokens: {jwks: 'https://issuer.example/a s3cret', issuer: i, audience: a}",
            "auth.tokens.jwks: ",
        ),
        (
            "tokens: {leeway: 301}",
            "auth.tokens.leeway: Input should be less than or equal to 300, received '301'",
        ),
        ("tokens: {leeway: .nan}", "auth.tokens.leeway: "),
        ("tokens: {warning: 0}", "auth.tokens.warning: "),
    ],
)
def test_an_error_in_auth_names_the_key_and_shows_no_secret(
    write: Write, text: str, message: str
) -> None:
    path = write(auth(text))
    found = "\n".join(faults(path))
    assert found.startswith(f"{path}: {message}")
    assert not any(secret in found for secret in ("s3cret", "2718281828459045"))


class Counted(str):
    """A text that counts what it is compared with."""

    __slots__ = ()
    comparisons = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Counted.comparisons += 1
        assert Counted.comparisons < 10_000
        return str.__eq__(self, other)


def test_ten_thousand_keys_are_checked_with_few_comparisons() -> None:
    keys = [{"name": f"k{number}", "hash": f"sha256:{number:064x}"} for number in range(10_000)]
    assert len(Settings.model_validate({"auth": {"keys": keys}}).auth.keys) == 10_000
    counted = [
        KeySettings.model_construct(name=Counted(key["name"]), hash=Counted(key["hash"]))
        for key in keys
    ]
    assert AuthSettings(keys=counted).keys == counted
    with pytest.raises(ValueError, match="at most 10000"):
        Settings.model_validate({"auth": {"keys": [*keys, {"name": "more", "hash": HASH}]}})


@pytest.mark.parametrize(
    "content",
    [
        "auth:\n  tokens: {keys: [{algorithm: HS256, secret: 's3cret}]}",
        'auth:\n  tokens: {keys: [{algorithm: HS256, secret: "s3cret\\q"}]}',
        "auth:\n  tokens:\n    secret: @s3cret",
        "auth:\n  secret: *s3cret-",
        "auth:\n  secret: s3cret: more",
        "auth:\n  tokens:\n    keys:\n    - secret: s3cret\n      secret: s3cret",
        "broker: redis://:s3cret@host: {",
    ],
)
def test_a_yaml_error_does_not_quote_the_line(write: Write, content: str) -> None:
    path = write(content)
    found = "\n".join(faults(path))
    assert found.startswith(f"{path}: is not YAML: ")
    assert ", line " in found
    assert "s3cret" not in found.replace("undefined alias 's3cret-'", "")


@pytest.mark.parametrize(
    ("auth", "anonymous", "message"),
    [
        ("", "", "channels.a.sender is principal; expected auth to be configured"),
        (
            f"auth: {{keys: [{{name: b, hash: '{HASH}'}}]}}",
            "anonymous: [publish], ",
            "channels.a.sender is principal, and anonymous clients may publish; expected no publish"
            " and no signal in channels.a.anonymous",
        ),
        (
            f"auth: {{keys: [{{name: b, hash: '{HASH}'}}]}}",
            "anonymous: [signal], ",
            "channels.a.sender is principal, and anonymous clients may publish",
        ),
    ],
)
def test_names_of_senders_are_checked_only_where_publishers_have_names(
    write: Write, auth: str, anonymous: str, message: str
) -> None:
    config = f"channels: {{a: {{{anonymous}sender: principal}}}}\n{auth}\n"
    assert message in fault(write(config))


def test_a_type_may_bind_senders_to_principals(write: Write) -> None:
    auth = f"auth: {{keys: [{{name: b, hash: '{HASH}'}}]}}"
    settings = load(write(f"channels: {{a: {{sender: principal}}}}\n{auth}\n"))
    assert channel_types(settings, Path()).named("a").sender is SenderRule.PRINCIPAL


def test_an_error_about_several_keys_does_not_show_the_others(write: Write) -> None:
    found = fault(
        write(
            f"auth: {{tokens: {{keys: [{TOKEN_KEY}]}}}}\n"
            "limits: {event_bytes: 4096, body_bytes: 1024}"
        )
    )
    assert found.endswith(": limits.event_bytes is 4096; expected at most limits.body_bytes")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVENTHUB_AUTH", "s3cret"), ("EVENTHUB_AUTH", '{"tokens": {"secret": "s3cret'),
        ("EVENTHUB_AUTH", '["s3cret"]'), ("EVENTHUB_AUTH__KEYS", "s3cret"),
        ("EVENTHUB_AUTH__KEYS", '[{"hash": "s3cret"}]'), ("EVENTHUB_AUTH__TOKENS", "s3cret"),
        ("EVENTHUB_AUTH__TOKENS__KEYS", '[{"algorithm": "HS256", "secret": ["s3cret"]}]'),
        ("EVENTHUB_AUTH__TOKENS__KEYS", "{s3cret"), ("EVENTHUB_AUTH__TOKENS__JWKS", "s3cret"),
        ("EVENTHUB_AUTH__TOKENS__LEEWAY", "s3cret"), ("EVENTHUB_AUTH__QUERY", "s3cret"),
        ("EVENTHUB_AUTH__TOKENS__SECRET", "s3cret"),
    ],
)  # fmt: skip
def test_an_error_in_an_auth_variable_names_it_and_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    found = "\n".join(faults())
    assert "environment" in found
    assert "s3cret" not in found


def test_authentication_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "EVENTHUB_AUTH__TOKENS__KEYS", json.dumps([{"algorithm": "HS256", "secret": SECRET}])
    )
    monkeypatch.setenv("EVENTHUB_AUTH__TOKENS__AUDIENCE", "eventhub")
    settings = load()
    assert settings.auth.configured
    assert settings.auth.tokens.audience == "eventhub"


# The file itself


@pytest.mark.parametrize(
    "content",
    [
        "a: b: c", "a: [", "a: {", "'", "\t a", "a: &x [*y]", "? [a]\n: b", "? {a: 1}\n: b",
        b"\xff\xfe", b"host: \xff", b"a: \x00", "%", "a: !!python/object:os.x {}",
        "port: !!int abc", "heartbeat: !!float x", "host: 2026-13-45", "host: 2026-11-22T99:00:00Z",
        "port: 0b_", "host: !!timestamp x",
    ],
)  # fmt: skip
def test_a_file_that_is_not_yaml_is_refused(write: Write, content: str | bytes) -> None:
    path = write(content)
    assert "\n".join(faults(path)).startswith(f"{path}: is not YAML: ")


@pytest.mark.parametrize(
    ("content", "name"),
    [("- a", "list"), ("text", "str"), ("5", "int"), ("true", "bool"), ("2026-11-22", "date")],
)
def test_a_file_that_holds_no_keys_is_refused(write: Write, content: str, name: str) -> None:
    path = write(content)
    assert fault(path) == f"{path}: holds a {name}; expected keys such as broker and channels"


@pytest.mark.parametrize("content", ["1: 2", "true: x", "null: x", "2026-11-22: x", "[1, 2]: x"])
def test_a_key_that_is_not_a_string_is_refused(write: Write, content: str) -> None:
    assert faults(write(content)) != []


def test_a_missing_file_or_a_directory_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    assert fault(missing) == f"{missing}: cannot be read: No such file or directory"
    assert fault(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"


def test_an_unreadable_file_is_refused() -> None:
    unreadable = Path("/proc/self/mem")  # opens and fails to be read, whoever runs the tests
    assert fault(unreadable).startswith("/proc/self/mem: cannot be read: ")


# Channel types


def test_schema_files_are_relative_to_the_directory(write: Write, tmp_path: Path) -> None:
    (tmp_path / "order.json").write_text('{"type":"object"}')
    (kind,) = channel_types(load(write("channels: {orders: {payload: order.json}}")), tmp_path)
    assert kind.schema.accepted == {"type": "object"}


@pytest.mark.parametrize("payload", ["nonsense", "missing.json", "no_such_package:Model"])
def test_the_error_for_an_unusable_payload_names_its_channel_type(
    write: Write, tmp_path: Path, payload: str
) -> None:
    settings = load(write(f"channels: {{orders: {{payload: '{payload}'}}}}"))
    with pytest.raises(ConfigurationError, match=rf"^channels\.orders: payload .*'{payload}'"):
        channel_types(settings, tmp_path)


# Where it listens


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.0.0.53", "::1", "::ffff:127.0.0.1"]
)
def test_only_this_machine_reaches_a_loopback_host(host: str) -> None:
    assert load(None, {"host": host}).loopback


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        "::",
        "",
        "10.0.0.1",
        "example.com",
        "localhost.example.com",
        "127.example.com",
        "1.127.0.0",
    ],
)
def test_other_machines_may_reach_any_other_host(host: str) -> None:
    assert not load(None, {"host": host}).loopback


@pytest.mark.parametrize(
    "endpoint",
    [
        "localhost:4318",
        "grpc://localhost:4317",
        "http://ana:s3cret@host:4318",
        "http://h?k=s3cret",
        "",
    ],
)
def test_an_endpoint_for_traces_is_a_url_without_secrets(write: Write, endpoint: str) -> None:
    found = fault(write(f"tracing: {{endpoint: '{endpoint}'}}"))
    assert "expected a URL such as http://localhost:4318" in found
    assert "s3cret" not in found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("port: null", "received null"),
        ("broker: true", "received true"),
        (
            "channels: {a: {history: {age: 1 week}}}",
            "an age is '1 week'; expected a number with a unit: ms, s, m, h or d, such as '24h'",
        ),
    ],
)
def test_a_received_value_is_shown_once_and_as_yaml(
    write: Write, content: str, message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(write(content))
    assert str(caught.value).endswith(message)


def test_the_error_for_malformed_json_in_a_variable_names_no_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVENTHUB_CHANNELS", "{")
    with pytest.raises(ConfigurationError, match="the environment: ") as caught:
        load()
    assert "Source" not in str(caught.value)
