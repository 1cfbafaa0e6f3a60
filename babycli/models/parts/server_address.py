"""The address of a model that a server runs, ``openai:http://localhost:8000/v1#NAME``, and who may see the pictures.

Owns which hosts are this machine. Never connects to one. A name that leads to this machine is another host all the
same: only ``localhost`` and loopback addresses are taken for this machine, and the connection is held to that.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from babycli.errors import UsageError
from babycli.wording import printable, shortened

NAME = "openai"  # of the family
PREFIX = f"{NAME}:"
FORM = f"{PREFIX}http://localhost:8000/v1#NAME"
_MEND = f"write  --model {FORM}"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a server, and the name of a model there."""

    scheme: str  # "http" or "https"
    host: str  # in lower case; an IPv6 address without its brackets
    port: int
    path: str  # "/v1", without a slash at its end
    model: str  # "": the only one that the server has

    @property
    def url(self) -> str:
        """The address without the model."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"

    @property
    def is_this_machine(self) -> bool:
        return self.host == "localhost" or is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Tells whether this is the number of a loopback address: 127.0.0.0/8 or ::1. Names are none."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_address(source: str) -> Address:
    """Reads the address behind ``openai:``. Raises UsageError; no message repeats what may be a password."""
    url, _, model = source.removeprefix(PREFIX).partition("#")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(
            f"--model {PREFIX}...: its address is none: a port or an IPv6 address is wrong", _MEND
        ) from error
    if "@" in url or "?" in url:
        raise UsageError(
            f"--model {PREFIX}...: its address holds a user or a query, and so a password or a key perhaps, which "
            "every user of this machine can read",
            "put the key into the environment: OPENAI_API_KEY, or another variable with  --model-args key_env=NAME",
        )
    is_one = parts.scheme in _PORTS and host and port != 0 and url.isascii() and url.isprintable() and " " not in url
    if not is_one or not host or not _has_labels(host):
        raise UsageError(f"--model {shortened(source)!r} names no server", _MEND)
    return Address(parts.scheme, host, port or _PORTS[parts.scheme], parts.path.rstrip("/"), model)


def _has_labels(host: str) -> bool:
    """Tells whether each part of a name between dots is of a length that can be asked for."""
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def check_may_send(address: Address, allowed: str) -> None:
    """Checks that pictures may go to a server: to this machine, or to the host that the user has named.

    Raises UsageError.
    """
    if address.is_this_machine or allowed.lower() == address.host:
        return
    given = f" --send-pictures-to names {printable(allowed)}." if allowed else ""
    raise UsageError(
        f"{PREFIX}{address.url} would send every picture to {address.host}, which is not this machine.{given} The "
        "recordings of SAYCam and BabyView show children in their homes. The agreement under which you have them, "
        "Databrary's or BabyView's, says who may see them: nobody outside of it, and whoever runs a hosted model is "
        "outside of it",
        "run the server on this machine: docs/servers.md; or, where the pictures may go there (the demo's, which are "
        f"drawn; a host that your agreement covers), name it word for word:  --send-pictures-to {address.host}",
    )
