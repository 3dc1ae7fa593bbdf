from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tiny_datasets
from tiny_datasets import (
    ClipDataset,
    DatasetError,
    PictureDataset,
    data_home,
    dataset_folder,
    import_pictures,
    load,
    names,
)
from tiny_datasets.catalogue import DRAWN, SHIPPED
from tiny_datasets.plain_text import is_device

ALL_SHIPPED = ["bouncing_digits", "digits", "emoji", "moving_digits", "photos", "shapes"]


def test_without_imports_there_are_the_shipped_datasets():
    assert names() == ALL_SHIPPED


def test_imported_datasets_are_listed_in_order(picture_folder, home):
    import_pictures(picture_folder, "zebras")
    import_pictures(picture_folder, "ants")
    assert names() == names(home) == ["ants", *ALL_SHIPPED, "zebras"]


def test_what_is_no_dataset_is_not_listed(home):
    for name in ("empty", ".importing-x", "Capital"):
        (home / name).mkdir(parents=True)
    (home / "Capital" / "dataset.json").touch()
    (home / ".importing-x" / "dataset.json").touch()
    (home / "file").touch()
    assert names() == ALL_SHIPPED


def test_the_home_argument_wins_over_the_environment(picture_folder, tmp_path):
    import_pictures(picture_folder, "pets", home=tmp_path / "other")
    assert names() == ALL_SHIPPED
    assert names(str(tmp_path / "other")) == sorted([*ALL_SHIPPED, "pets"])
    assert load("pets", tmp_path / "other").name == "pets"


def test_the_data_home_comes_from_the_environment(home):
    assert data_home() == home


@pytest.mark.parametrize("value", [None, ""])
def test_the_data_home_is_in_the_users_home_otherwise(monkeypatch, tmp_path, value):
    monkeypatch.delenv("ELT_REF_DATA")
    if value is not None:
        monkeypatch.setenv("ELT_REF_DATA", value)
    monkeypatch.setattr(os.path, "expanduser", lambda path: str(path).replace("~", str(tmp_path)))
    assert data_home() == tmp_path / ".elt_ref" / "data"


def test_a_user_without_a_home_must_name_a_folder(monkeypatch):
    monkeypatch.delenv("ELT_REF_DATA")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(DatasetError, match="ELT_REF_DATA must name a folder when the user has no home"):
        data_home()


def test_an_unreadable_home_is_an_error(home, monkeypatch):
    home.mkdir()

    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DatasetError, match=r"data home .* must be a readable folder, got Permission denied"):
        names()


def test_files_of_a_dataset_live_in_its_folder(picture_folder, home):
    import_pictures(picture_folder, "pets")
    assert dataset_folder("pets") == home / "pets"
    assert sorted(path.name for path in (home / "pets").iterdir()) == ["dataset.json", "dataset.safetensors"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_dataset_has_a_folder_that_tells_its_source(name):
    folder = dataset_folder(name)
    assert folder == Path(tiny_datasets.__file__).parent / name
    text = (folder / "SOURCE.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    assert "## Licence" in text


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_dataset_is_loaded_by_its_name(name, tmp_path):
    for dataset in (load(name), load(name, tmp_path)):
        assert isinstance(dataset, PictureDataset | ClipDataset)
        assert dataset.name == name
        for split in (dataset.train, dataset.test):
            assert split.examples.dtype == np.uint8
            assert split.labels.dtype == np.int64
            assert split.examples.max() == dataset.white
            assert set(split.labels.tolist()) == set(range(len(dataset.classes)))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_name_is_taken(picture_folder, name):
    with pytest.raises(DatasetError, match=f"'{name}', which already exists in this package"):
        import_pictures(picture_folder, name)


@pytest.mark.parametrize("ask", [load, dataset_folder])
def test_an_unknown_name_is_answered_with_the_nearest(picture_folder, ask):
    import_pictures(picture_folder, "pets")
    for wrong, nearest in {"digit": "digits", "pet": "pets"}.items():
        with pytest.raises(DatasetError) as error:
            ask(wrong)
        assert f"a dataset '{wrong}'" in str(error.value)
        assert f"nearest known name is '{nearest}'" in str(error.value)
        assert "elt-ref data list" in str(error.value)


def test_names_that_windows_keeps():
    """A configuration may have more letters in its name than a data set."""
    for name in ("con", "NUL", "Aux.txt", "prn ", "com0", "COM¹", "lpt²", "LPT9.tar.gz", "conin$", "CONOUT$"):
        assert is_device(name), name
    for name in ("", "cons", "com", "com10", "lpt", "nul-1", "xcon", "conin", "aux_"):
        assert not is_device(name), name


@pytest.mark.parametrize("name", ["", ".", "..", "../pictures", "/", "Digits"])
def test_a_name_is_never_taken_for_a_path(picture_folder, name):
    assert picture_folder.is_dir()
    with pytest.raises(DatasetError, match="nearest known name is"):
        load(name)


def test_loading_needs_neither_pillow_nor_scikit_learn_nor_elt_ref():
    program = (
        "import sys, tiny_datasets; [tiny_datasets.load(name) for name in tiny_datasets.names()];"
        "print([name for name in ('PIL', 'sklearn', 'elt_ref') if name in sys.modules])"
    )
    root = Path(tiny_datasets.__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert run.stdout == "[]\n"


@pytest.mark.parametrize("name", DRAWN)
def test_a_dataset_is_drawn_once_in_a_process_and_nobody_can_change_it(name):
    dataset = load(name)
    assert load(name) is dataset
    for part in (dataset.train, dataset.test):
        assert not part.examples.flags.writeable
        assert not part.labels.flags.writeable
