"""A URL of Redis means what it says, or is refused; and nothing of a password is ever shown."""

import string
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notecast_runtime.redis.connector import RedisConnector
from notecast_runtime.redis.epoch_guard import EpochGuard
from notecast_runtime.redis.url import RedisUrlError, check_redis_url, redacted
from notecast_runtime.settings import ServiceSettings, load_settings

FORMS = (
    "redis://ann:{}@host.example:6379/0",
    "redis://:{}@host.example",
    "rediss://ann:{}@host.example:6379/1?ssl_cert_reqs=none",
    "unix://ann:{}@/run/redis.sock?db=2",
    "unix:///run/redis.sock?password={}",
)
passwords = st.text(alphabet="QZ0189" + string.punctuation + " \t\né", min_size=4, max_size=20)
"""Of characters that the forms above, and our own words, have as little as possible of."""


@settings(deadline=None)  # the machine may be busy
@given(form=st.sampled_from(FORMS), password=passwords)
def test_a_password_that_is_encoded_is_taken_and_shown_nowhere(form: str, password: str) -> None:
    url = form.format(quote(password, safe=""))
    check_redis_url(url)
    connector = RedisConnector(url, EpochGuard(), 1)
    assert connector._address.password == password
    assert connector.address in {"host.example:6379", "/run/redis.sock"}
    assert "redis_url" not in repr(ServiceSettings.model_validate({"redis_url": url}))


@settings(deadline=None)  # the machine may be busy
@given(form=st.sampled_from(FORMS), password=passwords)
def test_one_that_is_not_is_taken_whole_or_the_url_is_refused_and_no_part_shown(
    form: str, password: str
) -> None:
    url = form.format(password)
    try:
        check_redis_url(url)
    except RedisUrlError as error:
        told = f"{redacted(url)} {error}"
        parts = {password[begin : begin + 4] for begin in range(len(password) - 3)}
        assert [part for part in parts if part in told] == []
    else:
        # As percent-encoding, '+' and the like may have been meant or not; never as another place.
        address = RedisConnector(url, EpochGuard(), 1).address
        assert address in {"host.example:6379", "/run/redis.sock"}


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("redis://host?colour=red", "parameter 'colour' is unknown"),
        ("redis://host?socket_timeout=5", "parameter 'socket_timeout' is unknown"),
        ("redis://host?ssl_ca_certs=/ca.crt", "parameter 'ssl_ca_certs' is unknown"),
        ("unix:///run/redis.sock?socket_keepalive=no", "parameter 'socket_keepalive' is unknown"),
        ("redis://host?x%20y=z", "a parameter is unknown"),
        ("unix:///run/redis.sock?db=two", "parameter 'db' has a value"),
        ("redis://host?socket_keepalive=maybe", "parameter 'socket_keepalive' has a value"),
        ("rediss://host?ssl_min_version=1", "parameter 'ssl_min_version' has a value"),
        ("rediss://host?ssl_cert_reqs=some", "parameter 'ssl_cert_reqs' has a value"),
        ("redis://host?db=1&db=2", "parameter 'db' is there twice"),
        ("redis://host:0", "port"),
        ("redis://host:port", "port"),
        ("redis://host:6379/zero", "database"),
        ("redis://ann:12#word@host", "%23"),
        ("redis://ann:12/word@host", "%2F"),
        ("redis://ann:12?word@host", "%3F"),
        ("unix://run/redis.sock", "begins with '/'"),
        ("unix://", "no socket"),
        ("http://host", "redis://"),
    ],
)
def test_what_is_wrong_is_named(url: str, fault: str) -> None:
    with pytest.raises(RedisUrlError, match=fault.replace("?", ".")):
        check_redis_url(url)


def test_an_unknown_parameter_ends_a_service_with_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOTECAST_REDIS_URL", "redis://:hunter2@host?colour=red")
    with pytest.raises(SystemExit) as ended:
        load_settings(ServiceSettings)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.count("\n") == 1
    assert "parameter 'colour' is unknown" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "redis://[::1]:6379",
        "redis://host/",
        "rediss://host?ssl_ca_certs=/run/ca.crt&ssl_check_hostname=no&ssl_min_version=771",
        "redis://host:6379/3?client_name=gateway-1&socket_keepalive=no",
        "unix:///run/redis.sock",
        "unix:///run/redis.sock?db=1&username=ann&password=word",
    ],
)
def test_what_is_right_is_taken(url: str) -> None:
    check_redis_url(url)
    RedisConnector(url, EpochGuard(), 1)
