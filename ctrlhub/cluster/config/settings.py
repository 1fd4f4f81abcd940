"""Every setting of the command, once: its name, kind, default and help.

A setting has a section and a key. From these follow its place in a configuration file (``[hub]``,
``listen = …``) and its environment variable (``CTRLHUB_HUB_LISTEN``); its option is said here, if it is
not the key's name. A new one is one line here, and its name in a command's `configured(...)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ctrlhub.cluster.config.kinds import (
    ADDRESS,
    AMOUNTS,
    LINES,
    PORTS,
    RATE,
    SECONDS,
    SIZE,
    SSH,
    SWITCH,
    WORDS,
    Kind,
    choice,
    text,
    whole,
    whole_or,
)
from ctrlhub.controller.config import (
    LOG_LEVELS,
    TASK_ORDERS,
    TASK_SCHEMES,
    HubConfig,
    check_scheme,
)
from ctrlhub.controller.http_config import address_of
from ctrlhub.controller.store_places import STORES, check_store, is_postgresql, shown
from ctrlhub.link.process_log import LOG_FORMATS
from ctrlhub.wire.served import check_link

PREFIX = "CTRLHUB_"
"""What the names of all environment variables begin with."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Parameters
    ----------
    section, key
        Where it stands in a configuration file.
    kind
        What values it has.
    default
        Its value where nobody says another; None for none.
    help
        What it does: one or two sentences.
    flags
        Its options, if not ``--key``.
    shown
        What its default is, in words, where None does not say it.
    rare
        Few want it: it stands at the end of ``--help``.
    """

    section: str
    key: str
    kind: Kind
    default: Any
    help: str
    flags: tuple[str, ...] = ()
    shown: str = ""
    rare: bool = False

    @property
    def name(self) -> str:
        """Its whole name."""
        return f"{self.section}.{self.key}"

    @property
    def argument(self) -> str:
        """The argument of a command's function that has its value; two sections have a `listen`."""
        return f"{self.section}_{self.key}" if self.section in ("http", "log") else self.key

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return PREFIX + self.name.replace(".", "_").replace("-", "_").upper()

    @property
    def options(self) -> tuple[str, ...]:
        """Its options on a command line."""
        return self.flags or ("--" + self.key.replace("_", "-"),)

    @property
    def default_text(self) -> str:
        """Its default, in words; empty where there is none."""
        if self.shown or self.default is None:
            return self.shown
        return "" if self.kind.is_switch else self.text(self.default)

    def text(self, value: Any) -> str:
        """Show a value to people: without secrets, a dash for none."""
        if value is None:
            return "-"
        plain = self.kind.plain(value)
        if isinstance(plain, bool):
            return "yes" if plain else "no"
        if isinstance(plain, float):
            return f"{plain:g}"
        if isinstance(plain, list):
            return ",".join(map(str, plain))
        if isinstance(plain, dict):
            return ",".join(f"{name}={each:g}" for name, each in plain.items())
        return shown(plain) if isinstance(plain, str) and is_postgresql(plain) else str(plain)


def _store(value: str) -> str:
    """Read where a store is: a directory of SQLite's as a whole path."""
    from pathlib import Path

    kind, colon, place = value.partition(":")
    if kind == "sqlite" and colon and place:
        return f"sqlite:{Path(place).expanduser().absolute()}"
    check_store(value)
    return value


def _store_in_file(value: Any) -> str:
    from pathlib import Path

    if type(value) is not str:
        raise ValueError(f"{value!r:.80} is not a text in quotes")
    kind, colon, place = value.partition(":")
    if kind == "sqlite" and colon and place and not Path(place).expanduser().is_absolute():
        raise ValueError(f"{place!r} is not a whole path, such as /scratch/me or ~/scratch")
    return _store(value)


_HUB = HubConfig()
_HTTP = _HUB.http

SECTIONS: Mapping[str, str] = {
    "hub": "The hub: for `ctrl-hub start` and `ctrl-hub hub`.",
    "http": "The hub's HTTP gateway: for `ctrl-hub start` and `ctrl-hub hub`.",
    "log": "The logs of all of them: for `ctrl-hub start`, `ctrl-hub hub`, `ctrl-hub engine` and `ctrl-hub engines start`.",
    "start": "`ctrl-hub start`.",
    "launcher": "How engines are started on other hosts: `ctrl-hub start` and `ctrl-hub engines start`.",
    "engine": "`ctrl-hub engine`.",
    "status": "`ctrl-hub status`, and how long other commands wait for the hub.",
}
"""What each section is about."""

PANELS: Mapping[str, str] = {"hub": "The hub", "http": "HTTP", "launcher": "Engines elsewhere"}
"""Headings of ``--help`` for the options of some sections, where a command has others, too."""

SETTINGS: tuple[Setting, ...] = (
    Setting("hub", "listen", ADDRESS, None,
        "Listen with TCP and CURVE on this address, too, for other hosts. Without it only this user on "
        "this host can connect."),
    Setting("hub", "location", ADDRESS, None,
        "The address by which other hosts find what --listen names, where that is another one: behind a "
        "translation of addresses (NAT, a container).", shown="the same; of 0.0.0.0 and :: the one that leads outwards"),
    Setting("hub", "ssh", SSH, None,
        "The ssh server through which clients and engines on other machines reach the hub: this one, or a "
        "gateway that reaches what --listen names. They log in there by themselves."),
    Setting("hub", "engine_ssh", SSH, None,
        "The same for engines alone, where they take another way; none for none.", shown="as --ssh"),
    Setting("hub", "port_range", PORTS, None, "TCP ports to choose from, at least four, better five; with --listen."),
    Setting("hub", "max_engines", whole(1), _HUB.max_engines, "The most engines that the hub registers."),
    Setting("hub", "scheme", text("NAME", check_scheme), TASK_SCHEMES[0],
        f"Which engine with room gets the next tasks: {', '.join(TASK_SCHEMES)}, the name of an entry point "
        "ctrlhub.schemes, or MODULE:CLASS."),
    Setting("hub", "task_order", choice(*TASK_ORDERS), TASK_ORDERS[0],
        "Which task of a client is next: the one that came first, or last."),
    Setting("hub", "store", Kind("STORE", _store, _store_in_file), STORES[0],
        "Where requests and results live: sqlite, in the state directory; sqlite:DIRECTORY, on a local disk; "
        "postgresql://HOST/DATABASE; or memory, only as long as the hub does."),
    Setting("hub", "max_memory", SIZE, None,
        "How much memory the hub may take, such as 4G: from there on it refuses requests until it has less.",
        shown="half of what its host, or control group, has"),
    Setting("hub", "history_records", whole(0), _HUB.history_records,
        "How many requests that have ended each interface remembers."),
    Setting("hub", "history_bytes", SIZE, _HUB.history_bytes,
        "How many bytes of requests that have ended each interface remembers.", shown="128M"),
    Setting("hub", "history_age", SECONDS, _HUB.history_age,
        "For how long requests that have ended are remembered."),
    Setting("hub", "session_ttl", SECONDS, _HUB.session_ttl,
        "For how long the requests of a client that has vanished are kept.", rare=True),
    Setting("hub", "detached_ttl", SECONDS, _HUB.detached_ttl,
        "For how long a session that its client has left is kept.", rare=True),
    Setting("hub", "hub_lease", SECONDS, _HUB.hub_lease,
        "For how long engines keep their namespaces without a hub.", rare=True),
    Setting("hub", "max_outstanding", whole(1), _HUB.max_outstanding,
        "The most requests of one client and interface that have not ended.", rare=True),
    Setting("hub", "max_sessions", whole(1), _HUB.max_sessions, "The most peers of each role.", rare=True),
    Setting("hub", "beat", SECONDS, _HUB.beat, "Time between two heartbeats of a peer.", rare=True),
    Setting("hub", "suspect", SECONDS, _HUB.suspect, "Silence until a peer gets no more work.", rare=True),
    Setting("hub", "lost", SECONDS, _HUB.lost, "Silence until a peer is given up.", rare=True),
    Setting("hub", "interfaces", WORDS, _HUB.interfaces, "What clients may use.", rare=True),
    Setting("hub", "log_level", choice(*LOG_LEVELS), _HUB.log_level, "How much all logs say.", rare=True),
    Setting("http", "listen", text("[ADDRESS:]PORT", address_of), _HTTP.listen,
        "Serve HTTP from the start: on a port of this host alone, or of an address, then with TLS; auto takes any port of "
        "this host, off serves none. By default one is begun when somebody asks for it, as `ctrl-hub dashboard` does.",
        ("--http",)),
    Setting("http", "hosts", WORDS, _HTTP.hosts,
        "Names, beside its own, by which it is reached: a proxy's, say. * is any.", ("--http-hosts",)),
    Setting("http", "origins", WORDS, _HTTP.origins,
        "Other sites whose scripts may use it: https://site.example.", ("--http-origins",)),
    Setting("http", "frames", WORDS, _HTTP.frames,
        "Other sites that may show its pages in a frame: https://jupyter.example.", ("--http-frames",)),
    Setting("http", "certificate", text("FILE"), None,
        "Its TLS certificate, PEM.", ("--http-certificate",), shown="one that it makes itself, where it needs one"),
    Setting("http", "key", text("FILE"), None, "The key of the certificate, PEM.", ("--http-key",)),
    Setting("http", "tls", SWITCH, _HTTP.tls, "Speak TLS on this host, too.", ("--http-tls",)),
    Setting("http", "plain", SWITCH, _HTTP.plain,
        "Speak HTTP without TLS to other hosts as well: whoever is on the way reads tokens and data. For behind a proxy "
        "that has TLS.", ("--http-plain",), rare=True),
    Setting("http", "prefix", text("/PATH"), None,
        "The path under which a proxy passes requests on.", ("--http-prefix",), rare=True),
    Setting("http", "link", text("TEMPLATE", check_link), None,
        "How notebooks link the dashboard: {prefix}/ctrl-hub/@{profile}/ through JupyterLab, {prefix} being "
        "JUPYTERHUB_SERVICE_PREFIX; also {url}, {host}, {port}.", ("--http-link",), rare=True),
    Setting("http", "max_body", SIZE, _HTTP.max_body,
        "The largest JSON that is taken.", ("--http-max-body",), shown="4M", rare=True),
    Setting("http", "max_upload", SIZE, _HTTP.max_upload,
        "The largest upload.", ("--http-max-upload",), shown="1G", rare=True),
    Setting("http", "rate", RATE, _HTTP.rate,
        "The most requests in a second of one token, or of an address without one.", ("--http-rate",), rare=True),
    Setting("http", "connections", whole(1), _HTTP.connections,
        "The most connections at a time.", ("--http-connections",), rare=True),
    Setting("http", "sockets", whole(1), _HTTP.sockets,
        "The most WebSockets and event streams at a time.", ("--http-sockets",), rare=True),
    Setting("http", "patience", SECONDS, _HTTP.patience,
        "How long a client may take for the head of a request, and for its body.", ("--http-patience",), rare=True),
    Setting("http", "login_age", SECONDS, _HTTP.login_age,
        "For how long a browser stays logged in.", ("--http-login-age",), rare=True),
    Setting("http", "results_bytes", SIZE, _HTTP.results_bytes,
        "The most that results of what was asked for by HTTP take on disk.", ("--http-results-bytes",), shown="16G", rare=True),
    Setting("http", "results_age", SECONDS, _HTTP.results_age,
        "For how long they are kept.", ("--http-results-age",), rare=True),
    Setting("log", "format", choice(*LOG_FORMATS), None, "How logs are written: a JSON object per line, or text.",
        ("--log-format",), shown="json for hub and gateway, text for others", rare=True),
    Setting("log", "max_bytes", SIZE, _HUB.log_max_bytes,
        "How long the log of a hub, gateway, nanny or supervisor may be: then it is set aside, and the one before it "
        "is removed.", ("--log-max-bytes",), shown="16M", rare=True),
    Setting("start", "engines", whole(0), None, "How many engines.", ("-n", "--engines"), shown="as many as cores"),
    Setting("start", "daemonize", SWITCH, False, "Return when ready; go on in the background."),
    Setting("start", "timeout", SECONDS, 60.0, "Time within which all engines must be registered."),
    Setting("launcher", "launcher", text("NAME"), "local",
        "What starts the engines: `ctrl-hub engines launchers` lists what there is."),
    Setting("launcher", "nodes", whole(1), None, "How many nodes.", shown="as the batch system sees fit"),
    Setting("launcher", "engines_per_node", whole_or("auto", 1), None,
        "How many engines on each node; auto is as many as it was given GPUs, or cores.",
        shown="the engines shared out"),
    Setting("launcher", "account", text("NAME"), None, "The account, or project, to charge."),
    Setting("launcher", "queue", text("NAME"), None, "The queue, or partition, of the batch system.",
        ("--queue", "--partition")),
    Setting("launcher", "time", text("TIME"), None, "The wall time, as the batch system writes it: 2:00:00."),
    Setting("launcher", "memory", text("SIZE"), None, "Memory on each node, as the batch system writes it."),
    Setting("launcher", "grace", whole(0, metavar="SECONDS"), None,
        "So long before the wall time is over engines finish or give back what they have, and leave."),
    Setting("launcher", "prologue", LINES, None,
        "A line of shell that comes before the engines, such as `module load python`; again for each further one."),
    Setting("launcher", "extra", LINES, None,
        "A further option of the batch system, as it would stand in the script: --gres=gpu:2; again for each "
        "further one."),
    Setting("launcher", "template", text("FILE"), None,
        "The script's template, instead of the one that `ctrl-hub engines template` prints."),
    Setting("launcher", "python", text("PATH"), None, "The Python of the engines.", shown="this one"),
    Setting("launcher", "hosts", text("LIST"), None,
        "Of launcher ssh: the hosts, and how many engines each has: a,b:4,me@c:8."),
    Setting("launcher", "mpiexec", text("COMMAND"), None,
        "Of launcher mpi: what starts MPI jobs here, with its options.", shown="mpiexec"),
    Setting("launcher", "options", LINES, None,
        "NAME=VALUE: any option of the launcher (`ctrl-hub engines launchers NAME` lists them); again for each "
        "further one, or further line of one.", ("-o", "--option")),
    Setting("launcher", "poll", SECONDS, 5.0,
        "How often `ctrl-hub start` asks the batch system how its engines are.", rare=True),
    Setting("launcher", "restart", choice("never", "failed", "always"), "failed",
        "When `ctrl-hub start` starts engines of a launcher again that have ended: if they failed (a lost node, "
        "say), also if they left in good order, or never."),
    Setting("engine", "engines", whole_or("auto", 1), 1,
        "How many engines; auto is one for each GPU that this job was given on this node, or if it was given "
        "none for each core.", ("-n", "--engines")),
    Setting("engine", "gpus", text("LIST|auto|none"), "auto",
        "The GPUs that the engines share out among themselves, such as 0,1 or 0-3: each finds its own in "
        "CUDA_VISIBLE_DEVICES. auto is what this job was given, or else all that there are."),
    Setting("engine", "prefer", choice("ipc", "tcp"), None,
        "How to reach the hub, where both ways are open.", shown="ipc"),
    Setting("engine", "ssh", SSH, None,
        "Reach the hub through this ssh server.", shown="as the connection file says"),
    Setting("engine", "ssh_key", text("FILE"), None,
        "The file of a private key for that.", shown="what ssh itself finds"),
    Setting("engine", "resources", AMOUNTS, None,
        "What each engine has, for tasks that ask for it; such as gpu=1,memory=16."),
    Setting("engine", "grace", SECONDS, 25.0,
        "How long what runs may go on after SIGTERM, and before the wall time is over: engines take nothing "
        "new, finish or give back what they have, and leave."),
    Setting("engine", "wall_time", SECONDS, None,
        "Have everything ended after so long.", shown="the end of the Slurm job, if it has one"),
    Setting("status", "timeout", SECONDS, 5.0, "How long to wait for the hub's answer."),
)  # fmt: skip
"""All settings, in the order in which they are shown."""

BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}
"""Each setting, by its whole name."""


def of_section(section: str) -> tuple[Setting, ...]:
    """Return the settings of a section."""
    return tuple(setting for setting in SETTINGS if setting.section == section)
