"""The tables in the documents say what the code, Compose and the benchmarks say."""

import json
from pathlib import Path

import pytest
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from chat_gateway.api import validation
from chat_gateway.settings import GatewaySettings
from history.settings import HistorySettings
from notecast_runtime.settings import ServiceSettings, variable_of
from tools import bounds_table
from tools import generate_tables as tables

ROOT = Path(__file__).parents[3]


class Example(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="EXAMPLE_")

    kind: str = Field(default="a", pattern="^(a|b)$", description="one or the other")
    seconds: float = Field(default=0.5, ge=0, le=300, description="how long")
    bytes: int = Field(default=268_435_456, ge=1, description="how much")


def test_a_row_names_variable_default_bounds_and_purpose() -> None:
    assert str(tables.settings_of(Example, without=["seconds"])).splitlines() == [
        "| variable | default | takes | what for |",
        "|---|---|---|---|",
        r"| `EXAMPLE_KIND` | `a` | text, matching ^(a\|b)$ | one or the other |",
        "| `EXAMPLE_BYTES` | 268435456 | a whole number, at least 1 | how much |",
    ]
    (row,) = tables.settings_of(Example, without=["kind", "bytes"]).rows
    assert row == ("`EXAMPLE_SECONDS`", "0.5", "a number, at least 0, at most 300", "how long")


@pytest.fixture
def compose(tmp_path: Path) -> Path:
    """A folder with Compose files."""
    (tmp_path / "docker-compose.yml").write_text(
        "# From the environment:\n"
        "#\n"
        "#   NOTECAST_PORT              8080; where clients find it; 127.0.0.1:8080: on this\n"
        "#                              machine alone\n"
        "#   NOTECAST_ORIGINS           who may call; empty: nobody\n"
        "#\n"
        "# The rest is elsewhere.\n"
        'ports: ["${NOTECAST_PORT:-8080}:8080"]\n'
    )
    (tmp_path / "docker-compose.production.yml").write_text(
        "file: ${NOTECAST_SECRETS:?is not set. It names the folder with secrets}/redis\n"
    )
    return tmp_path


def test_what_compose_takes_from_the_environment_is_a_row_each(compose: Path) -> None:
    assert list(tables.settings_of_compose(compose).rows) == [
        (
            "`NOTECAST_PORT`",
            "`8080`",
            "where clients find it; 127.0.0.1:8080: on this machine alone",
        ),
        ("`NOTECAST_ORIGINS`", "none", "who may call; empty: nobody"),
        ("`NOTECAST_SECRETS`", "must be set", "It names the folder with secrets"),
    ]


def test_what_compose_takes_without_a_word_is_refused(compose: Path) -> None:
    with (compose / "docker-compose.yml").open("a") as file:
        file.write("image: chat:${NOTECAST_TAG:-latest}\n")
    with pytest.raises(ValueError, match="NOTECAST_TAG"):
        tables.settings_of_compose(compose)


def test_costs_are_in_cores_and_of_our_own_server_alone(tmp_path: Path) -> None:
    figure = {
        "title": "the load; and the hub's",
        "case": "hot-room",
        "server": "wire",
        "delivered_per_second": 1000.0,
        "per_cpu_second": 4000.0,
        "per_cpu_second_whole": 1000.0,
        "delay_p99_ms": 12.6,
        "bytes_per_stream": None,
    }
    idle = figure | {"case": "idle-own", "bytes_per_stream": 2048.0}
    path = tmp_path / "full.json"
    path.write_text(json.dumps({"figures": [figure, figure | {"server": "hub"}, idle]}))
    (cost,) = tables.cost_of_notes(path).rows
    assert cost == ("`hot-room`", "the load", "1,000", "0.25", "0.75", "4,000", "13 ms")
    (memory,) = tables.memory_of_streams(path).rows
    assert memory == ("`idle-own`", "the load; and the hub's", "2.0 KiB")


@pytest.mark.parametrize("kind", [GatewaySettings, HistorySettings])
def test_the_operator_s_page_tells_of_every_setting(kind: type[ServiceSettings]) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    for name in kind.model_fields:
        assert f"| `{variable_of(name)}` |" in page


def test_no_document_is_stale_and_each_has_a_table() -> None:
    documents = [ROOT / name for name in tables.DOCUMENTS]
    assert tables.stale(documents) == []
    assert all("<!-- end of table -->" in path.read_text() for path in documents)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The documents, in another place."""
    for name in tables.DOCUMENTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("said", "instead"), [("| 16384 |", "| 16385 |"), ("| `NOTECAST_LEASE_SECONDS`", "| `GONE`")]
)
def test_the_check_fails_where_a_table_is_stale_and_writing_mends_it(
    copy: Path, capsys: pytest.CaptureFixture[str], said: str, instead: str
) -> None:
    assert tables.main(["--check"], copy) == 0
    page = copy / "docs" / "operations.md"
    right = page.read_text()
    assert said in right
    page.write_text(right.replace(said, instead))
    assert tables.main(["--check"], copy) == 1
    assert "stale: a table or picture in docs/operations.md" in capsys.readouterr().err
    assert page.read_text() != right
    assert tables.main([], copy) == 0
    assert page.read_text() == right
    assert tables.main(["--check"], copy) == 0


def test_a_table_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(KeyError, match="nothing"):
        tables.filled("<!-- table of nothing -->\n<!-- end of table -->")


def test_the_bounds_of_requests_are_those_that_requests_are_checked_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(validation, "MAX_LABELS", 1_234)
    bounds = {what: (bound, set_by) for what, bound, set_by in bounds_table.bounds()}
    assert bounds["labels"][0].startswith("1,234; keys of 1 to 64 bytes")
    assert bounds["text"][0].startswith("1 to 16,384 bytes")
    assert bounds["text"][1] == "`NOTECAST_MAX_TEXT_BYTES`"


def test_the_environment_of_the_writer_does_not_change_the_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = list(bounds_table.bounds())
    monkeypatch.setenv("NOTECAST_MAX_TEXT_BYTES", "7")
    assert list(bounds_table.bounds()) == before


def test_a_bound_without_a_row_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "MAX_MENTIONS", 9, raising=False)
    with pytest.raises(ValueError, match="MAX_MENTIONS"):
        list(bounds_table.bounds())
