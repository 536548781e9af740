"""auth/principal.py: which actions are allowed, and the errors for all others."""

import pytest

from eventhub.auth.grants import NOTHING, Action, Grants
from eventhub.auth.principal import ANYONE, STRANGER, CredentialKind, Principal
from eventhub.errors import Forbidden, Unauthorized

SOME = Grants({Action.SUBSCRIBE: ["chat.*"]})
ANA = Principal(CredentialKind.TOKEN, "ana", SOME)
NO_ONE: frozenset[Action] = frozenset()


def test_grants_are_by_action() -> None:
    ANA.authorize(Action.SUBSCRIBE, "chat.lobby", NO_ONE)
    for action in (Action.PUBLISH, Action.PRESENCE):
        with pytest.raises(Forbidden, match=r"token 'ana' has no grant for .* 'chat\.lobby'"):
            ANA.authorize(action, "chat.lobby", NO_ONE)


@pytest.mark.parametrize(
    ("action", "phrase"),
    [
        (Action.SUBSCRIBE, "subscribing to"),
        (Action.PUBLISH, "publishing to"),
        (Action.PRESENCE, "presence in"),
    ],
)
def test_the_error_names_the_action_and_where_a_grant_would_be(action: Action, phrase: str) -> None:
    for kind, where in (
        (CredentialKind.TOKEN, f"its claim channels.{action}"),
        (CredentialKind.KEY, f"{action} of its entry in auth.keys"),
    ):
        with pytest.raises(Forbidden) as found:
            Principal(kind, "ana", NOTHING).authorize(action, "logs.a", NO_ONE)
        assert str(found.value) == (
            f"{kind} 'ana' has no grant for {phrase} 'logs.a'; expected a pattern for it in {where}"
        )


def test_a_token_and_a_key_of_one_name_are_two_principals() -> None:
    key = Principal(CredentialKind.KEY, "ana", SOME)
    identities = [principal.identity for principal in (ANA, key, STRANGER)]
    assert identities == ["token:ana", "key:ana", "anonymous:"]


def test_the_events_of_an_anonymous_client_have_no_author() -> None:
    key = Principal(CredentialKind.KEY, "backend", SOME)
    assert [principal.author for principal in (ANA, key, STRANGER, ANYONE)] == [
        "ana",
        "backend",
        None,
        None,
    ]


def test_a_stranger_is_told_to_say_who_it_is() -> None:
    expected = (
        r"publishing to 'chat\.lobby' needs a token or an API key, and none was sent; "
        r"expected Authorization: Bearer …, or over WebSocket \{\"type\":\"auth\""
    )
    with pytest.raises(Unauthorized, match=expected):
        STRANGER.authorize(Action.PUBLISH, "chat.lobby", NO_ONE)


def test_what_anyone_may_do_a_principal_may_do_without_a_grant() -> None:
    anyone = frozenset({Action.PUBLISH})
    for principal in (STRANGER, ANA):
        principal.authorize(Action.PUBLISH, "logs.a", anyone)
        with pytest.raises((Unauthorized, Forbidden)):
            principal.authorize(Action.SUBSCRIBE, "logs.a", anyone)


def test_without_authentication_everybody_may_do_everything() -> None:
    for action in Action:
        ANYONE.authorize(action, "a.b", NO_ONE)
    assert (ANYONE.known, STRANGER.known, ANA.known) == (False, False, True)
    assert (ANYONE.operator, STRANGER.operator, ANA.operator) == (True, False, False)


def test_with_a_token_the_member_is_its_subject() -> None:
    ANA.check_member("ana")
    for member in ("ben", "Ana", "ana ", ""):
        with pytest.raises(Forbidden, match="with this token it can only be 'ana'"):
            ANA.check_member(member)


def test_the_holder_of_a_key_may_name_anyone_and_so_may_strangers_where_they_may_be_present() -> (
    None
):
    for principal in (Principal(CredentialKind.KEY, "backend", SOME), STRANGER, ANYONE):
        principal.check_member("ana")


def test_a_principal_has_no_more_than_it_was_given() -> None:
    assert (ANA.expires, ANA.token, ANA.rate, ANA.operator) == (None, None, None, False)


def test_a_principal_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        ANA.name = "ben"  # type: ignore[misc]  # that is what is tested


@pytest.mark.parametrize("granted", [Action.SIGNAL, Action.PUBLISH])
def test_the_grant_to_publish_includes_signals_and_not_the_other_way_round(granted: Action) -> None:
    some = Principal(CredentialKind.TOKEN, "ana", Grants({granted: ["chat.*"]}))
    some.authorize(Action.SIGNAL, "chat.lobby", NO_ONE)
    STRANGER.authorize(Action.SIGNAL, "chat.lobby", frozenset({granted}))
    expected = r"no grant for sending signals to 'logs\.a'; expected a pattern .*channels\.signal"
    with pytest.raises(Forbidden, match=expected):
        some.authorize(Action.SIGNAL, "logs.a", NO_ONE)
    if granted is Action.SIGNAL:
        with pytest.raises(Forbidden):
            some.authorize(Action.PUBLISH, "chat.lobby", NO_ONE)
