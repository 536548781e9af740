"""auth/authenticator.py: principals of API keys and tokens, and which ones it remembers."""

from dataclasses import dataclass, field

import pytest

from eventhub.auth import authenticator as module
from eventhub.auth.authenticator import Authenticator
from eventhub.auth.blocks import BlockTarget
from eventhub.auth.grants import EVERYTHING
from eventhub.auth.keys import ApiKey, KeyRing, hash_key
from eventhub.auth.principal import CredentialKind, Principal
from eventhub.auth.tokens import TokenVerifier, UnknownKey
from eventhub.auth.verification_keys import load_key
from eventhub.errors import InvalidToken, Revoked, TokenExpired
from tests.harness.clock import Clock
from tests.harness.credentials import SECRET, token

KEY = "ehk_0123456789"


@dataclass
class Counting(TokenVerifier):
    """A verifier that counts its calls."""

    count: int = field(default=0)

    def __post_init__(self) -> None:
        super().__init__([load_key(None, "HS256", SECRET)], None, None, 0)

    def verify(self, token: str) -> Principal:
        self.count += 1
        return super().verify(token)


def build(
    *, expires: int | None = None, clock: Clock | None = None, verifier: TokenVerifier | None = None
) -> Authenticator:
    ring = KeyRing(
        [ApiKey(hash_key(KEY), Principal(CredentialKind.KEY, "ana", EVERYTHING, expires))]
    )
    return Authenticator(ring, verifier, clock or Clock(1000))


def test_credentials_of_both_kinds_are_told_apart() -> None:
    found = build(verifier=Counting())
    assert found.authenticate(KEY).kind is CredentialKind.KEY
    assert found.authenticate(token()).kind is CredentialKind.TOKEN
    assert found.authenticate(KEY).name == found.authenticate(token()).name == "ana"


@pytest.mark.parametrize(
    "credential", ["", "ehk", "EHK_0123456789", " ehk_0123456789", "a.b.c", "é", "\x00", "\ud800"]
)
def test_what_is_neither_is_refused(credential: str) -> None:
    with pytest.raises(InvalidToken, match=r"is not an API key \(they begin with ehk_\)"):
        build().authenticate(credential)
    with pytest.raises(InvalidToken, match="neither a JWT nor an API key"):
        build(verifier=Counting()).authenticate(credential)


@pytest.mark.parametrize("credential", ["ehk_", "ehk_012345678", "ehk_é", "ehk_\ud800"])
def test_a_key_that_is_not_configured_is_refused(credential: str) -> None:
    for verifier in (None, Counting()):
        with pytest.raises(InvalidToken, match="none of the configured keys"):
            build(verifier=verifier).authenticate(credential)


def test_a_server_without_keys_for_tokens_says_so() -> None:
    with pytest.raises(InvalidToken, match="this server accepts no tokens"):
        build().authenticate(token())


def test_a_signature_is_checked_once() -> None:
    verifier = Counting()
    found = build(verifier=verifier)
    text = token()
    assert found.authenticate(text) is found.authenticate(text)
    assert verifier.count == 1
    found.forget()
    found.authenticate(text)
    assert verifier.count == 2


def test_refusals_are_not_remembered() -> None:
    verifier = Counting()
    found = build(verifier=verifier)
    for _ in range(2):
        with pytest.raises(InvalidToken):
            found.authenticate(token(sub=""))
        with pytest.raises(UnknownKey):
            found.authenticate(token(header={"kid": "later"}))
    verifier.replace([load_key("later", "HS256", SECRET)])
    assert found.authenticate(token(header={"kid": "later"})).name == "ana"


def test_whoever_is_remembered_still_expires() -> None:
    clock, verifier = Clock(1000), Counting()
    text = token(exp=2_000_000_000)
    found = build(clock=clock, verifier=verifier, expires=2_000_000)
    assert found.authenticate(text).name == "ana"
    assert found.authenticate(KEY).name == "ana"
    clock.now = 1999.999
    assert found.authenticate(KEY).name == "ana"
    clock.now = 2000
    with pytest.raises(TokenExpired, match="the key has expired"):
        found.authenticate(KEY)
    clock.now = 2_000_000_000
    for _ in range(2):
        with pytest.raises(TokenExpired, match="the token has expired"):
            found.authenticate(text)
    assert len(found._known) == 0


def test_whoever_is_remembered_can_be_shut_out_and_let_in_again() -> None:
    clock = Clock(1000)
    found = build(clock=clock, verifier=Counting())
    text = token(jti="t1")
    found.authenticate(text)
    found.authenticate(KEY)
    found.blocks.decide(BlockTarget("subject", "ana"), clock(), 1_500_000)
    with pytest.raises(Revoked, match="subject 'ana'"):
        found.authenticate(text)
    assert found.authenticate(KEY).kind is CredentialKind.KEY, "another of the same name"
    clock.now = 1500
    assert found.authenticate(text).name == "ana"
    found.blocks.decide(BlockTarget("key", "ana"), clock(), 2_000_000)
    with pytest.raises(Revoked):
        found.authenticate(KEY)


def test_so_many_are_remembered_and_the_oldest_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 3)
    verifier = Counting()
    found = build(verifier=verifier)
    texts = [token(sub=str(number)) for number in range(5)]
    for text in texts:
        found.authenticate(text)
    assert len(found._known) == 3
    assert [found.authenticate(text).name for text in texts[2:]] == ["2", "3", "4"]
    assert verifier.count == 5


def test_credentials_that_fill_the_room_exactly_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(1000)
    found = build(clock=clock, verifier=Counting())
    soon, *texts = (token(sub=name, exp=2_000_000_000 + int(name)) for name in "012")
    monkeypatch.setattr(module, "REMEMBERED_BYTES", 2 * len(soon))

    def all_are_remembered() -> bool:
        for text in texts:
            found.authenticate(text)
        return all(map(found.remembers, texts))

    assert all_are_remembered()
    found.forget()
    assert all_are_remembered(), "the room of what was forgotten is free"
    found.forget()
    found.authenticate(soon)
    clock.now = 2_000_000_000
    with pytest.raises(TokenExpired):
        found.authenticate(soon)
    assert all_are_remembered(), "the room of one that has expired is free"


def test_a_credential_that_is_blocked_is_remembered() -> None:
    clock = Clock(1000)
    found = build(clock=clock, verifier=Counting())
    found.blocks.decide(BlockTarget("subject", "ana"), clock(), 1_500_000)
    with pytest.raises(Revoked):
        found.authenticate(token())
    assert found.remembers(token())


def test_no_credential_is_kept() -> None:
    found = build(verifier=Counting())
    text = token()
    found.authenticate(text)
    found.authenticate(KEY)
    assert text not in str(vars(found))
    assert KEY not in str(vars(found))


def test_large_credentials_are_remembered_in_smaller_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "REMEMBERED_BYTES", 3000)
    found = build(verifier=Counting())
    texts = [token(sub=str(number), jti="x" * 190) for number in range(9)]
    for text in texts:
        found.authenticate(text)
    assert 2 <= len(found._known) < 9
    assert found._size == sum(len(text) for text in texts[-len(found._known) :]) <= 3000
    assert [found.remembers(texts[-1]), found.remembers(texts[0])] == [True, False]
