"""The diffusion sampler: one step in numbers, whole runs on Gaussian data whose answer is known, and loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elt_ref.arrays import DTYPES, tree_leaves, tree_rebuild
from elt_ref.config import DiffusionConfig, validate
from elt_ref.generation import denoise, denoise_step, initial_noise, predict_clean, sample, step_noise, step_variance
from elt_ref.generation.diffusion_sampler import relative_change
from elt_ref.model import declare_parameters, forward, to_x0
from elt_ref.ops import counting
from elt_ref.schedules import EarlyExit, leaning_schedule, log_snr, time_grid

SMALL = {
    "family": "diffusion",
    "layers": 1,
    "max_loops": 3,
    "width": 8,
    "heads": 2,
    "mlp_width": 12,
    "shape": (4, 4, 4),
    "patch_size": 2,
    "classes": 3,
    "time_features": 6,
}


def diffusion(**settings):
    return DiffusionConfig(**{"shift": 0.0, "bias": 0.0} | settings)


def make_config(*, steps=4, dtype="float64", guidance_scale=1.0, **settings):
    document = {
        "name": "test",
        "model": SMALL,
        "diffusion": {"shift": 0.0, "bias": 0.0} | settings,
        "objective": {"kind": "vanilla"},
        "sampling": {"steps": steps, "guidance_scale": guidance_scale},
        "training": {"dtype": dtype},
    }
    return validate(document, where="test")


def random_parameters(config, seed=0):
    """Return parameters none of which is zero."""
    generator, declared = np.random.default_rng(seed), declare_parameters(config)
    leaves = [
        (generator.standard_normal(leaf.shape) * 0.5 / math.sqrt(leaf.shape[0])).astype(DTYPES[config.training.dtype])
        for leaf in tree_leaves(declared)
    ]
    return tree_rebuild(declared, leaves)


def parts(snr):
    """Return α² and σ², in 80 bits."""
    snr = np.longdouble(snr)
    return 1 / (1 + np.exp(-snr)), 1 / (1 + np.exp(snr))


pairs = st.tuples(st.floats(-10, 10), st.floats(0.01, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(pairs, st.floats(0, 1))
def test_variances_of_a_step(pair, fraction):
    """Of the forward chain, in the words of DDPM: β = 1 − ᾱ_t/ᾱ_s, small is β σ_s²/σ_t²."""
    now, after = pair
    (signal_t, noise_t), (signal_s, noise_s) = parts(now), parts(after)
    beta = noise_t - signal_t / signal_s * noise_s  # the noise added from s to t
    small, large = float(beta * noise_s / noise_t), float(beta)
    assert step_variance(now, after, diffusion(variance="small")) == pytest.approx(small, rel=1e-8)
    assert step_variance(now, after, diffusion(variance="large")) == pytest.approx(large, rel=1e-8)
    between = step_variance(now, after, diffusion(variance="interpolated", variance_fraction=fraction))
    assert between == pytest.approx(small ** (1 - fraction) * large**fraction, rel=1e-8)


@given(pairs, st.integers(0, 2**32 - 1))
def test_the_mean_of_a_step_is_that_of_the_posterior(pair, seed):
    """Bayes' rule of z_s | x and z_t | z_s, which the code does not use."""
    now, after = pair
    (signal_t, noise_t), (signal_s, noise_s) = parts(now), parts(after)
    noisy, clean, noise = np.random.default_rng(seed).standard_normal((3, 2, 1, 1, 3))
    ratio = np.sqrt(signal_t / signal_s)
    added = noise_t - ratio**2 * noise_s
    precision = 1 / noise_s + ratio**2 / added
    mean = (np.sqrt(signal_s) * clean / noise_s + ratio * noisy / added) / precision
    expected = (mean + noise / np.sqrt(precision)).astype(float)
    got = denoise_step(noisy, clean, noise, log_snr_t=now, log_snr_s=after, last=False, diffusion=diffusion())
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9)


@given(pairs, st.integers(0, 2**32 - 1))
def test_a_deterministic_step_keeps_the_noise_it_finds(pair, seed):
    now, after = pair
    (signal_t, noise_t), (signal_s, noise_s) = parts(now), parts(after)
    clean, epsilon, unused = np.random.default_rng(seed).standard_normal((3, 2, 1, 1, 3))
    noisy = (np.sqrt(signal_t) * clean + np.sqrt(noise_t) * epsilon).astype(float)
    expected = (np.sqrt(signal_s) * clean + np.sqrt(noise_s) * epsilon).astype(float)
    config = diffusion(sampler="ddim")
    got = denoise_step(noisy, clean, unused, log_snr_t=now, log_snr_s=after, last=False, diffusion=config)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"sampler": "ddim"}, {"variance": "large"}])
def test_the_last_step_returns_the_prediction_to_the_bit(settings):
    noisy, clean, noise = np.random.default_rng(0).standard_normal((3, 2, 2, 2, 1))
    keywords = {"log_snr_t": 3.0, "log_snr_s": 15.0, "last": True}
    assert np.array_equal(denoise_step(noisy, clean, noise, diffusion=diffusion(**settings), **keywords), clean)
    clipped = denoise_step(noisy, clean, noise, diffusion=diffusion(clip=0.5, **settings), **keywords)
    assert np.array_equal(clipped, np.clip(clean, -0.5, 0.5))


@pytest.mark.parametrize("settings", [{}, {"sampler": "ddim"}])
def test_a_clipped_step_is_the_step_of_the_clipped_prediction(settings):
    """So the noise is found again from what was clipped."""
    noisy, clean, noise = 2 * np.random.default_rng(1).standard_normal((3, 2, 2, 2, 1))
    keywords = {"log_snr_t": -1.0, "log_snr_s": 0.5, "last": False}
    clipped = denoise_step(noisy, clean, noise, diffusion=diffusion(clip=1.0, **settings), **keywords)
    by_hand = denoise_step(noisy, np.clip(clean, -1, 1), noise, diffusion=diffusion(**settings), **keywords)
    assert np.array_equal(clipped, by_hand)
    assert not np.allclose(clipped, denoise_step(noisy, clean, noise, diffusion=diffusion(**settings), **keywords))


MEAN, DEVIATION = 0.7, 0.5


def posterior_mean(noisy, snr):
    """E[x | z_t] of data that are normal with MEAN and DEVIATION: the best a network could say."""
    signal, noise = (float(part) for part in parts(snr))
    gain = math.sqrt(signal) * DEVIATION**2 / (signal * DEVIATION**2 + noise)
    return MEAN + gain * (noisy - math.sqrt(signal) * MEAN)


@pytest.mark.parametrize("settings", [{"variance": "small"}, {"variance": "large"}, {"sampler": "ddim"}])
def test_with_the_best_denoiser_gaussian_data_come_back(settings):
    """Mean and variance of 100 000 samples.

    The standard error of the mean is 0.0016 and of the variance 0.0011. Six of them are allowed, which chance exceeds
    once in 5e8, and as much again for 256 steps being finite (as steps grow, this error falls as one over them).
    """
    steps, samples = 256, 100_000
    config, generator = diffusion(**settings), np.random.default_rng(0)
    snr = log_snr(time_grid(steps), config)
    noisy = generator.standard_normal((samples, 1, 1, 1))
    for step in range(steps):
        clean = posterior_mean(noisy, snr[step])
        noise = generator.standard_normal(noisy.shape)
        noisy = denoise_step(
            noisy,
            clean,
            noise,
            log_snr_t=float(snr[step]),
            log_snr_s=float(snr[step + 1]),
            last=step == steps - 1,
            diffusion=config,
        )
    error = DEVIATION / math.sqrt(samples)
    assert abs(noisy.mean() - MEAN) < 6 * error + 0.01
    assert abs(noisy.var() - DEVIATION**2) < 6 * DEVIATION**2 * math.sqrt(2 / samples) + 0.007


LABELS = np.array([0, 2, 1])


def run(parameters, config, labels, seed=0):
    """Return the states of a sampling with the noise of this seed."""
    count = len(labels)
    initial = initial_noise(config, seed, count)
    return denoise(parameters, config, labels, initial, lambda step: step_noise(config, seed, step, count))


@pytest.mark.parametrize("kind", ["x0", "epsilon", "v"])
@pytest.mark.parametrize("settings", [{}, {"sampler": "ddim", "clip": 0.3}])
def test_a_run_is_its_steps(kind, settings):
    """Each step predicts from where the last one ended, and takes the step of that prediction."""
    config = make_config(prediction=kind, shift=0.5, **settings)
    parameters = random_parameters(config)
    states = list(run(parameters, config, LABELS, seed=3))
    assert len(states) == 4
    snr = log_snr(np.array([1, 0.75, 0.5, 0.25, 0]), config.diffusion)
    for step in range(1, 4):
        noisy, time = states[step - 1].noisy, np.full(3, 1 - step / 4)
        prediction = forward(parameters, config, noisy, time, LABELS)
        clean = to_x0(kind, prediction, noisy, np.full(3, snr[step]))
        np.testing.assert_allclose(states[step].clean, clean, rtol=1e-10, atol=1e-12)
        if settings:
            expected = denoise_step(
                noisy,
                clean,
                np.zeros_like(noisy),
                log_snr_t=float(snr[step]),
                log_snr_s=float(snr[step + 1]),
                last=step == 3,
                diffusion=config.diffusion,
            )
            np.testing.assert_allclose(states[step].noisy, expected, rtol=1e-9, atol=1e-11)
    limit = config.diffusion.clip or np.inf
    assert np.array_equal(states[-1].noisy, np.clip(states[-1].clean, -limit, limit))
    assert np.array_equal(sample(parameters, config, LABELS, seed=3).samples, states[-1].noisy)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_samples_keep_the_dtype_and_repeat_with_the_seed(dtype):
    config = make_config(dtype=dtype, clip=1.0)
    parameters = random_parameters(config)
    one, same, other = (sample(parameters, config, LABELS, seed=seed).samples for seed in (1, 1, 2))
    assert one.dtype == dtype
    assert one.shape == (3, 4, 4, 4)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_an_ancestral_step_draws_new_noise_and_a_deterministic_one_none():
    """The noise that a step added, divided by its deviation, is standard normal."""
    config = make_config(steps=8)
    snr = log_snr(time_grid(8), config.diffusion)
    drawn, previous = [], None
    for step, state in enumerate(run(random_parameters(config), config, np.zeros(40, int))):
        if previous is not None and step < 7:
            keywords = {"log_snr_t": float(snr[step]), "log_snr_s": float(snr[step + 1]), "last": False}
            mean = denoise_step(previous, state.clean, 0 * previous, diffusion=config.diffusion, **keywords)
            deviation = math.sqrt(step_variance(float(snr[step]), float(snr[step + 1]), config.diffusion))
            drawn.append(((state.noisy - mean) / deviation).ravel())
        previous = state.noisy
    assert len(drawn) == 6
    for values in drawn:  # 2560 values: six standard errors are 0.119 of the mean and 0.168 of the variance
        assert abs(values.mean()) < 0.119
        assert abs(values.var() - 1) < 0.168
    correlation = np.corrcoef(drawn) - np.eye(6)
    assert np.abs(correlation).max() < 0.119


def predicted(config, scale, loops=2, rows=slice(None)):
    noisy = np.random.default_rng(5).standard_normal((3, *config.model.shape))
    return predict_clean(
        random_parameters(config), config, noisy[rows], 0.6, LABELS[rows], loops=loops, guidance_scale=scale
    )


@pytest.mark.parametrize("kind", ["x0", "epsilon", "v"])
def test_guidance_is_linear_on_every_channel(kind):
    config = make_config(prediction=kind)
    conditional, unconditional, guided = (predicted(config, scale)[0] for scale in (1.0, 0.0, 3.0))
    np.testing.assert_allclose(guided, unconditional + 3 * (conditional - unconditional), rtol=1e-9, atol=1e-10)
    for channel in range(4):
        assert np.abs(guided - conditional)[..., channel].max() > 1e-3


def test_the_unconditional_branch_reads_the_class_of_none():
    config = make_config()
    noisy = np.random.default_rng(5).standard_normal((3, *config.model.shape))
    none = forward(random_parameters(config), config, noisy, np.full(3, 0.6), np.full(3, 3), loops=2)
    assert np.array_equal(predicted(config, 0.0)[0], none)


def test_one_branch_costs_half_of_two():
    config, macs = make_config(), {}
    for scale in (0.0, 1.0, 2.0):
        with counting() as work:
            predicted(config, scale)
        macs[scale] = work.macs
    assert 2 * macs[0.0] == 2 * macs[1.0] == macs[2.0]


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_early_exit_is_each_samples_own_number_of_loops(scale):
    """Modulations stay with their samples when others have left."""
    config = make_config()
    before, after = (predicted(config, scale, loops)[0] for loops in (1, 2))
    moved = np.sqrt(((after - before) ** 2).sum(axis=(1, 2, 3)) / (after**2).sum(axis=(1, 2, 3)))
    order = np.argsort(moved)  # so that the first row leaves, and those that stay move up
    threshold = float(moved[order][:2].mean())
    clean, used = predicted(config, scale, EarlyExit(threshold, 9), rows=order)
    assert (used == 2).tolist() == [True, False, False]
    for row, loops in enumerate(used.tolist()):
        alone, own = predicted(config, scale, loops, rows=order[row : row + 1])
        assert own.tolist() == [loops]
        np.testing.assert_allclose(clean[row], alone[0], rtol=1e-9, atol=1e-11)


def test_early_exit_that_never_settles_takes_all_loops_and_one_that_always_does_takes_two():
    config = make_config()
    assert predicted(config, 1.0, EarlyExit(0.0, 5))[1].tolist() == [5, 5, 5]
    assert predicted(config, 1.0, EarlyExit(1.0, 5))[1].tolist() == [2, 2, 2]


def test_a_schedule_of_loops_is_followed_step_by_step():
    config = make_config()
    parameters = random_parameters(config)
    early, late = leaning_schedule(3, 4, "early"), leaning_schedule(3, 4, "late")
    runs = {name: sample(parameters, config, LABELS, loops=loops) for name, loops in (("e", early), ("l", late))}
    assert runs["e"].loops_used.tolist() == [[loops] * 3 for loops in early]
    assert runs["l"].loops_used.tolist() == runs["e"].loops_used[::-1].tolist()
    assert runs["e"].loops_used.sum() == 3 * 4 * 3
    assert not np.array_equal(runs["e"].samples, runs["l"].samples)
    fixed = sample(parameters, config, LABELS, loops=2)
    assert np.array_equal(fixed.samples, sample(parameters, config, LABELS, loops=[2, 2, 2, 2]).samples)


def test_a_change_is_relative_to_the_prediction_and_at_most_one():
    after = np.ones((4, 2, 2, 1))
    factors = np.array([1.0, 0.75, -1.0, -9.0])[:, None, None, None]
    changes = relative_change(factors * after, after, np.arange(4))
    np.testing.assert_allclose(changes, [0, 0.25, 1, 1])
    assert relative_change(0 * after, 0 * after, np.arange(4)).tolist() == [0] * 4
