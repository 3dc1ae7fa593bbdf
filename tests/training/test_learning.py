"""A training that does not learn says so, by its log; one that learns is left alone."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import FAMILIES, batch_of, examples, tiny

from elt_ref.arrays import tree_map
from elt_ref.model import forward, init_parameters
from elt_ref.objective import Batch, draw, drift_field
from elt_ref.objective.diffusion import loss_weight
from elt_ref.objective.draws import mask_tokens
from elt_ref.schedules import log_snr
from elt_ref.training import METRICS, init_state, learning, notice, read_metrics, sentence, train
from elt_ref.training.learning import PATIENCE, WINDOW, blind_prediction, signs

CONFIG = tiny(warmup_steps=50, steps=1000)


def log(shares, blind=3.9, differs=0.1, every=10, noise=0.0):
    """A log whose losses are these shares of the loss of guessing."""
    draw_ = np.random.default_rng(0)
    return [
        {
            "step": every * (number + 1),
            "teacher_truth": blind * share * float(np.exp(noise * draw_.standard_normal())),
            "blind_loss": blind,
            "input_share": differs,
        }
        for number, share in enumerate(shares)
    ]


def kind(entries, config=CONFIG):
    found = notice(entries, config)
    return found and found.kind


FALLING = [0.3 + 0.9 * math.exp(-step / 12) for step in range(100)]
FLAT = [1.2] * 3 + [1.0] * 97
COLLAPSED = FALLING[:40] + [0.99] * 60


def test_one_that_learns_is_left_alone_at_every_step():
    assert [kind(log(FALLING[:number], noise=0.1)) for number in range(101)] == [None] * 101


def test_one_that_never_learns():
    found = [kind(log(FLAT[:number])) for number in range(101)]
    first = found.index("guessing")
    assert first * 10 == CONFIG.training.warmup_steps + PATIENCE
    assert set(found[first:]) == {"guessing"}
    large = CONFIG.model_copy(update={"training": CONFIG.training.model_copy(update={"batch_size": 64})})
    words = sentence(notice(log(FLAT), large), large)
    assert words.startswith(
        "tiny does not learn: its loss since step 910 is 3.900, no better than guessing the frequencies of the codes "
        "(3.900). Try training.learning_rate=0.0003 (now 0.001), a longer training.warmup_steps (now 50), or fewer "
    )
    assert "\n" not in words
    few = CONFIG.model_copy(update={"training": CONFIG.training.model_copy(update={"batch_size": 1})})
    assert "a larger training.batch_size (now 1)" in sentence(notice(log(FLAT), few), few)


def test_one_that_still_falls_at_the_end_needs_more_steps():
    falls = [3.0 - 0.019 * number for number in range(101)]
    assert kind(log(falls[:60])) is None
    words = sentence(notice(log(falls), CONFIG), CONFIG)
    assert words.startswith("tiny has not learned: its loss since step ")
    assert words.endswith(f"but it still falls. Try more training.steps (now {CONFIG.training.steps}).")


def test_one_that_collapses_and_one_that_comes_back():
    found = [kind(log(COLLAPSED[:number])) for number in range(101)]
    assert found[40] is None
    assert found[60:] == ["collapsed"] * 41
    assert kind(log(COLLAPSED[:50] + [0.4] * 20)) is None, "it learns again"


def test_one_whose_predictions_are_the_same_for_every_input():
    assert kind(log([0.9] * 100, differs=1e-5)) == "blind"
    assert kind(log([0.9] * 100, differs=1e-2)) is None


def test_a_slow_one_is_given_time_until_the_end():
    slow = [3 - 0.018 * step for step in range(100)]
    assert [kind(log(slow[:number])) for number in range(100)] == [None] * 100
    assert kind(log(slow)) == "guessing"


def test_a_bump_is_no_collapse():
    assert kind(log(FALLING[:60] + [0.9] * (WINDOW // 2))) is None


@given(st.floats(0.05, 0.9), st.floats(0.05, 30), st.floats(0, 0.1), st.integers(0, 100), st.sampled_from([1, 10, 100]))
def test_a_loss_that_falls_is_never_told_to_be_lost(floor, pace, noise, number, every):
    shares = [floor + (1.2 - floor) * math.exp(-step / pace) for step in range(number)]
    assert kind(log(shares, every=every, noise=noise)) != "collapsed"


@given(st.lists(st.floats(0, 5), max_size=60), st.floats(0, 1), st.sampled_from([1, 7, 1000]))
def test_any_log_can_be_judged_and_the_judgement_is_of_its_end(shares, differs, every):
    entries = log(shares, differs=differs, every=every)
    assert kind(entries) in {None, "guessing", "collapsed", "blind"}
    if len(shares) >= WINDOW and kind(entries) == "guessing":
        assert np.mean(shares[-WINDOW:]) > 0.98


def test_logs_of_another_version_are_not_judged():
    assert notice([{"step": 5000, "teacher_truth": 9.0}], CONFIG) is None


# --- what the log holds


@pytest.mark.parametrize("reduction", ["mean_per_sample", "sum"])
def test_guessing_the_codes_costs_their_frequencies(reduction):
    config = tiny(objective={"reduction": reduction}, batch_size=8)
    data = examples(config)
    # As if each of the 8 examples stood at every position and 5 more were spread as all codes together are.
    overall = np.bincount(data.examples.ravel(), minlength=5) / data.examples.size
    here = np.array([[np.sum(data.examples[:, place] == code) for code in range(5)] for place in range(4)])
    frequencies = (here + 5 * overall) / (8 + 5)
    np.testing.assert_allclose(frequencies.sum(axis=1), 1)
    blind = blind_prediction(config, data)
    for step in range(3):
        draws = draw(config, step)
        mask = mask_tokens(draws.mask_ratio, draws.mask_order)
        right = -np.log(frequencies[np.arange(4), data.examples])
        costs = [cost[masked] for cost, masked in zip(right, mask, strict=True)]
        expected = np.mean([cost.sum() if reduction == "sum" else cost.mean() for cost in costs])
        found = signs(config, init_parameters(config), data, draws, blind)["blind_loss"]
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("prediction", "factor"), [("x0", 1), ("epsilon", 0), ("v", -1)])
def test_guessing_samples_costs_their_distance_to_the_mean(prediction, factor):
    config = tiny(family="diffusion", diffusion={"prediction": prediction}, batch_size=8)
    data, draws = examples(config), draw(config, 0)
    blind = blind_prediction(config, data)
    np.testing.assert_allclose(blind, data.examples.mean(axis=0), atol=1e-6)
    snr = log_snr(draws.time, config.diffusion)
    alpha, sigma = (np.sqrt(1 / (1 + np.exp(sign * snr)))[:, None, None, None] for sign in (-1, 1))
    truth = {"x0": data.examples, "epsilon": draws.noise, "v": alpha * draws.noise - sigma * data.examples}[prediction]
    guess = factor * (sigma if prediction == "v" else 1) * blind
    expected = np.mean(loss_weight(draws.time, config.diffusion) * ((truth - guess) ** 2).mean(axis=(1, 2, 3)))
    found = signs(config, init_parameters(config), data, draws, blind)["blind_loss"]
    assert found == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_predictions_that_depend_on_nothing_have_no_share(family):
    wide = {} if family in {"diffusion", "drifting"} else {"initial_deviation": 0.5}
    config = tiny(family=family, batch_size=8, model=wide)
    blind, data = blind_prediction(config, examples(config)), batch_of(config)
    generator = np.random.default_rng(0)
    dead = tree_map(np.zeros_like, init_parameters(config))
    alive = init_parameters(config)
    if family == "diffusion":  # which begins without an output
        alive = tree_map(lambda leaf: generator.standard_normal(leaf.shape).astype(leaf.dtype), alive)
    assert signs(config, dead, data, draw(config, 0), blind)["input_share"] < 1e-6
    assert signs(config, alive, data, draw(config, 0), blind)["input_share"] > 1e-2


def test_the_log_of_drifting_holds_the_sizes_of_the_fields_before_the_division():
    config = tiny(family="drifting", batch_size=8, dtype="float64")
    state, batch, draws = init_state(config), batch_of(config), draw(config, 0)
    found = signs(config, state.parameters, batch, draws, blind_prediction(config, examples(config)))
    samples = forward(state.parameters, config, draws.noise, np.repeat(batch.labels, 8))
    field = drift_field(samples.reshape(8, -1), batch.examples[0].reshape(3, -1), temperatures=(0.02, 0.05, 0.2))
    assert found["field_sizes"] == pytest.approx(list(field.sizes))
    assert found["input_share"] == pytest.approx(samples.var(axis=0).mean() / batch.examples.var(axis=1).mean())


def test_only_blindness_is_told_of_drifting():
    config = tiny(family="drifting", warmup_steps=50, steps=1000)
    entry = {"teacher_truth": 6.6, "field_sizes": [1.0]}
    told = [
        notice([{"step": step, "input_share": share, **entry} for step in range(1, 400)], config)
        for share in (1e-5, 0.5)
    ]
    assert (told[0] and told[0].kind, told[1]) == ("blind", None)


# --- a training


def nothing_to_learn():
    """Codes drawn at random, of which nothing can be known."""
    generator = np.random.default_rng(0)
    return Batch(generator.integers(0, 5, (400, 4)), generator.integers(0, 2, 400))


@pytest.mark.usefixtures("as_user")
def test_a_training_on_nothing_to_learn_says_so_once_and_again_when_resumed(tmp_path, monkeypatch):
    monkeypatch.setattr(learning, "PATIENCE", 20)
    config = tiny(steps=60, warmup_steps=1, checkpoint_every=100, log_every=2, batch_size=16)
    told = []
    train(config, nothing_to_learn(), tmp_path, on_notice=lambda found: told.append(found and found.kind))
    assert told[-1] == "guessing"
    noticed = [entry["step"] for entry in read_metrics(tmp_path / METRICS) if "notice" in entry]
    assert noticed[-1] == 60
    assert noticed[0] >= 22
    whole = (tmp_path / METRICS).read_bytes()

    def stop(step, _):
        if step in {25, 51}:
            raise KeyboardInterrupt

    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            train(config, nothing_to_learn(), tmp_path, resume=resume, on_step=stop)
    train(config, nothing_to_learn(), tmp_path, resume=True)
    assert (tmp_path / METRICS).read_bytes() == whole
