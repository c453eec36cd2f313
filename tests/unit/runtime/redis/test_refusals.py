"""What Redis refuses is sorted in one way, whoever reads it, and clients get our words."""

import pytest
from hiredis import ReplyError
from redis._parsers.base import BaseParser

from notecast_runtime.redis.refusals import RefusedError, refusal_of, words_for

SAID = {
    "redis_read_only": "READONLY You can't write against a read only replica.",
    "redis_without_primary": "MASTERDOWN Link with MASTER is down and"
    " replica-serve-stale-data is set to 'no'.",
    "redis_loading": "LOADING Redis is loading the dataset in memory",
    "redis_moved": "MOVED 3999 127.0.0.1:6381",
    "redis_cluster_down": "CLUSTERDOWN Hash slot not served",
    "redis_credentials": "NOAUTH Authentication required.",
    "redis_full": "OOM command not allowed when used memory > 'maxmemory'.",
    "redis_disk": "MISCONF Errors writing to the AOF file: No space left on device",
    "redis_without_replicas": "NOREPLICAS Not enough good replicas to write.",
    "redis_forbids": "NOPERM User ann has no permissions to run the 'eval' command",
    "redis_resharding": "TRYAGAIN Multiple keys request during rehashing of slot",
    "redis_busy": "BUSY Redis is busy running a script.",
}
ELSEWHERE = {
    "redis_read_only",
    "redis_without_primary",
    "redis_loading",
    "redis_moved",
    "redis_cluster_down",
    "redis_credentials",
}
NEWER_SCRIPT = " script: 0123456789abcdef, on @user_script:31."
OLDER_SCRIPT = "ERR Error running script (call to f_0123): @user_script:31: @user_script: 31: -"


def of_redis_py(said: str) -> Exception:
    error: Exception = BaseParser.parse_error(said)  # type: ignore[no-untyped-call]
    return error


@pytest.mark.parametrize(("reason", "said"), SAID.items())
def test_a_refusal_means_the_same_alone_and_from_within_a_script_of_any_release(
    reason: str, said: str
) -> None:
    within = () if said.startswith("MOVED") else (said + NEWER_SCRIPT, f"{OLDER_SCRIPT}{said}")
    for text in (said, *within):
        for error in (ReplyError(text), of_redis_py(text)):
            refusal = refusal_of(error)
            assert refusal is not None, text
            assert refusal.reason == reason
            assert refusal.elsewhere == (reason in ELSEWHERE)
            assert refusal.definite


@pytest.mark.parametrize(
    "said",
    [
        "ERR ACL failure in script: User ann has no permissions to run the 'publish' command"
        + NEWER_SCRIPT,
        "ERR The user executing the script can't run this command or subcommand",
    ],
)
def test_a_right_that_a_script_lacks_may_be_missed_after_its_first_writes(said: str) -> None:
    for error in (ReplyError(said), of_redis_py(said)):
        refusal = refusal_of(error)
        assert refusal is not None
        assert (refusal.reason, refusal.definite) == ("redis_forbids", False)


@pytest.mark.parametrize(
    "said",
    [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR unknown command 'READONLY-ish'",
        "NOSCRIPT No matching script.",
        "CORRUPT nc:{5}:epoch is no number",
        "",
    ],
)
def test_what_is_about_one_command_says_nothing_of_the_connection(said: str) -> None:
    assert refusal_of(ReplyError(said)) is None
    assert refusal_of(of_redis_py(said)) is None


@pytest.mark.parametrize("answer", [None, b"READONLY", 1, [b"OOM"]])
def test_an_answer_is_no_refusal(answer: object) -> None:
    assert refusal_of(answer) is None


@pytest.mark.parametrize("said", [*SAID.values(), "WRONGTYPE Operation against a key", "ERR x"])
def test_clients_are_told_in_our_words(said: str) -> None:
    told = words_for(ReplyError(f"{said} ann nc:{{5}}:log:secret @user_script:31"))
    assert "edis" in told
    for secret in ("ann", "nc:", "secret", "script:", said):
        assert secret not in told


def test_the_log_gets_redis_s_text_with_its_code() -> None:
    said = SAID["redis_read_only"]
    refusal = refusal_of(ReplyError(said))
    assert refusal is not None
    for error in (ReplyError(said), of_redis_py(said)):
        assert str(RefusedError(refusal, error)) == said
    assert words_for(RefusedError(refusal, said)) == refusal.words
