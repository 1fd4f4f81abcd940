"""Keys, tokens, and the hub's list of keys."""

from __future__ import annotations

import json
import pickle
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from ctrlhub.wire import security
from ctrlhub.wire.errors import AuthenticationError, LimitExceeded
from ctrlhub.wire.messages import Role, Stream
from ctrlhub.wire.private import StateError, write_private
from ctrlhub.wire.security import (
    ENROLMENT_ROLE,
    KEY_ROLES,
    HubKeys,
    KeyPair,
    KeyRegistry,
    is_key,
    load_or_make_keys,
    new_token,
)

HUB = HubKeys.generate()
CLIENT = HUB.enrolment[Role.ADMIN].public
ENGINE = HUB.enrolment[Role.ENGINE].public
DATA_STREAMS = [stream for stream in Stream if stream is not Stream.HUB]


def peer(number: int) -> str:
    """The public key of an imagined peer."""
    return z85.encode(number.to_bytes(32, "big")).decode()


@pytest.fixture
def registry() -> KeyRegistry:
    """A registry that nobody has enrolled with."""
    return KeyRegistry(HUB)


class TestKeyText:
    @given(st.binary(min_size=32, max_size=32))
    def test_is_z85_as_zeromq_writes_it(self, raw: bytes) -> None:
        """Every key, as ZeroMQ's handshake gives it, is one in ZeroMQ's text."""
        assert is_key(z85.encode(raw).decode())

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "0" * 39,
            "0" * 41,
            "0" * 39 + "~",
            "0" * 39 + "\n",
            "0" * 39 + "٣",
            "%nSc1" + "0" * 35,  # 2**32, one more than four bytes hold
            "#####" * 8,
            b"0" * 40,
            ["0"] * 40,
            None,
            40,
        ],
    )
    def test_what_is_no_key(self, text: object) -> None:
        """Whatever a peer sends is judged without an error."""
        assert not is_key(text)

    def test_the_largest_key(self) -> None:
        """Five digits may say 2**32 - 1, and no more."""
        assert is_key("%nSc0" * 8)


class TestTokens:
    def test_are_long_and_never_the_same(self) -> None:
        """32 bytes, new each time."""
        tokens = {new_token() for _ in range(100)}

        assert (100, {32}) == (len(tokens), {len(token) for token in tokens})


class TestKeyPair:
    def test_generate_makes_a_new_pair_that_fits(self) -> None:
        """Each pair is new, and its halves belong together."""
        one, other = KeyPair.generate(), KeyPair.generate()

        assert one != other
        assert one.fits()
        assert not KeyPair(one.public, other.secret).fits()

    def test_no_text_of_it_shows_the_secret(self) -> None:
        """Neither its text, nor that of the hub's keys, can leak through a log."""
        text = f"{HUB.server!r} {HUB.server} {HUB!r} {HUB}"

        assert HUB.server.public in text
        for pair in (HUB.server, *HUB.enrolment.values()):
            assert pair.secret not in text

    def test_refuses_what_is_no_key_without_repeating_it(self) -> None:
        """The refused text may be a secret with a typing error."""
        good = HUB.server
        with pytest.raises(ValueError, match="the public key") as caught:
            KeyPair(good.secret + "x", good.secret)
        assert good.secret not in str(caught.value)
        with pytest.raises(ValueError, match="the secret key") as caught:
            KeyPair(good.public, good.secret + "x")
        assert good.secret not in str(caught.value)

    @pytest.mark.parametrize("data", [None, [], "text", {}, {"public": peer(1)}])
    def test_reads_only_both_halves(self, data: object) -> None:
        """Half a pair is none."""
        with pytest.raises(ValueError, match="key pair"):
            KeyPair.from_mapping(data)


class TestHubKeys:
    def test_every_key_role_has_a_pair_of_its_own(self) -> None:
        """No two keys of a hub are the same, and every peer's role has one to come with."""
        assert set(KEY_ROLES) == set(HUB.enrolment) == set(ENROLMENT_ROLE.values())
        assert set(Role) == set(ENROLMENT_ROLE)
        with pytest.raises(ValueError, match="the same"):
            HubKeys(HUB.server, dict.fromkeys(KEY_ROLES, HUB.server))
        with pytest.raises(ValueError, match="engine, admin, submit, view"):
            HubKeys(HUB.server, {Role.ADMIN: KeyPair.generate()})

    def test_come_back_from_their_text(self) -> None:
        """What is written is what is read."""
        assert HubKeys.from_json(HUB.to_json()) == HUB

    def test_keys_from_before_there_were_roles_of_clients(self, tmp_path: Path) -> None:
        """The clients' key is the admins', the others are made and kept; peers that have the file go on."""
        old = json.loads(HUB.to_json())
        enrolment = old["enrolment"]
        old["format"], old["enrolment"] = 1, {
            "engine": enrolment["engine"], "client": enrolment["admin"],
        }  # fmt: skip
        path = tmp_path / "keys.json"
        write_private(path, json.dumps(old).encode())
        keys = load_or_make_keys(path)
        assert keys.server == HUB.server
        for role in (Role.ADMIN, Role.ENGINE):
            assert keys.enrolment[role] == HUB.enrolment[role]
        assert keys.enrolment[Role.VIEW] != HUB.enrolment[Role.VIEW]
        assert load_or_make_keys(path) == keys
        assert json.loads(path.read_bytes())["format"] == 2

    def test_keys_from_before_there_were_roles_lack_none(self) -> None:
        """One that is missing there is a damage, not made anew: nobody could come in with the old one."""
        data = json.loads(HUB.to_json())
        data["format"] = 1
        del data["enrolment"]["admin"]
        with pytest.raises(ValueError, match="a key pair is written"):
            HubKeys.from_json(json.dumps(data))

    def test_cannot_be_changed(self) -> None:
        """Nor by the mapping they were made from."""
        pairs = {role: KeyPair.generate() for role in KEY_ROLES}
        keys = HubKeys(HUB.server, pairs)
        before = dict(keys.enrolment)
        pairs[Role.ADMIN] = KeyPair.generate()

        assert before == dict(keys.enrolment)

    def test_every_changed_character_of_a_key_is_noticed(self) -> None:
        """A damaged key would fail at each handshake, without a word."""
        text = HUB.to_json()
        for pair in (HUB.server, *HUB.enrolment.values()):
            for key in (pair.public, pair.secret):
                other = ("1" if key[7] != "1" else "2").join((key[:7], key[8:]))
                with pytest.raises(ValueError):  # noqa: PT011
                    HubKeys.from_json(text.replace(json.dumps(key), json.dumps(other)))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "null",
            "[]",
            "{}",
            '{"format": 1}',
            '{"format": 2}',
            '{"format": 1, "enrolment": []}',
            '{"format": 1, "enrolment": {}, "server": 1}',
            "[" * 50_000,
            b"\xff\xfe",
        ],
    )
    def test_refuses_anything_else(self, text: str | bytes) -> None:
        """Each kind of damage is a ValueError."""
        with pytest.raises(ValueError):  # noqa: PT011
            HubKeys.from_json(text)


class TestLoadOrMakeKeys:
    def test_makes_them_once(self, tmp_path: Path) -> None:
        """A hub that is started again has the keys it had, in a file of its own."""
        path = tmp_path / "keys.json"
        before = load_or_make_keys(path)

        assert before == load_or_make_keys(path)
        assert path.stat().st_mode & 0o777 == 0o600

    def test_damaged_keys_are_not_replaced_unasked(self, tmp_path: Path) -> None:
        """Engines elsewhere hold them; the message says what to do, and shows no secret."""
        path = tmp_path / "keys.json"
        keys = load_or_make_keys(path)
        damaged = path.read_bytes()[:-2]
        path.write_bytes(damaged)

        with pytest.raises(StateError, match=f"{path} are damaged.*remove the file") as caught:
            load_or_make_keys(path)
        assert keys.server.secret not in str(caught.value)
        assert damaged == path.read_bytes()

    def test_exposed_keys_are_refused(self, tmp_path: Path) -> None:
        """A key that others could read lets anyone in."""
        path = tmp_path / "keys.json"
        load_or_make_keys(path)
        path.chmod(0o644)

        with pytest.raises(StateError, match="open to other users"):
            load_or_make_keys(path)


class TestKeyRegistry:
    @pytest.mark.parametrize(
        ("enrolment", "role"),
        [(CLIENT, Role.ADMIN), (ENGINE, Role.ENGINE)],
        ids=["client", "engine"],
    )
    def test_a_peer_has_the_role_of_the_key_it_came_with(
        self, registry: KeyRegistry, enrolment: str, role: Role
    ) -> None:
        """The enrolment key decides, nothing the peer says."""
        assert (role, role) == (registry.enrol(enrolment, peer(1)), registry.role_of(peer(1)))

    def test_an_enrolment_key_opens_the_hub_stream_only(self, registry: KeyRegistry) -> None:
        """With it a peer can register a key, and hear or do nothing else."""
        for key in (CLIENT, ENGINE):
            assert registry.allows(Stream.HUB, key)
            assert registry.is_enrolment(key)
            assert registry.is_live(key)
            assert not any(registry.allows(stream, key) for stream in DATA_STREAMS)

    def test_a_registered_key_opens_every_stream(self, registry: KeyRegistry) -> None:
        """Registered keys are no enrolment keys."""
        registry.enrol(CLIENT, peer(1))

        assert all(registry.allows(stream, peer(1)) for stream in Stream)
        assert not registry.is_enrolment(peer(1))

    @pytest.mark.parametrize(
        "key", [peer(1), HUB.server.public, "", "not a key"], ids=["peer", "hub", "none", "text"]
    )
    def test_an_unknown_key_opens_nothing(self, registry: KeyRegistry, key: str) -> None:
        """It has no role and is not live."""
        assert not any(registry.allows(stream, key) for stream in Stream)
        assert (
            registry.is_live(key),
            registry.role_of(key),
            registry.is_enrolment(key),
        ) == (False, None, False)

    def test_only_an_enrolment_key_registers_keys(self, registry: KeyRegistry) -> None:
        """A registered peer cannot let others in, nor can a stranger or the hub's own key."""
        registry.enrol(CLIENT, peer(1))
        for key in (peer(1), peer(2), HUB.server.public, ""):
            with pytest.raises(AuthenticationError, match="connection file"):
                registry.enrol(key, peer(3))
        assert not registry.is_live(peer(3))

    @pytest.mark.parametrize(
        "key", [CLIENT, ENGINE, HUB.server.public], ids=["client", "engine", "hub"]
    )
    def test_the_hubs_own_keys_cannot_be_registered(self, registry: KeyRegistry, key: str) -> None:
        """Else an enrolment key, which many hold, would open every stream."""
        with pytest.raises(AuthenticationError, match="own making"):
            registry.enrol(CLIENT, key)
        assert not any(registry.allows(stream, key) for stream in DATA_STREAMS)

    @pytest.mark.parametrize("key", ["", "0" * 39, "#" * 40, "é" * 40, "\0" * 40])
    def test_what_is_no_key_cannot_be_registered(self, registry: KeyRegistry, key: str) -> None:
        """Whatever text a peer sends."""
        with pytest.raises(AuthenticationError, match="own making"):
            registry.enrol(CLIENT, key)

    def test_asking_again_changes_nothing(self, registry: KeyRegistry) -> None:
        """A peer whose answer was lost asks again, before or after using its key."""
        assert registry.enrol(ENGINE, peer(1)) is registry.enrol(ENGINE, peer(1))
        registry.use(peer(1))
        assert registry.enrol(ENGINE, peer(1)) is Role.ENGINE
        registry.check()

    def test_a_key_never_changes_its_role(self, registry: KeyRegistry) -> None:
        """An engine's key cannot be made a client's by someone who has the other file."""
        registry.enrol(ENGINE, peer(1))
        with pytest.raises(AuthenticationError, match="'engine'"):
            registry.enrol(CLIENT, peer(1))
        assert registry.role_of(peer(1)) is Role.ENGINE

    def test_a_revoked_key_is_out(self, registry: KeyRegistry) -> None:
        """At once, at every stream and message, and it cannot enrol again; others stay."""
        for number in (1, 2):
            registry.enrol(CLIENT, peer(number))
            registry.use(peer(number))
        registry.revoke(peer(1))

        assert not registry.is_live(peer(1))
        assert not any(registry.allows(stream, peer(1)) for stream in Stream)
        with pytest.raises(AuthenticationError, match="revoked"):
            registry.enrol(CLIENT, peer(1))
        assert registry.is_live(peer(2))
        registry.check()

    def test_a_revoked_enrolment_key_lets_nobody_in(self, registry: KeyRegistry) -> None:
        """Peers that are in, and those of the other role, do not notice."""
        registry.enrol(ENGINE, peer(1))
        registry.revoke(ENGINE)

        assert not registry.allows(Stream.HUB, ENGINE)
        with pytest.raises(AuthenticationError):
            registry.enrol(ENGINE, peer(2))
        with pytest.raises(AuthenticationError):
            registry.enrol(CLIENT, ENGINE)
        assert registry.is_live(peer(1))
        assert registry.enrol(CLIENT, peer(3)) is Role.ADMIN
        registry.check()

    def test_a_forgotten_key_may_enrol_again(self, registry: KeyRegistry) -> None:
        """Also as another role's: it is as if it had never been."""
        registry.enrol(ENGINE, peer(1))
        registry.forget(peer(1))

        assert not registry.is_live(peer(1))
        assert registry.enrol(CLIENT, peer(1)) is Role.ADMIN

    def test_a_flood_of_unused_keys_displaces_only_unused_keys(self) -> None:
        """The oldest of them goes; a key in use stays, however many come after it."""
        registry = KeyRegistry(HUB, max_unused=3)
        registry.enrol(CLIENT, peer(0))
        registry.use(peer(0))
        for number in range(1, 100):
            registry.enrol(CLIENT, peer(number))
            assert registry.allows(Stream.MULTIENGINE, peer(number))
            registry.check()

        live = [number for number in range(100) if registry.is_live(peer(number))]
        assert live == [0, 97, 98, 99]

    def test_keys_in_use_are_bounded(self) -> None:
        """The limit is named; a peer that leaves makes room."""
        registry = KeyRegistry(HUB, max_used=2)
        for number in (1, 2):
            registry.enrol(CLIENT, peer(number))
            registry.use(peer(number))
        with pytest.raises(LimitExceeded, match="2 peers"):
            registry.enrol(CLIENT, peer(3))
        assert registry.enrol(CLIENT, peer(1)) is Role.ADMIN
        registry.forget(peer(1))
        assert registry.enrol(CLIENT, peer(3)) is Role.ADMIN

    def test_revoked_keys_are_bounded(
        self, registry: KeyRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The latest are remembered."""
        monkeypatch.setattr(security, "MAX_REVOKED_KEYS", 3)
        for number in range(10):
            registry.revoke(peer(number))
            registry.check()
        assert registry.enrol(CLIENT, peer(6)) is Role.ADMIN
        with pytest.raises(AuthenticationError):
            registry.enrol(CLIENT, peer(7))

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["enrol", "allow", "use", "revoke", "forget"]),
                st.sampled_from([CLIENT, ENGINE]),
                st.sampled_from([CLIENT, ENGINE, HUB.server.public, *map(peer, range(6))]),
                st.sampled_from(list(Stream)),
            ),
            max_size=60,
        )
    )
    def test_the_lists_agree_after_any_steps(
        self, steps: list[tuple[str, str, str, Stream]]
    ) -> None:
        """Whatever happens in whatever order, and a revoked key never comes back."""
        registry = KeyRegistry(HUB, max_unused=2, max_used=3)
        revoked = set()
        for verb, enrolment, key, stream in steps:
            if verb == "enrol":
                with suppress(AuthenticationError, LimitExceeded):
                    registry.enrol(enrolment, key)
            elif verb == "allow":
                assert registry.allows(stream, key) <= registry.is_live(key)
            elif verb == "use":
                registry.use(key)
            elif verb == "revoke":
                registry.revoke(key)
                revoked.add(key)
            else:
                registry.forget(key)
            registry.check()
            assert not any(registry.is_live(gone) for gone in revoked)
            for own in (CLIENT, ENGINE, HUB.server.public):
                assert not any(registry.allows(stream, own) for stream in DATA_STREAMS)


def test_a_pair_does_not_lose_its_secret_on_the_way_to_a_child() -> None:
    """Launchers hand pairs to processes they start."""
    assert pickle.loads(pickle.dumps(HUB.server)) == HUB.server
