"""Settings: what values they have, how these are read and written, and who wins."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.cluster.config import kinds
from ctrlhub.cluster.config.files import ConfigError, Found, lines_of, load, template, understood
from ctrlhub.cluster.config.hub import FIELDS
from ctrlhub.cluster.config.resolving import Layers, Origin, VariableError
from ctrlhub.cluster.config.settings import BY_NAME, SECTIONS, SETTINGS, Setting, of_section
from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.http_config import HttpConfig

PATH = Path("/somewhere/config.toml")

words = st.text(st.sampled_from("abcdefghijk"), min_size=1, max_size=8)
SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "hub.listen": st.ip_addresses().map(str) | st.sampled_from(["localhost", "node-1.example"]),
    "hub.location": st.ip_addresses().map(str) | st.sampled_from(["gateway.example"]),
    "hub.ssh": st.sampled_from(["host", "me@host", "me@host:2222", "me@[fd00::1]:22", "none"]),
    "hub.engine_ssh": st.sampled_from(["host", "none"]),
    "http.listen": st.sampled_from(["auto", "off", "demand", "8080", "0.0.0.0:8443", "[::1]:0"]),
    "http.link": st.sampled_from(["{url}", "{prefix}/proxy/{port}/", "/ctrl-hub/@{profile}/"]),
    "engine.ssh": st.sampled_from(["me@host:2222", "none"]),
    "engine.ssh_key": words,
    "engine.gpus": st.sampled_from(["auto", "none", "0,1", "0-3"]),
    "hub.scheme": st.sampled_from(["leastload", "lru", "mine.module:Policy"]),
    "hub.store": st.sampled_from(["memory", "sqlite", "sqlite:/scratch/a b", "postgresql://h/d?x=%2C"]),
}
"""Values of settings whose kind is one of a kind."""


def values_of(setting: Setting) -> st.SearchStrategy[Any]:
    """Draw values of a setting."""
    if setting.name in SPECIAL:
        return SPECIAL[setting.name]
    kind = setting.kind
    if kind.choices:
        return st.sampled_from(kind.choices)
    if kind.is_switch:
        return st.booleans()
    if kind is kinds.SECONDS:
        return st.floats(1e-6, 1e9)
    if kind is kinds.SIZE:
        return st.integers(0, 1 << 40)
    if kind is kinds.PORTS:
        return st.tuples(st.integers(1, 1000), st.integers(1000, 65535))
    if kind is kinds.WORDS:
        return st.lists(words, min_size=1, max_size=4).map(tuple)
    if kind is kinds.AMOUNTS:
        return st.dictionaries(words, st.floats(0.5, 1e6), min_size=1, max_size=3)
    if kind is kinds.LINES:
        return st.lists(words, min_size=1, max_size=3).map(tuple)
    if setting.section in ("launcher", "http") and kind.metavar in ("NAME", "TIME", "SIZE", "FILE", "PATH", "/PATH", "LIST", "COMMAND"):
        return words
    if kind.metavar in ("N", "SECONDS"):
        return st.integers(1, 1_000_000)
    if kind.metavar == "N|auto":
        return st.integers(1, 1_000_000) | st.just("auto")
    raise AssertionError(f"no values are known for {setting.name}: add some here")


def as_text(setting: Setting, value: Any) -> str:
    """Write a value as an option or a variable has it."""
    plain = setting.kind.plain(value)
    if isinstance(plain, bool):
        return "yes" if plain else "no"
    if setting.kind is kinds.LINES:
        return "\n".join(plain)
    if isinstance(plain, list):
        return ",".join(plain)
    if isinstance(plain, dict):
        return ",".join(f"{name}={amount!r}" for name, amount in plain.items())
    return str(plain)


some_values = st.fixed_dictionaries(
    {}, optional={each.name: values_of(each) for each in SETTINGS}
)


@given(some_values)
def test_what_is_written_is_read_again(values: dict[str, Any]) -> None:
    """A file that was written with values says these, and nothing else."""
    found = understood(template("name", values), PATH)

    assert {name: each.value for name, each in found.items()} == values


@given(some_values)
def test_what_a_variable_says_is_read(values: dict[str, Any]) -> None:
    """Each setting has a variable, and a text for each of its values."""
    environ = {BY_NAME[name].variable: as_text(BY_NAME[name], value) for name, value in values.items()}
    layers = Layers(environ)

    assert layers.strange() == []
    for setting in SETTINGS:
        resolved = layers.resolve(setting)
        if setting.name in values:
            assert (resolved.value, resolved.origin) == (values[setting.name], Origin.ENVIRONMENT)
            assert resolved.where == setting.variable
        else:
            assert (resolved.value, resolved.origin) == (setting.default, Origin.DEFAULT)


@given(st.sampled_from(SETTINGS), st.data())
def test_the_strongest_wins(setting: Setting, data: st.DataObject) -> None:
    """Option, variable, profile's file, user's file, default: whichever of them speak."""
    said = [data.draw(st.none() | values_of(setting)) for _ in range(4)]
    option, variable, profile, user = (
        None if value is None else Found(value, f"place {place}") for place, value in enumerate(said)
    )
    layers = Layers(
        {} if variable is None else {setting.variable: as_text(setting, variable.value)},
        {} if profile is None else {setting.name: profile},
        {} if user is None else {setting.name: user},
    )

    resolved = layers.resolve(setting, option)

    order = list(zip(said, Origin, strict=False))
    expected = next(
        ((value, origin) for value, origin in order if value is not None),
        (setting.default, Origin.DEFAULT),
    )
    assert (resolved.value, resolved.origin) == expected


@given(st.text(), st.sampled_from(SETTINGS))
def test_any_text_is_a_value_or_an_error_that_says_why(text: str, setting: Setting) -> None:
    """No text does anything else; one that is a value can be written and read again."""
    try:
        value, why = setting.kind.read(text), "none"
    except ValueError as error:
        value, why = None, str(error)

    assert why
    if value is not None:
        written = f"x = {kinds.toml(setting.kind.plain(value))}"
        assert setting.kind.take(tomllib.loads(written)["x"]) == value


toml_values: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(words, each, max_size=3),
    max_leaves=4,
)


@given(toml_values, st.sampled_from(SETTINGS))
def test_any_value_of_a_file_is_one_or_an_error_that_says_why(value: Any, setting: Setting) -> None:
    """A wrong type is no surprise."""
    try:
        taken, why = setting.kind.take(value), "none"
    except ValueError as error:
        taken, why = None, str(error)

    assert why
    assert taken is None or setting.kind.take(setting.kind.plain(taken)) == taken


@given(
    st.recursive(
        st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda each: st.lists(each, max_size=3) | st.dictionaries(words, each, max_size=3),
        max_leaves=6,
    )
)  # fmt: skip
def test_toml_is_what_the_standard_library_reads(value: Any) -> None:
    """Whatever is written, also texts of any characters."""
    assert tomllib.loads(f"x = {kinds.toml(value)}") == {"x": value}


def test_every_option_of_the_gateway_is_a_setting() -> None:
    """None of the options of HTTP can be set in one way only."""
    assert {each.key for each in of_section("http")} == {
        field.name for field in dataclasses.fields(HttpConfig)
    }


def test_every_option_of_a_hub_is_a_setting() -> None:
    """None of the hub's options can be set in one way only; profile and state directory say where.

    Those of HTTP and of logs are sections of their own.
    """
    named = {FIELDS.get(each.key, each.key) for each in of_section("hub")}

    assert named == {field.name for field in dataclasses.fields(HubConfig)} - {
        "profile", "state_dir", "http", "log_format", "log_max_bytes",
    }  # fmt: skip


def test_defaults_are_values() -> None:
    """What a new file shows as a default may be put into force."""
    for setting in SETTINGS:
        if setting.default is not None:
            assert setting.kind.take(setting.kind.plain(setting.default)) == setting.default


def test_names_are_unique() -> None:
    """No two settings share a variable, and each has a section that is explained."""
    assert len({each.variable for each in SETTINGS}) == len(SETTINGS)
    assert {each.section for each in SETTINGS} == set(SECTIONS)


# ---------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[hub]\nlisten = 7\n", 2, "hub.listen: 7 is not a text in quotes"),
        ("# first\n\n[hub]\nmax_engines = 0", 4, "hub.max_engines: 0 is not a whole number from 1"),
        ("[hub]\nmax_engines = true", 2, "True is not a whole number"),
        ("[hub]\nlistne = 'x'", 2, "[hub] has no 'listne'; it has 'listen', which may be meant"),
        ("[hub]\nqqqq = 1", 2, "it has listen, location, ssh, engine_ssh, port_range"),
        ("[hbu]\nlisten = 'x'", 1, "there is no section [hbu]; the sections are 'hub'"),
        ("\nlisten = 'x'", 2, "there is no setting 'listen' outside of a section"),
        ("hub = 7", 1, "hub is a section: write [hub]"),
        ("[status]\ntimeout = '5'", 2, "status.timeout: '5' is not a number of seconds"),
        ("[hub]\ninterfaces = [\n  'one',\n  2,\n]\nlisten = 'x'", 2, "is not a list of texts"),
        ("[engine]\nresources = { gpu = 'many' }", 2, "'many' is not an amount, of 'gpu'"),
        ("[hub]\nstore = 'sqlite:here'", 2, "'here' is not a whole path"),
        ("[hub]\nmax_memory = -1", 2, "such as \"512M\""),
        ("[start]\ndaemonize = 'yes'", 2, "is neither true nor false"),
        ("hub.history_age = inf", 1, "is not a number of seconds"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file(text: str, line: int, said: str) -> None:
    """File, line and what should stand there."""
    with pytest.raises(ConfigError) as caught:
        understood(text, PATH)

    assert str(caught.value).startswith(f"{PATH}, line {line}: ")
    assert said in str(caught.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    """Nobody mends a file one error at a time."""
    with pytest.raises(ConfigError) as caught:
        understood("[hub]\nlisten = 1\nmax_engines = 3\nstore = 2\n[nowhere]\n", PATH)

    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{PATH}, line {n}" for n in (2, 4, 5)]


def test_what_is_no_toml() -> None:
    """The parser's own words say where."""
    with pytest.raises(ConfigError, match=r"config\.toml: .*line 2"):
        understood("[hub]\nlisten = \n", PATH)


def test_lines_are_found_behind_anything() -> None:
    """Comments with characters that end lines elsewhere, values of several lines, heads of any look."""
    text = '# a\x0b b\u2028c\r\n [hub] # h\u2028h\n\n"scheme" = """\n# no comment\n[no]\n"""\nlisten=1\n[ "start" ]\ntimeout=1'

    assert lines_of(text) == {
        ("hub",): 2, ("hub", "scheme"): 4, ("hub", "listen"): 8, ("start",): 9, ("start", "timeout"): 10,
    }  # fmt: skip


@given(some_values)
def test_a_value_is_found_in_its_line(values: dict[str, Any]) -> None:
    """The line that is named has the key and the value."""
    text = template("name", values)
    lines, of = text.splitlines(), lines_of(text)
    for name, value in values.items():
        setting = BY_NAME[name]
        line = lines[of[setting.section, setting.key] - 1]
        assert line == f"{setting.key} = {kinds.toml(setting.kind.plain(value))}"


def test_a_file_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    """No configuration is no error."""
    assert load(tmp_path / "none.toml") == {}


@pytest.mark.parametrize(
    ("data", "mode", "said"),
    [
        (b"", 0o666, "chmod go-w"),
        (b"\xff\xfe", 0o600, "no text in UTF-8"),
        (b"#" * (1 << 20) + b"#", 0o600, "larger than"),
    ],
)
def test_a_file_that_cannot_be_used(data: bytes, mode: int, said: str, tmp_path: Path) -> None:
    """It says what to run: one that others can write is not believed."""
    path = tmp_path / "config.toml"
    path.write_bytes(data)
    path.chmod(mode)

    with pytest.raises(ConfigError, match=said):
        load(path)


def test_a_directory_in_place_of_a_file(tmp_path: Path) -> None:
    """It is said what cannot be read."""
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_in_the_place_of_a_configuration_is_not_waited_for(tmp_path: Path) -> None:
    """Nobody may ever write to it."""
    path = tmp_path / "config.toml"
    os.mkfifo(path, 0o600)

    with pytest.raises(ConfigError, match=r"config\.toml is no file"):
        load(path)


def test_a_wrong_variable_is_named() -> None:
    """The message begins with its name."""
    with pytest.raises(VariableError, match=r"^CTRLHUB_STATUS_TIMEOUT: 'soon' is not a number"):
        Layers({"CTRLHUB_STATUS_TIMEOUT": "soon"}).resolve(BY_NAME["status.timeout"])


def test_an_empty_variable_says_nothing() -> None:
    """As where it is not set."""
    layers = Layers({"CTRLHUB_STATUS_TIMEOUT": ""})

    assert layers.resolve(BY_NAME["status.timeout"]).origin is Origin.DEFAULT


def test_variables_that_mean_nothing_are_named() -> None:
    """A misspelt one does not pass unseen; those of others, and ours without a section, are none."""
    environ = {"CTRLHUB_HUB_LISTNE": "x", "CTRLHUB_HUB_LISTEN": "x", "CTRLHUB_TOKEN": "x", "PATH": "x"}

    assert Layers(environ).strange() == ["CTRLHUB_HUB_LISTNE"]
