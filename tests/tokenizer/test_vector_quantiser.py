import itertools
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

import tiny_datasets
from elt_ref.errors import RequestError
from elt_ref.streams import stream
from elt_ref.tokenizer import VectorQuantiser, cut_patches, fit_quantiser, load_quantiser, nearest_codes
from elt_ref.tokenizer.vector_quantiser import _means, _seed_codes


@pytest.fixture(scope="module")
def digits():
    dataset = tiny_datasets.load("digits")
    return tiny_datasets.scaled(dataset.train.examples[:300], dataset.white)


def fit(pictures, codes, *, seed=0, patch_size=2, patch_frames=1, iterations=20):
    return fit_quantiser(
        pictures,
        patch_size=patch_size,
        patch_frames=patch_frames,
        codebook_size=codes,
        generator=stream(seed, "test"),
        iterations=iterations,
    )


# --- k-means


def test_the_codebook_has_the_asked_size_and_dtype(digits):
    quantiser = fit(digits, 13)
    assert quantiser.codebook.shape == (13, 4)
    assert quantiser.codebook.dtype == np.float32
    assert quantiser.patch_size == 2
    assert len(np.unique(quantiser.encode(digits))) == 13, "a code that no patch uses is wasted"


def test_the_fit_is_a_function_of_pictures_and_stream(digits):
    first, again, other = fit(digits, 9), fit(digits, 9), fit(digits, 9, seed=1)
    assert first.to_bytes() == again.to_bytes()
    assert first.to_bytes() != other.to_bytes(), "the generator is not used"


def test_more_codes_reconstruct_better(digits):
    errors = [fit(digits, codes).reconstruction_error(digits) for codes in (1, 4, 16, 64, 256)]
    assert all(fewer > more for fewer, more in itertools.pairwise(errors)), errors


def test_one_code_is_the_mean_patch(digits):
    patches = cut_patches(digits, (2, 2)).reshape(-1, 4)
    np.testing.assert_allclose(fit(digits, 1).codebook[0], patches.mean(axis=0, dtype=np.float64), rtol=1e-6)


def test_as_many_codes_as_different_patches_reconstruct_exactly():
    # 16 pictures of one 2×2 patch each, all patches of two intensities.
    pictures = np.array([[int(bit) for bit in f"{number:04b}"] for number in range(16)], np.float32)
    pictures = np.repeat(pictures.reshape(16, 2, 2, 1), 3, axis=0)
    quantiser = fit(pictures, 16)
    assert quantiser.reconstruction_error(pictures) == 0
    assert sorted(map(tuple, quantiser.codebook.tolist())) == sorted({tuple(p.ravel().tolist()) for p in pictures})


def test_more_iterations_never_reconstruct_worse(digits):
    errors = [fit(digits, 16, iterations=iterations).reconstruction_error(digits) for iterations in (1, 3, 30)]
    assert errors[0] > errors[1] > errors[2], errors


def test_repeated_patches_weigh_as_often_as_they_occur():
    pictures = np.array([0, 0, 0, 1], np.float32).reshape(4, 1, 1, 1)
    assert fit(pictures, 1, patch_size=1).codebook.tolist() == [[0.25]]


def test_seeds_are_drawn_with_a_chance_proportional_to_their_distance_and_their_weight():
    # The first is as good as always 0; then 1 has distance 1 twice, 3 has distance 9: chances 2/11 and 9/11.
    vectors, weights = np.array([[0.0], [1.0], [3.0]]), np.array([1e12, 2.0, 1.0])
    seconds = [_seed_codes(vectors, weights, 2, stream(seed, "test"))[1, 0] for seed in range(500)]
    assert set(seconds) == {1.0, 3.0}
    assert abs(seconds.count(3.0) / 500 - 9 / 11) < 0.06


def test_a_code_without_patches_moves_to_the_farthest_ones():
    vectors = np.array([[0.0], [1.0], [5.0], [9.0]])
    assigned = np.zeros(4, np.int64)
    means = _means(vectors, np.ones(4), assigned, np.array([0.0, 1.0, 25.0, 81.0]), 3)
    assert means.ravel().tolist() == [3.75, 9.0, 5.0]


# --- nearest codes

grids = st.integers(0, 8).map(lambda number: number / 8)


@given(
    st.integers(1, 5).flatmap(
        lambda features: st.tuples(
            *(
                st.lists(st.lists(grids, min_size=features, max_size=features), min_size=1, max_size=12)
                for _ in range(2)
            )
        )
    ),
    st.integers(1, 5),
)
@settings(deadline=None)
def test_nearest_codes_agree_with_brute_force_in_chunks_of_any_size(drawn, chunk):
    vectors, codebook = (np.array(rows, np.float64) for rows in drawn)
    ids, distances = nearest_codes(vectors, codebook, chunk=chunk)
    brute = np.array([[sum((a - b) ** 2 for a, b in zip(v, c, strict=True)) for c in codebook] for v in vectors])
    # Distances of eighths are exact, so that ties are ties: of equals the first.
    assert ids.tolist() == brute.argmin(axis=1).tolist()
    np.testing.assert_array_equal(distances, brute.min(axis=1))


def test_chunks_change_nothing(digits):
    vectors, codebook = cut_patches(digits, (2, 2)).reshape(-1, 4), fit(digits, 16).codebook
    whole = nearest_codes(vectors, codebook)
    for chunk in (1000, len(vectors), 7):
        for part, expected in zip(nearest_codes(vectors, codebook, chunk=chunk), whole, strict=True):
            np.testing.assert_array_equal(part, expected)


# --- pictures and tokens


@given(st.integers(0, 2**32), st.integers(1, 2), st.sampled_from([1, 3]))
@settings(deadline=None, max_examples=30)
def test_encoding_is_the_inverse_of_decoding(seed, patch_size, channels):
    draw = np.random.default_rng(seed)
    features = patch_size * patch_size * channels
    codebook = np.unique(draw.integers(0, 9, (12, features)), axis=0).astype(np.float32) / 8
    quantiser = VectorQuantiser(draw.permutation(codebook), patch_size)
    tokens = draw.integers(0, len(codebook), (3, 2, 4))
    pictures = quantiser.decode(tokens)
    assert pictures.shape == (3, 2 * patch_size, 4 * patch_size, channels)
    np.testing.assert_array_equal(quantiser.encode(pictures), tokens)
    assert quantiser.reconstruction_error(pictures) == 0


@given(st.integers(0, 2**32), st.tuples(*[st.integers(1, 3)] * 3), st.integers(1, 3), st.integers(1, 2))
@settings(deadline=None, max_examples=30)
def test_encoding_clips_is_the_inverse_of_decoding(seed, grid, patch_frames, patch_size):
    draw = np.random.default_rng(seed)
    codebook = np.unique(draw.integers(0, 9, (12, patch_frames * patch_size**2)), axis=0).astype(np.float32) / 8
    quantiser = VectorQuantiser(codebook, patch_size, patch_frames)
    tokens = draw.integers(0, len(codebook), (2, *grid))
    clips = quantiser.decode(tokens)
    assert clips.shape == (2, grid[0] * patch_frames, grid[1] * patch_size, grid[2] * patch_size, 1)
    np.testing.assert_array_equal(quantiser.encode(clips), tokens)
    assert quantiser.reconstruction_error(clips) == 0


def test_a_codebook_of_pictures_is_one_of_clips_with_tubelets_of_one_frame(digits):
    """The same codes, and of clips the tokens of their frames."""
    quantiser, clips = fit(digits, 9), digits.reshape(75, 4, 8, 8, 1)
    of_clips = fit(clips, 9)
    assert of_clips.to_bytes() == quantiser.to_bytes()
    np.testing.assert_array_equal(of_clips.encode(clips).reshape(300, 4, 4), quantiser.encode(digits))


def test_tubelets_are_learned_over_time(digits):
    """Clips of two equal frames need no more codes than their first frames do, and have the same in both halves."""
    clips = np.repeat(digits[:, None], 2, axis=1)
    quantiser = fit(clips, 16, patch_frames=2)
    assert quantiser.codebook.shape == (16, 2 * 2 * 2)
    np.testing.assert_array_equal(quantiser.codebook[:, :4], quantiser.codebook[:, 4:])
    assert quantiser.encode(clips).shape == (300, 1, 4, 4)
    assert quantiser.reconstruction_error(clips) == pytest.approx(fit(digits, 16).reconstruction_error(digits))


def test_reconstruction_error_is_the_mean_square_of_a_pixel():
    quantiser = VectorQuantiser(np.array([[0.0], [1.0]], np.float32), 1)
    pictures = np.array([0.25, 0.75], np.float32).reshape(1, 1, 2, 1)
    assert quantiser.reconstruction_error(pictures) == 0.0625


def test_files_round_trip(tmp_path, digits):
    quantiser, path = fit(digits, 8), tmp_path / "tokenizer.safetensors"
    path.write_bytes(quantiser.to_bytes())
    loaded = load_quantiser(path)
    np.testing.assert_array_equal(loaded.codebook, quantiser.codebook)
    assert loaded.patch_size == 2
    assert loaded.to_bytes() == quantiser.to_bytes()


def test_files_of_tubelets_round_trip_and_files_without_frames_are_of_pictures(tmp_path):
    path = tmp_path / "tokenizer.safetensors"
    quantiser = VectorQuantiser(np.zeros((3, 12), np.float32), 2, 3)
    assert len({quantiser.to_bytes() for _ in range(20)}) == 1
    path.write_bytes(quantiser.to_bytes())
    assert (load_quantiser(path).patch_size, load_quantiser(path).patch_frames) == (2, 3)
    path.write_bytes(save({"codebook": CODES}, metadata={"patch_size": "2"}))
    assert load_quantiser(path).patch_frames == 1


# --- what is refused


def test_clips_of_too_few_frames_and_pictures_for_tubelets():
    clips = np.random.default_rng(0).random((2, 3, 4, 4, 1), np.float32)
    with pytest.raises(RequestError, match="patch_frames: expected a divisor of the 3 frames of the data, got 2"):
        fit(clips, 4, patch_frames=2)
    quantiser = fit(clips, 4, patch_frames=3)
    with pytest.raises(RequestError, match="patch_frames: expected a divisor of the 2 frames of the data, got 3"):
        quantiser.encode(clips[:, :2])
    with pytest.raises(RequestError, match="patch_frames: expected 1 for pictures, which have no frames, got 3"):
        quantiser.encode(clips[:, 0])
    with pytest.raises(RequestError, match="patch_frames: expected 1 for pictures, which have no frames, got 3"):
        quantiser.decode(np.zeros((1, 2, 2), np.int64))
    with pytest.raises(RequestError, match="pictures: expected 1 channels, got 2"):
        quantiser.encode(np.repeat(clips, 2, axis=-1))


def test_a_patch_size_that_does_not_divide_the_picture(digits):
    with pytest.raises(RequestError, match="patch_size: expected a divisor of the 8 rows of the data, got 3"):
        fit(digits, 4, patch_size=3)
    with pytest.raises(RequestError, match="patch_size: expected a divisor of the 5 rows of the data, got 2"):
        fit(digits, 4).encode(np.zeros((1, 5, 5, 1), np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_no_numbers(digits, value):
    spoilt = digits.copy()
    spoilt[5, 1, 2, 0] = value
    with pytest.raises(RequestError, match="pictures: expected finite pixels, got NaN or infinity"):
        fit(spoilt, 4)


def test_fewer_different_patches_than_codes():
    with pytest.raises(RequestError, match=r"codebook_size: expected at most the 1 different patches .*, got 2"):
        fit(np.zeros((9, 4, 4, 1), np.float32), 2)


@pytest.mark.parametrize("token", [-1, 4, 99])
def test_a_token_that_is_no_code(digits, token):
    with pytest.raises(RequestError, match=r"tokens: expected codes in 0…3, got "):
        fit(digits, 4).decode(np.array([[[0, token]]]))


def test_pictures_of_other_channels(digits):
    with pytest.raises(RequestError, match="pictures: expected 1 channels, got 3"):
        fit(digits, 4).encode(np.zeros((1, 4, 4, 3), np.float32))


def header_only(dtype, shape, size, metadata):
    header = json.dumps({"codebook": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}, **metadata}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size)


CODES = np.zeros((3, 4), np.float32)
DAMAGED = {
    "empty": b"",
    "truncated": VectorQuantiser(CODES, 2).to_bytes()[:-1],
    "text": b"codebook = 3\n" * 9,
    "without a codebook": save({"codes": CODES}, metadata={"patch_size": "2"}),
    "without a patch size": save({"codebook": CODES}),
    "patch size zero": save({"codebook": CODES}, metadata={"patch_size": "0"}),
    "patch size in words": save({"codebook": CODES}, metadata={"patch_size": "two"}),
    "patch size of another codebook": save({"codebook": CODES}, metadata={"patch_size": "3"}),
    "codebook of integers": save({"codebook": CODES.astype(np.int32)}, metadata={"patch_size": "2"}),
    "codebook of another rank": save({"codebook": CODES[0]}, metadata={"patch_size": "2"}),
    "no frames of a patch": save(
        {"codebook": CODES, "patch_frames": np.array([], np.int64)}, metadata={"patch_size": "2"}
    ),
    "frames of a patch below one": save(
        {"codebook": CODES, "patch_frames": np.array([0])}, metadata={"patch_size": "2"}
    ),
    "frames of another codebook": save(
        {"codebook": CODES, "patch_frames": np.array([3])}, metadata={"patch_size": "2"}
    ),
    "bfloat16": header_only("BF16", [1, 4], 8, {"__metadata__": {"patch_size": "2"}}),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_files(tmp_path, content):
    path = tmp_path / "tokenizer.safetensors"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=r"^tokenizer .*tokenizer\.safetensors: expected [^\n]*, got [^\n]*$"):
        load_quantiser(path)


def test_missing_files(tmp_path):
    with pytest.raises(RequestError, match="expected a file, got none"):
        load_quantiser(tmp_path / "none.safetensors")


def test_a_codebook_that_does_not_lie_in_order_is_written_in_order(tmp_path):
    """Safetensors writes memory as it lies."""
    codebook = np.arange(20, dtype=np.float32).reshape(4, 5).T / 20
    (tmp_path / "file").write_bytes(VectorQuantiser(codebook, 2).to_bytes())
    assert np.array_equal(load_quantiser(tmp_path / "file").codebook, codebook)
