import os
from pathlib import Path

import pytest

from notecast_local.errors import AlreadyRunningError, UnusableFolderError
from notecast_local.folder import data_folder


def test_a_second_stack_on_the_same_data_is_told_which_process_has_them(tmp_path: Path) -> None:
    with (
        data_folder(tmp_path / "run"),
        pytest.raises(AlreadyRunningError, match=f"process {os.getpid()}"),
        data_folder(tmp_path / "run"),
    ):
        pass


def test_the_data_are_free_again_after_the_stack(tmp_path: Path) -> None:
    for _ in range(2):
        with data_folder(tmp_path / "run"):
            assert (tmp_path / "run" / "valkey").is_dir()


def test_a_folder_that_can_not_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UnusableFolderError, match=r"file/run: Not a directory"),
        data_folder(tmp_path / "file" / "run"),
    ):
        pass
