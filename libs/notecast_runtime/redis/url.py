"""Checks URLs of Redis, and redacts those that may hold a password. No I/O.

A password that is not percent-encoded makes another URL of it than was meant, which may even be
a good one: part of the password is then the host, the port or a parameter. So a URL that is
refused is not shown, and what could have come about so is refused.
"""

import re
import ssl
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote, urlsplit

_SCHEMES = ("redis", "rediss", "unix")
_SCHEME = re.compile(r"(?:[a-z]{1,10}://)?")
_NAME = re.compile(r"[a-z][a-z_]{0,39}")
_DATABASE = re.compile(r"(?:/[0-9]{0,5})?")
_TRUTHS = {"1", "t", "true", "y", "yes", "0", "f", "false", "n", "no"}


class RedisUrlError(ValueError):
    """The fault of a URL, in words that only show a parameter's name of it."""


def check_redis_url(url: str) -> None:
    """Checks that redis-py will read a URL as it was meant.

    Args:
        url: see `ServiceSettings.redis_url`.

    Raises:
        RedisUrlError: it will not, or the URL has an unknown parameter.
    """
    scheme, colon, rest = url.partition("://")
    if not colon or scheme not in _SCHEMES:
        raise RedisUrlError("it begins with none of redis://, rediss://, unix://")
    if not url.isprintable():
        raise RedisUrlError("it has a character that is not printable")
    if "#" in url:
        raise RedisUrlError("'#' has no meaning in it; within a password it is %23")
    before, _, parameters = rest.partition("?")
    if "@" in parameters:
        raise RedisUrlError("'@' comes behind '?'; within a password '?' is %3F, and '@' is %40")
    authority, slash, path = before.partition("/")
    if "@" in path:
        raise RedisUrlError("'@' comes behind '/'; within a password '/' is %2F")
    port = _port(url)
    if scheme == "unix":
        _check_socket(authority, slash + path)
    elif port == 0:
        raise RedisUrlError("the port is 0")
    elif not _DATABASE.fullmatch(unquote(slash + path)):
        raise RedisUrlError("the database, behind the host, is no number")
    _check_parameters(scheme, parameters)


def redacted(text: str) -> str:
    """Replaces all but the scheme of a text that is, or should be, a URL with a password."""
    scheme = _SCHEME.match(text)
    return f"{scheme[0] if scheme else ''}***"


def _check_socket(authority: str, path: str) -> None:
    if authority and not authority.endswith("@"):
        raise RedisUrlError("unix:// is followed by the socket's path, which begins with '/'")
    if not path.strip("/"):
        raise RedisUrlError("it names no socket")


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        raise RedisUrlError(
            "host and port can't be read; within a password '/' is %2F, '[' is %5B"
        ) from None


def _check_parameters(scheme: str, parameters: str) -> None:
    seen = set()
    for name, value in parse_qsl(parameters, keep_blank_values=True):
        takes = _PARAMETERS[scheme].get(name)
        shown = f"parameter {name!r}" if _NAME.fullmatch(name) else "a parameter"
        if takes is None:
            known = ", ".join(sorted(_PARAMETERS[scheme]))
            raise RedisUrlError(f"{shown} is unknown; {scheme}:// takes {known}")
        if name in seen:
            raise RedisUrlError(f"{shown} is there twice")
        if not takes(value):
            raise RedisUrlError(f"{shown} has a value that it does not take")
        seen.add(name)


def _is_text(value: str) -> bool:
    return bool(value)


def _is_truth(value: str) -> bool:
    return value.lower() in _TRUTHS


def _is_database(value: str) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", value) is not None


def _is_tls_version(value: str) -> bool:
    return value.isdecimal() and int(value) in {int(version) for version in ssl.TLSVersion}


_ANY: dict[str, Callable[[str], bool]] = {
    "db": _is_database,
    "client_name": _is_text,
    "username": _is_text,
    "password": _is_text,
}
_TCP = _ANY | {"socket_keepalive": _is_truth}
_PARAMETERS = {
    "unix": _ANY,
    "redis": _TCP,
    "rediss": _TCP
    | {
        "ssl_ca_certs": _is_text,
        "ssl_ca_path": _is_text,
        "ssl_certfile": _is_text,
        "ssl_keyfile": _is_text,
        "ssl_password": _is_text,
        "ssl_ciphers": _is_text,
        "ssl_cert_reqs": {"none", "optional", "required"}.__contains__,
        "ssl_check_hostname": _is_truth,
        "ssl_min_version": _is_tls_version,
    },
}
"""By scheme, without what is set elsewhere (timeouts, the protocol, pools)."""
