"""The picture of the layers and the tables of modules are what contracts and modules say."""

from pathlib import Path

import pytest

from tools import generate_tables
from tools.import_layers import layers, picture
from tools.module_tables import modules_of, packages, sentence_of

PROJECT = """
[[tool.importlinter.contracts]]
name = "the whole"
type = "layers"
layers = ["shop | office", "shared"]

[[tool.importlinter.contracts]]
name = "the shop"
type = "layers"
containers = ["shop"]
layers = ["desk", "till : (scale)", "goods"]

[[tool.importlinter.contracts]]
name = "goods do no I/O"
type = "forbidden"
source_modules = ["shop.goods"]
forbidden_modules = ["asyncio", "socket"]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with one library, whose layers are in another order than its names."""
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    shop = tmp_path / "libs" / "shop"
    (shop / "goods").mkdir(parents=True)
    (shop / "__init__.py").write_text('"""A shop."""\n')
    (shop / "goods" / "__init__.py").write_text('"""What is sold."""\n')
    (shop / "goods" / "apple.py").write_text('"""An apple. No I/O.\n\nIt is red."""\n')
    (shop / "till.py").write_text('"""Takes money."""\n')
    (shop / "desk.py").write_text('"""Takes orders."""\n')
    (shop / "take.lua").write_text("-- Takes an apple\n-- away. And more.\n--\n-- KEYS: 1\n")
    return tmp_path


def test_the_picture_has_each_layer_above_the_one_that_it_imports(root: Path) -> None:
    lines = picture(root / "pyproject.toml").splitlines()
    assert lines[:2] == ["```mermaid", "flowchart TB"]
    assert '  subgraph g1["shop"]' in lines
    assert '    g0l0["shop | office"]' in lines
    assert '    g1l1["till, scale"]' in lines
    assert "    g1l0 --> g1l1 --> g1l2" in lines


def test_the_picture_marks_what_does_no_io(root: Path) -> None:
    shown = picture(root / "pyproject.toml")
    assert '"goods (no I/O)"' in shown
    assert shown.count("no I/O") == 1


def test_modules_come_by_layer_and_packages_with_what_is_in_them(root: Path) -> None:
    assert list(modules_of("shop", root)) == [
        ("desk.py", "Takes orders."),
        ("till.py", "Takes money."),
        ("goods/", "What is sold."),
        ("goods/apple.py", "An apple. No I/O."),
        ("take.lua", "Takes an apple away."),
    ]


def test_a_module_that_says_nothing_of_itself_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mute.py").write_text("x = 1\n")
    (tmp_path / "mute.lua").write_text("return 1\n")
    for name in ("mute.py", "mute.lua"):
        with pytest.raises(ValueError, match=name):
            sentence_of(tmp_path / name)


def test_a_package_that_is_not_there_is_an_error(root: Path) -> None:
    assert packages(root) == ["shop"]
    with pytest.raises(LookupError, match="office"):
        list(modules_of("office", root))


def test_a_picture_in_a_document_is_filled_and_one_of_old_contracts_is_stale(
    tmp_path: Path,
) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- picture of the layers -->\nold\n<!-- end of picture -->\nrest\n")
    assert generate_tables.stale([page]) == [page]
    page.write_text(generate_tables.filled(page.read_text()))
    assert picture() in page.read_text()
    assert page.read_text().endswith("```\n<!-- end of picture -->\nrest\n")
    assert generate_tables.stale([page]) == []


def test_the_contracts_of_this_project_have_layers() -> None:
    assert {"all packages", "chat_gateway", "notecast_wire"} <= {one.container for one in layers()}
