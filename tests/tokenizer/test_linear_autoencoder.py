"""The linear autoencoder and pixels: principal components by their laws, exactness, files and refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elt_ref.errors import RequestError
from elt_ref.tokenizer import LinearAutoencoder, Pixels, cut_patches, fit_linear_autoencoder, load_linear_autoencoder


def make_pictures(count=40, height=4, width=6, channels=2, seed=0):
    """Return pictures in [0, 1] whose pixels depend on each other."""
    generator = np.random.default_rng(seed)
    hidden = generator.standard_normal((count, 5)) @ generator.standard_normal((5, height * width * channels))
    noisy = hidden + 0.3 * generator.standard_normal(hidden.shape)
    return (1 / (1 + np.exp(-noisy))).reshape(count, height, width, channels).astype(np.float32)


settings_of_fit = {"patch_size": st.sampled_from([1, 2]), "channels": st.integers(1, 8), "seed": st.integers(0, 99)}


@given(**settings_of_fit)
@settings(max_examples=15)
def test_components_are_orthonormal_and_latents_have_unit_variance(patch_size, channels, seed):
    channels = min(channels, 2 * patch_size**2)
    pictures = make_pictures(seed=seed)
    fitted = fit_linear_autoencoder(pictures, patch_size=patch_size, channels=channels)
    gram = fitted.components.T.astype(float) @ fitted.components
    np.testing.assert_allclose(gram, np.eye(channels), atol=1e-6)
    latents = fitted.encode(pictures)
    assert latents.shape == (40, 4 // patch_size, 6 // patch_size, channels)
    assert latents.dtype == np.float32
    assert latents.std(dtype=np.float64) == pytest.approx(1, rel=1e-5)
    flat = latents.reshape(-1, channels).astype(float)
    np.testing.assert_allclose(flat.mean(axis=0), 0, atol=1e-5)
    covariance = np.cov(flat, rowvar=False).reshape(channels, channels)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-5)
    assert (np.diff(np.diag(covariance)) <= 1e-6).all(), "components go by variance"


@pytest.mark.parametrize("patch_size", [1, 2])
def test_as_many_channels_as_a_patch_has_values_lose_nothing(patch_size):
    pictures = make_pictures()
    fitted = fit_linear_autoencoder(pictures, patch_size=patch_size, channels=2 * patch_size**2)
    np.testing.assert_allclose(fitted.decode(fitted.encode(pictures)), pictures, atol=2e-6)
    assert fitted.reconstruction_error(pictures) < 1e-12


@given(st.integers(1, 7), st.integers(0, 99))
@settings(max_examples=10)
def test_the_error_is_what_the_dropped_components_hold(channels, seed):
    """Eckart–Young: per pixel, the sum of the smallest squared singular values over the number of values."""
    pictures = make_pictures(seed=seed)
    fitted = fit_linear_autoencoder(pictures, patch_size=2, channels=channels)
    vectors = cut_patches(pictures, (2, 2)).reshape(-1, 8).astype(float)
    singular = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False)
    expected = (singular[channels:] ** 2).sum() / vectors.size
    assert fitted.reconstruction_error(pictures) == pytest.approx(expected, rel=1e-4)


def test_latents_by_hand():
    """One component [0, 1], mean [2, 1], s = 10: a latent is ten times the second value's distance from its mean."""
    fitted = LinearAutoencoder(np.array([2, 1], np.float32), np.array([[0], [1]], np.float32), 1, 10.0)
    pictures = np.array([[[[5, 1.5], [7, 0]]]], np.float32)
    np.testing.assert_allclose(fitted.encode(pictures), [[[[5], [-10]]]], rtol=1e-6)
    np.testing.assert_allclose(fitted.decode(fitted.encode(pictures)), [[[[2, 1.5], [2, 0]]]], atol=1e-6)


def test_the_same_pictures_give_the_same_components_with_signs_settled():
    pictures = make_pictures()
    one, other = (fit_linear_autoencoder(p, patch_size=2, channels=3) for p in (pictures, pictures[::-1]))
    np.testing.assert_allclose(one.components, other.components, atol=1e-4)
    assert (one.components[np.abs(one.components).argmax(axis=0), range(3)] > 0).all()


def test_a_file_brings_back_the_same_codec(tmp_path):
    fitted = fit_linear_autoencoder(make_pictures(), patch_size=2, channels=3)
    path = tmp_path / "autoencoder.safetensors"
    path.write_bytes(fitted.to_bytes())
    loaded = load_linear_autoencoder(path)
    assert (loaded.patch_size, loaded.scale) == (fitted.patch_size, fitted.scale)
    pictures = make_pictures(seed=1)
    np.testing.assert_array_equal(loaded.encode(pictures), fitted.encode(pictures))
    np.testing.assert_array_equal(loaded.components, fitted.components)


def test_a_file_that_is_none_is_refused(tmp_path):
    whole = fit_linear_autoencoder(make_pictures(), patch_size=2, channels=3).to_bytes()
    from safetensors.numpy import save

    contents = {
        "truncated": whole[: len(whole) // 2],
        "empty": b"",
        "without_settings": save({"mean": np.zeros(2, np.float32)}),
        "without_components": save({"mean": np.zeros(2, np.float32)}, metadata={"of": "something"}),
    }
    for name, content in contents.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(content)
        with pytest.raises(RequestError, match=r"autoencoder .*expected"):
            load_linear_autoencoder(path)
    with pytest.raises(RequestError, match="missing"):
        load_linear_autoencoder(tmp_path / "missing.safetensors")


def test_what_does_not_fit_is_refused():
    pictures = make_pictures()
    with pytest.raises(RequestError, match="at most the 8 values of a patch, got 9"):
        fit_linear_autoencoder(pictures, patch_size=2, channels=9)
    with pytest.raises(RequestError, match="patch_size: expected a divisor"):
        fit_linear_autoencoder(pictures, patch_size=3, channels=2)
    broken = pictures.copy()
    broken[3, 1, 1, 0] = np.nan
    with pytest.raises(RequestError, match="finite pixels"):
        fit_linear_autoencoder(broken, patch_size=2, channels=2)
    fitted = fit_linear_autoencoder(pictures, patch_size=2, channels=3)
    with pytest.raises(RequestError, match="expected 2 channels, got 1"):
        fitted.encode(pictures[..., :1])
    with pytest.raises(RequestError, match="expected 3 channels, got 2"):
        fitted.decode(fitted.encode(pictures)[..., :2])


def test_pixels_change_the_range_and_nothing_else():
    pictures = np.array([0, 0.25, 0.5, 1], np.float32).reshape(1, 2, 2, 1)
    assert Pixels().encode(pictures).ravel().tolist() == [-1, -0.5, 0, 1]
    np.testing.assert_array_equal(Pixels().decode(Pixels().encode(pictures)), pictures)
    assert Pixels().reconstruction_error(pictures) == 0
    assert Pixels().to_bytes() is None


@pytest.mark.parametrize("count", [1, 3])
def test_patches_that_are_all_the_same_are_refused(count):
    with pytest.raises(RequestError, match="expected patches that differ"):
        fit_linear_autoencoder(np.full((count, 2, 2, 1), 0.5, np.float32), patch_size=2, channels=1)
