"""The commands on clips: training, playing, continuing known frames, evaluating and comparing."""

import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file
from tiny_runs import TINY_VIDEO

import tiny_datasets
from elt_ref.generation import sample
from elt_ref.measure import classify, fit_gaussian, frechet_distance, load_feature_network
from elt_ref.measure.feature_network import FILE
from elt_ref.report.pictures import FRAME, GAP
from elt_ref.run.evaluate import Evaluator, balanced_labels, draw_pictures, evaluate_run, to_pictures
from elt_ref.run.folder import open_run
from elt_ref.run.given import give_frames
from elt_ref.run.trajectory import trajectory


@pytest.fixture(scope="module")
def clips():
    return tiny_datasets.load("moving_digits")


def write(tmp_path, *changes):
    text = TINY_VIDEO
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "video.toml"
    path.write_text(text, encoding="utf-8")
    return path


# --- training


def test_training_tells_the_reconstruction_error_and_how_to_see_clips(done, clips, tmp_path):
    result = done("train", write(tmp_path), "--out", tmp_path / "run", "--steps", 1)
    assert "--out samples.webp" in result.err
    codec = open_run(tmp_path / "run").codec
    assert (codec.patch_size, codec.patch_frames) == (4, 2)
    error = codec.reconstruction_error(tiny_datasets.scaled(clips.test.examples, clips.white))
    assert f"Mean squared reconstruction error of a test pixel: {error:.5f}." in result.err


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            ("patch_frames = 2", "patch_frames = 3"),
            "patch_frames: expected a divisor of the 4 frames of the data, got 3",
        ),
        (
            ("patch_frames = 2", "patch_frames = 8"),
            "patch_frames: expected a divisor of the 4 frames of the data, got 8",
        ),
        (("patch_size = 4", "patch_size = 5"), "patch_size: expected a divisor of the 12 rows of the data, got 5"),
        (("patch_frames = 2", "patch_frames = 1"), "model.grid: expected [4, 3, 3] as in the data, got [2, 3, 3]"),
        (("grid = [2, 3, 3]", "grid = [6, 3]"), "model.grid: expected [2, 3, 3] as in the data, got [6, 3]"),
        (("moving_digits", "digits"), "patch_frames: expected 1 for pictures, which have no frames, got 2"),
        (("classes = 10", "classes = 4"), "model.classes: expected 10, as many as data set 'moving_digits' has, got 4"),
        (("[tokenizer]\npatch_size = 4\npatch_frames = 2\niterations = 3\n", ""), "expected a [tokenizer] section"),
    ],
)
def test_what_does_not_fit_leaves_nothing_behind(refused, tmp_path, changes, sentence):
    assert sentence in refused("train", write(tmp_path, *changes), "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_diffusion_family_takes_no_clips(refused, tmp_path):
    changes = ["--set", "data.name=moving_digits", "--out", tmp_path / "run"]
    sentence = (
        "data.name: expected pictures or latents for the diffusion family, got 'moving_digits', which holds clips"
    )
    assert refused("train", "digits-diffusion", *changes) == sentence


# --- drawing


@pytest.mark.parametrize(("name", "kind"), [("a.gif", "GIF"), ("a.webp", "WEBP")])
def test_clips_play_for_ever(done, trained_video, tmp_path, name, kind):
    done("sample", trained_video, "--count", 12, "--out", tmp_path / name)
    with Image.open(tmp_path / name) as picture:
        assert (picture.format, picture.n_frames, picture.info["loop"]) == (kind, 4, 0)
        tile = 60 + GAP
        assert picture.size == (10 * tile + GAP, 2 * tile + GAP), "12 pixels five times, ten in a row"


def test_a_contact_sheet_shows_the_very_clips(done, trained_video, tmp_path):
    done("sample", trained_video, "--count", 3, "--seed", 4, "--out", tmp_path / "a.png")
    run = open_run(trained_video)
    drawn = draw_pictures(run, np.arange(3), loops=2, seed=4)
    assert drawn.shape == (3, 4, 12, 12, 1)
    pixels = np.array(Image.open(tmp_path / "a.png"))
    for clip in range(3):
        for frame in range(4):
            top, left = GAP + clip * (60 + GAP), GAP + frame * (60 + GAP)
            tile = pixels[top : top + 60 : 5, left : left + 60 : 5, :1]
            np.testing.assert_array_equal(tile, np.rint(drawn[clip, frame] * 255))


def test_pictures_do_not_play(refused, trained, trained_diffusion, tmp_path):
    for folder in (trained, trained_diffusion):
        for name in ("a.gif", "a.webp"):
            sentence = refused("sample", folder, "--count", 1, "--out", tmp_path / name)
            assert sentence.startswith("--out: expected a name ending in .png or .safetensors for pictures"), sentence
    assert not list(tmp_path.glob("a.*"))


def test_another_suffix(refused, trained_video, tmp_path):
    sentence = refused("sample", trained_video, "--out", tmp_path / "a.mp4")
    assert sentence == f"--out: expected a name ending in .png, .gif, .webp or .safetensors, got '{tmp_path / 'a.mp4'}'"


# --- given frames


def test_given_frames_are_those_of_held_out_clips_and_stay(done, clips, trained_video, tmp_path):
    words = ["--labels", "3,8", "--count", 6, "--seed", 5]
    done("sample", trained_video, *words, "--given", "2-3", "--out", tmp_path / "some.safetensors")
    tensors = load_file(tmp_path / "some.safetensors")
    codec = open_run(trained_video).codec
    expected = []
    for label, place in [(3, 0), (8, 0), (3, 1), (8, 1), (3, 2), (8, 2)]:
        clip = clips.test.examples[clips.test.labels == label][place]
        expected.append(codec.encode(tiny_datasets.scaled(clip[None], clips.white))[0])
    np.testing.assert_array_equal(tensors["tokens"][:, 1], np.array(expected)[:, 1])
    assert not np.array_equal(tensors["tokens"][:, 0], np.array(expected)[:, 0]), "the other frames are copied, too"
    done("sample", trained_video, *words, "--out", tmp_path / "free.safetensors")
    assert not np.array_equal(load_file(tmp_path / "free.safetensors")["tokens"][:, 1], np.array(expected)[:, 1])


def test_given_frames_stay_in_every_chunk(clips, trained_video, monkeypatch):
    run, labels = open_run(trained_video), np.arange(11) % 10
    given = give_frames(run, labels, "0-1")
    monkeypatch.setattr("elt_ref.run.evaluate.CHUNK", 4)
    drawn = draw_pictures(run, labels, loops=1, seed=0, start=given.start)
    real = tiny_datasets.scaled(clips.test.examples[given.clips], clips.white)
    np.testing.assert_array_equal(drawn[:, :2], run.codec.decode(run.codec.encode(real))[:, :2])


def test_given_frames_are_framed_on_the_contact_sheet(done, trained_video, tmp_path):
    done("sample", trained_video, "--count", 2, "--given", "0-1", "--out", tmp_path / "a.png")
    pixels = np.array(Image.open(tmp_path / "a.png"))
    rims = pixels[GAP - 1, GAP :: 60 + GAP][:4]
    assert [tuple(rim) == FRAME[:3] for rim in rims] == [True, True, False, False]


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        ("0-3", "given: expected some of the 4 frames to be left to generate, got all of them"),
        ("0", "given: expected whole tubelets of 2 frames, such as 0-1, got 0 alone"),
        ("1-2", "given: expected whole tubelets of 2 frames, such as 0-1, got 1 alone"),
        ("2-4", "given: expected a clip's frames, 0…3, got 4"),
        ("first", "given: expected frames such as 0-1 or 0-1,6-7, got 'first'"),
        (" ", "given: expected frames such as 0-1 or 0-1,6-7, got ' '"),
    ],
)
def test_frames_that_cannot_be_given(refused, trained_video, tmp_path, frames, sentence):
    out = tmp_path / "a.webp"
    assert refused("sample", trained_video, "--count", 2, "--given", frames, "--out", out) == sentence
    assert refused("evaluate", trained_video, "--count", 10, "--given", frames) == sentence
    assert not out.exists()


def test_frames_of_what_has_none(refused, trained, trained_video, trained_diffusion, tmp_path):
    for folder in (trained, trained_diffusion):
        sentence = refused("sample", folder, "--given", "0-1", "--out", tmp_path / "a.png")
        assert sentence == "given: expected a run on clips, got one on 'digits', which holds pictures"
    sentence = refused("sample", trained_video, "--labels", "3,10", "--given", "0-1", "--out", tmp_path / "a.png")
    assert sentence == "given: expected classes with held-out clips, got 10"


def test_frames_of_imported_tokens_are_given_too(done, tmp_path):
    draw = np.random.default_rng(0)
    codebook = draw.random((12, 2 * 4 * 4)).astype(np.float32)
    tokens, labels = draw.integers(12, size=(40, 2, 3, 3)), np.arange(40) % 2
    file = tmp_path / "tokens.safetensors"
    metadata = {"codebook_size": "12", "patch_size": "4", "patch_frames": "2"}
    save_file({"tokens": tokens, "labels": labels, "codebook": codebook}, file, metadata=metadata)
    tiny_datasets.import_tokens(file, "mine")
    tokenizer = "[tokenizer]\npatch_size = 4\npatch_frames = 2\niterations = 3\n"
    path = write(tmp_path, "moving_digits", "mine", tokenizer, "", "classes = 10", "classes = 2")
    done("train", path, "--out", tmp_path / "run", "--steps", 1)
    words = ["--count", 4, "--given", "0-1", "--out"]
    done("sample", tmp_path / "run", *words, tmp_path / "a.safetensors")
    found = load_file(tmp_path / "a.safetensors")["tokens"]
    dataset = tiny_datasets.load("mine")
    for place, label in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        held_out = dataset.test.examples[dataset.test.labels == label][place]
        np.testing.assert_array_equal(found[2 * place + label, 0], held_out[0])
    done("sample", tmp_path / "run", *words, tmp_path / "a.webp")


# --- judging


def test_json_has_the_motion_accuracy(done, trained_video):
    rows = json.loads(done("evaluate", trained_video, "--loops", "1,3", "--count", 12, "--json").out)["results"]
    plain = [
        "loops",
        "frechet_distance",
        "inception_score",
        "label_accuracy",
        "nearest_distance",
        "gflops_per_sample",
        "seconds_per_sample",
    ]
    assert [list(row) for row in rows] == [[*plain, "motion_accuracy"]] * 2
    assert all(0 <= row["motion_accuracy"] <= 1 for row in rows)


@pytest.mark.parametrize("frames", [None, "0-1"])
def test_numbers_against_a_computation_by_hand(clips, trained_video, monkeypatch, frames):
    run = open_run(trained_video)
    labels = balanced_labels(20, np.arange(10))
    given = None if frames is None else give_frames(run, labels, frames)
    # So that a tiny training has motions to be found, a third of what it draws is replaced by real clips.
    real = tiny_datasets.scaled(clips.test.examples[:20], clips.white)

    def some_real(codec, config, samples):
        drawn = to_pictures(codec, config, samples)
        drawn[::3] = real[::3]
        return drawn

    monkeypatch.setattr("elt_ref.run.evaluate.to_pictures", some_real)
    (row,) = evaluate_run(run, [2], count=20, seed=0, frames=frames)
    start = None if given is None else given.start
    drawn = some_real(run.codec, run.config, sample(run.parameters, run.config, labels, loops=2, start=start).samples)
    network = load_feature_network(tiny_datasets.dataset_folder("moving_digits") / FILE)
    features = classify(network, tiny_datasets.scaled(clips.train.examples, clips.white)).features
    classified = classify(network, drawn)
    distance = frechet_distance(fit_gaussian(classified.features), fit_gaussian(features))
    assert row.frechet_distance == pytest.approx(distance)
    assert row.label_accuracy == np.mean(classified.logits.argmax(axis=1) == labels)
    found = clips.find_motions(drawn)
    if given is None:
        assert row.motion_accuracy == np.mean(found >= 0) > 0
    else:
        motions = [clips.motions.test[np.flatnonzero(clips.test.labels == n % 10)[n // 10]] for n in range(20)]
        assert row.motion_accuracy == np.mean(found == motions)
        assert row.motion_accuracy < np.mean(found >= 0)


def test_real_clips_are_near_recognised_and_move(clips, trained_video):
    evaluator = Evaluator(open_run(trained_video))
    test = tiny_datasets.scaled(clips.test.examples, clips.white)
    assert 0 < evaluator.real_distance < 3
    classified = classify(evaluator.network, test)
    assert np.mean(classified.logits.argmax(axis=1) == clips.test.labels) >= 0.95
    assert np.mean(classified.motion_logits.argmax(axis=1) == clips.motions.test) >= 0.99
    assert np.mean(evaluator.find_motions(test) == clips.motions.test) == 1


def test_clips_out_of_order_are_far(clips, trained_video):
    """The features see motion: the same frames in another order are another distribution."""
    evaluator = Evaluator(open_run(trained_video))
    test = tiny_datasets.scaled(clips.test.examples, clips.white)
    for order in ([0, 0, 0, 0], [0, 2, 1, 3], [1, 0, 3, 2]):
        moved = frechet_distance(fit_gaussian(classify(evaluator.network, test[:, order]).features), evaluator.train)
        assert moved > 4 * evaluator.real_distance, f"frames {order} are as good as real ones"


# --- how a clip comes about, and comparing


def test_the_trajectory_of_a_clip(trained_video):
    run = open_run(trained_video)
    answers, kept = trajectory(run, 8, seed=0)
    assert answers.shape == (3, 2, 4, 12, 12, 1)
    assert kept.shape == (3, 4, 12, 12, 1)
    drawn = sample(run.parameters, run.config, np.array([8]), seed=0, loops=2).samples
    np.testing.assert_array_equal(answers[-1, -1], to_pictures(run.codec, run.config, drawn)[0])
    shown = ~np.isnan(kept[0])
    assert 0 < shown.sum() < shown.size
    np.testing.assert_array_equal(kept[0][shown], answers[0, -1][shown])
    tubelets = np.isnan(kept[0]).reshape(2, 2, 3, 4, 3, 4)
    assert (tubelets.all(axis=(1, 3, 5)) == tubelets.any(axis=(1, 3, 5))).all(), "half of a tubelet is masked"


def test_a_comparison_plays_the_clips(command, trained_video, tmp_path):
    result = command("compare", trained_video, "--out", tmp_path / "out", "--count", 12)
    assert result.code == 0, result.err
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp;base64,") == 4, "one a loop count"
    assert "10 clips sampled by tiny-video with L = 4" in page
    assert "Motion: share of clips whose frames move as a rule of the data set demands." in page
    document = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert all("motion_accuracy" in row for row in document["tiny-video"])
