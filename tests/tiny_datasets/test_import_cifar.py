from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny_datasets import DatasetError, PictureDataset, import_cifar, load

CLASSES = ("cat", "dog", "frog")


def records(images, labels, coarse=None):
    """CIFAR's records, written out plane by plane."""
    content = b""
    for index, image in enumerate(images):
        content += b"" if coarse is None else bytes([coarse[index]])
        content += bytes([labels[index]])
        for channel in range(3):
            content += bytes(int(pixel) for row in image for pixel in row[:, channel])
    return content


def draw_part(seed, count):
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), draw.integers(0, len(CLASSES), count).tolist()


def pairs(examples, labels):
    return sorted((example.tobytes(), int(label)) for example, label in zip(examples, labels, strict=True))


def write_ten(root, batches, test):
    root.mkdir(exist_ok=True)
    for number, part in enumerate(batches, 1):
        (root / f"data_batch_{number}.bin").write_bytes(records(*part))
    (root / "test_batch.bin").write_bytes(records(*test))
    (root / "batches.meta.txt").write_text("\n".join(CLASSES) + "\n\n", encoding="utf-8")
    return root


@pytest.fixture
def folder(tmp_path):
    return write_ten(tmp_path / "cifar", [draw_part(0, 3), draw_part(1, 2)], draw_part(2, 2))


@pytest.fixture
def refusal(home):
    """Import what must be refused, and return the sentence."""

    def refused(path, name="mine", **options):
        with pytest.raises(DatasetError) as error:
            import_cifar(path, name, **options)
        assert "\n" not in str(error.value)
        assert not home.exists()
        return str(error.value)

    return refused


def test_what_is_known_of_it(folder):
    import_cifar(folder, "mine")
    dataset = load("mine")
    assert isinstance(dataset, PictureDataset)
    assert dataset.classes == CLASSES
    assert dataset.white == 255
    assert (
        dataset.description == "7 pictures of 3 classes, 32x32 colour pixels. Batches to train on: 2 of CIFAR-10's 5."
    )
    assert dataset.source == "CIFAR's binary files in a folder called 'cifar'"


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 2), min_size=1, max_size=3), st.integers(1, 2))
def test_every_byte_comes_back(tmp_path_factory, seed, counts, test_count):
    root = tmp_path_factory.mktemp("cifar")
    batches = [draw_part([seed, number], count) for number, count in enumerate(counts)]
    test = draw_part([seed, 9], test_count)
    write_ten(root, batches, test)
    import_cifar(root, "mine", home=root / "home")
    stored = load("mine", root / "home")
    images, labels = (np.concatenate(of_batches) for of_batches in zip(*batches, strict=True))
    assert pairs(stored.train.examples, stored.train.labels) == pairs(images, labels)
    assert pairs(stored.test.examples, stored.test.labels) == pairs(*test)


def test_the_fine_labels_of_cifar_100(tmp_path):
    train, test = draw_part(0, 4), draw_part(1, 2)
    (tmp_path / "train.bin").write_bytes(records(*train, coarse=[9] * 4))
    (tmp_path / "test.bin").write_bytes(records(*test, coarse=[9] * 2))
    (tmp_path / "fine_label_names.txt").write_text("cat\ndog\nfrog", encoding="utf-8")
    dataset = import_cifar(tmp_path, "mine")
    assert dataset.classes == CLASSES
    assert pairs(dataset.train.examples, dataset.train.labels) == pairs(*train)
    assert pairs(dataset.test.examples, dataset.test.labels) == pairs(*test)


@given(st.data())
def test_a_truncated_record_is_refused(tmp_path_factory, data):
    root = write_ten(tmp_path_factory.mktemp("cifar"), [draw_part(0, 2)], draw_part(1, 2))
    path = root / data.draw(st.sampled_from(["data_batch_1.bin", "test_batch.bin"]))
    cut = data.draw(st.integers(0, 2 * 3073 - 1).filter(lambda size: size != 3073))  # a whole record may be missed
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DatasetError, match=rf"must hold 1 or more records of 3073 bytes, got {cut} bytes"):
        import_cifar(root, "mine", home=root / "home")
    assert not (root / "home").exists()


def test_size_and_grey_when_asked_for(folder):
    dataset = import_cifar(folder, "mine", height=16, width=8, colour=False)
    assert dataset.train.examples.shape == (5, 16, 8, 1)
    images, _ = draw_part(2, 2)
    luma = images[:, :, 8:24] @ np.array(
        [0.299, 0.587, 0.114]
    )  # of ITU-R 601, and the central half is as wide as 8 to 16
    means = luma.reshape(2, 16, 2, 8, 2).mean((2, 4))
    found = dataset.test.examples[..., 0].astype(float)
    assert min(np.abs(found - order).max() for order in (means, means[::-1])) <= 1.5


# Refusals


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test_batch.bin", "test_batch.bin must be a file of CIFAR, got no such file"),
        ("batches.meta.txt", "batches.meta.txt must be a file of CIFAR, got no such file"),
    ],
)
def test_a_missing_file(folder, refusal, name, expected):
    (folder / name).unlink()
    assert expected in refusal(folder)


def test_a_gap_in_the_batches(folder, refusal):
    (folder / "data_batch_2.bin").rename(folder / "data_batch_4.bin")
    assert "must hold data_batch_1.bin to data_batch_4.bin without a gap, got only the numbers 1, 4" in refusal(folder)


def test_all_batches_need_no_word(tmp_path):
    dataset = import_cifar(write_ten(tmp_path, [draw_part(number, 2) for number in range(5)], draw_part(5, 2)), "mine")
    assert dataset.description == "12 pictures of 3 classes, 32x32 colour pixels."


def test_both_data_sets_in_one_folder(folder, refusal):
    (folder / "train.bin").touch()
    assert "must hold CIFAR-10 or CIFAR-100, got both: data_batch_1.bin and train.bin" in refusal(folder)


def test_no_batches(tmp_path, refusal):
    expected = "must hold data_batch_1.bin of CIFAR-10 or train.bin of CIFAR-100, got neither"
    assert expected in refusal(tmp_path)


def test_no_folder(folder, refusal):
    assert "nowhere must be a folder of CIFAR's binary files, got nothing there" in refusal(folder / "nowhere")
    assert "must be a folder of CIFAR's binary files, got a file" in refusal(folder / "test_batch.bin")


def test_a_label_without_a_class(folder, refusal):
    (folder / "data_batch_2.bin").write_bytes(records(draw_part(0, 1)[0], [3]))
    assert "data_batch_2.bin must hold labels from 0 to 2, got 3" in refusal(folder)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (b"", "a list of different names, got []"),
        (b"cat\ncat\ndog", "a list of different names, got ['cat', 'cat', 'dog']"),
        (b"cat\n\x1bdog\nfrog", r"names in UTF-8 on one line, got ['cat', '\x1bdog', 'frog']"),
    ],
)
def test_names_that_are_no_classes(folder, refusal, names, expected):
    (folder / "batches.meta.txt").write_bytes(names)
    message = refusal(folder)
    assert "batches.meta.txt must " in message
    assert message.endswith(expected)


def test_names_that_are_no_utf8(folder, refusal):
    (folder / "batches.meta.txt").write_bytes(b"cat\ndog\n\xff")
    assert "batches.meta.txt must hold the classes' names in UTF-8, got invalid start byte" in refusal(folder)


def test_a_file_too_large_is_not_read(folder, refusal, monkeypatch):
    monkeypatch.setattr("tiny_datasets.cifar.MAX_BYTES", 9000)
    assert "data_batch_1.bin must have at most 9,000 bytes, got 9,219" in refusal(folder)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"height": 0}, "height must be from 1 to 1024 pixels, got 0"),
        ({"name": "digits"}, "which already exists in this package"),
    ],
)
def test_a_bad_request(folder, refusal, options, expected):
    assert expected in refusal(folder, **options)
