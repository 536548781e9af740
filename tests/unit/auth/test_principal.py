"""auth/principal.py: which actions are allowed, and the errors for all others."""

import pytest

from eventhub.auth.grants import Action, Grants
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


def test_a_stranger_is_told_to_say_who_it_is() -> None:
    expected = (
        r"publishing to 'chat\.lobby' needs a token or an API key, and none was sent; "
        r"expected Authorization: Bearer"
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
