"""Both sides of a comparison do the same work, in turn; otherwise there is no comparison."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import elt_ref
from elt_ref.bench.inputs import parameters_of
from elt_ref.bench.job import Job
from elt_ref.bench.loop_cache import looped_network
from elt_ref.bench.machine import caches, processor
from elt_ref.bench.measure import Request, profiles
from elt_ref.bench.pairs import TOLERANCE, DisagreementError, check_agreement, interleave, quartiles, warm_up
from elt_ref.bench.process import open_side
from elt_ref.bench.profile import PARTS, REST, spent
from elt_ref.bench.sizes import FAMILIES, SIZES, benched, tokens_a_batch
from elt_ref.bench.worker import SideError, Timed, Worker, environment
from elt_ref.generation import sample
from elt_ref.measure import count
from elt_ref.ops import count_work, counting
from elt_ref.ports import PORTS


def job(side, work, config):
    return Job(side, work, config, PORTS, 1)


class Recorded(Worker):
    """A side without a process: it returns preset answers and records its calls."""

    def __init__(self, side, log, answer=0.0, cores=1.0):
        super().__init__(job(side, "train", None))
        self.log, self.answer, self.cores = log, np.array([answer]), cores

    def run(self, index, *, answer=False):
        self.log.append((self.job.side, index))
        return Timed(1.0, self.cores, self.answer if answer else None)


# --- what is done


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_sampled_is_what_sample_draws_at_the_counted_cost(family):
    config = benched(family, "tiny")
    repetition = open_side(job("elt_ref", "sample", config))
    with counting() as work:
        drawn = repetition(0)
    labels = np.arange(config.training.batch_size) % config.model.classes
    assert np.array_equal(drawn, sample(parameters_of(config), config, labels, seed=config.seed).samples)
    assert work.macs == len(labels) * count(config).macs_per_sample


@pytest.mark.parametrize("family", FAMILIES)
def test_training_learns(family):
    repetition = open_side(job("elt_ref", "train", benched(family, "tiny")))
    losses = [repetition(0)[0] for _ in range(6)]
    assert losses[-1] < losses[0]


def test_looped_and_unlooped_predict_the_same_from_other_memory():
    config = looped_network(16, 1, 3)
    looped, unlooped = (open_side(job(side, "forward", config))(0) for side in ("elt_ref", "unlooped"))
    assert np.array_equal(looped, unlooped)
    assert np.ptp(looped) > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_sizes_grow_and_the_larger_have_a_large_batch(family):
    widths = [benched(family, size).model.width for size in SIZES]
    assert widths == [16, 64, 128, 256]
    assert all(tokens_a_batch(benched(family, size)) >= 2048 for size in ("medium", "large"))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", SIZES)
def test_a_job_survives_its_journey(family, size):
    sent = job("torch", "train", benched(family, size))
    assert Job.from_json(sent.to_json()) == sent
    alone = job("matmul", "matmul", None)
    assert Job.from_json(alone.to_json()) == alone


def test_every_side_is_given_as_many_threads(tmp_path):
    before = tmp_path / "elt_ref" / "bench" / "process.py"  # a checkout whose layers share no samples
    before.parent.mkdir(parents=True)
    before.touch()
    for threads in (1, 2):
        for side in ("torch", "jax", "matmul", str(tmp_path)):
            given_to = environment(replace(job(side, "train", None), threads=threads))
            assert {given_to[name] for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NPROC")} == {str(threads)}
        for side in ("elt_ref", str(Path(elt_ref.__file__).parents[1])):
            ours = environment(replace(job(side, "train", None), threads=threads))
            assert (ours["ELT_REF_THREADS"], ours["OPENBLAS_NUM_THREADS"]) == (str(threads), "1")
    assert "eigen=false" in environment(job("jax", "train", None))["XLA_FLAGS"]


def test_each_side_takes_the_kernels_that_suit_it_unless_ours_are_named(monkeypatch):
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_ENABLE_INSTRUCTIONS"):
        monkeypatch.setenv(name, "1")
    for asked, kernels in ((None, set()), ("Haswell", {"OPENBLAS_CORETYPE"})):
        found = environment(replace(job("elt_ref", "train", None), kernels=asked))
        tuned = {name for name in found if name.startswith(("OPENBLAS_", "MKL_")) and "THREADS" not in name}
        assert tuned == kernels, f"asked for {asked}"
        assert found.get("OPENBLAS_CORETYPE") == asked


def test_memory_is_kept_in_one_arena_unless_the_environment_says_otherwise(monkeypatch):
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    assert environment(job("jax", "train", None))["MALLOC_ARENA_MAX"] == "1"
    monkeypatch.setenv("MALLOC_ARENA_MAX", "0")
    assert environment(job("jax", "train", None))["MALLOC_ARENA_MAX"] == "0"


# --- where the time goes


@pytest.mark.parametrize("work", ["train", "sample"])
def test_the_parts_of_a_work_take_time_and_share_its_products(work):
    with Worker(job("elt_ref", work, benched("masked", "tiny"))) as side:
        shown = side.profile()
        macs, _ = side.work()
    assert list(shown) == [*PARTS, REST]
    assert sum(counted for _, counted, _ in shown.values()) == macs, "each product belongs to one part"
    idle = [part for part, (seconds, _, _) in shown.items() if seconds == 0]
    assert idle == ([] if work == "train" else ["optimizer"]), f"parts that take no time: {shown}"


def test_time_belongs_to_the_innermost_part_at_work(monkeypatch):
    now = 0.0

    def pass_time(seconds):
        nonlocal now
        now += seconds

    monkeypatch.setattr("elt_ref.bench.profile.time", SimpleNamespace(perf_counter=lambda: now))

    def inside(file, inner=lambda: None):
        """Return a function of a file of the package that works, calls another function, and works again."""

        def work():
            pass_time(2)
            inner()
            pass_time(2)
            count_work(macs=6)

        work.__code__ = work.__code__.replace(co_filename=str(Path(elt_ref.__file__).parent / file))
        return work

    gelu = inside("ops/gelu.py", inside("arrays.py"))  # what an op calls elsewhere is the op's

    def repetition(_index):
        inside("ops/layer_norm.py", gelu)()
        pass_time(4)
        return np.zeros(1)

    shown = spent(repetition)
    expected = {"GELU": (8, 12), "norms and gates": (4, 6), REST: (4, 0)}
    assert {part: (each.seconds, each.macs) for part, each in shown.items()} == {
        part: expected.get(part, (0, 0)) for part in shown
    }


def test_a_parts_time_stands_beside_its_products_at_the_peak_and_its_passes(monkeypatch):
    taken = {"linear": (3.0, 500, 0.5), "optimizer": (1.0, 0, 0.0)}

    class Side:
        def __init__(self, _job):
            pass

        def __enter__(self):
            return SimpleNamespace(profile=lambda: taken)

        def __exit__(self, *_):
            pass

    monkeypatch.setattr("elt_ref.bench.measure.Worker", Side)
    asked = Request((), ("masked",), ("tiny",), (), 2, 1, PORTS)
    trained, sampled = profiles(asked, 1e-6, lambda _: None)  # 1,000 FLOPs a second
    assert (trained.work, sampled.work) == ("train", "sample")
    assert trained.shares == {"linear": 0.75, "optimizer": 0.25}
    assert trained.over_floor == pytest.approx({"linear": 3 / (2 * 500 / 1000 + 0.5)})


# --- in turn


def test_on_several_threads_a_side_starts_after_those_of_the_other_have_come_to_rest(monkeypatch):
    for threads, expected in ((1, []), (2, ["rest", "a", "rest", "b", "rest", "b", "rest", "a"])):
        log = []
        monkeypatch.setattr("elt_ref.bench.pairs.time", SimpleNamespace(sleep=lambda _, log=log: log.append("rest")))
        sides = [Recorded("a", log), Recorded("b", log)]
        for side in sides:
            side.job = replace(side.job, threads=threads)
        interleave(sides, 2)
        names = [entry if entry == "rest" else entry[0] for entry in log]
        assert names == (expected or ["a", "b", "b", "a"]), f"{threads} threads"


@given(st.integers(1, 6))
def test_sides_take_turns_one_at_a_time_and_the_order_alternates(pairs):
    log = []
    times = interleave([Recorded("a", log), Recorded("b", log)], pairs)
    rounds = [log[2 * k : 2 * k + 2] for k in range(pairs)]
    assert rounds == [[("a", k), ("b", k)] if k % 2 == 0 else [("b", k), ("a", k)] for k in range(pairs)]
    assert times == [[1.0] * pairs] * 2


def test_a_side_that_uses_more_threads_than_it_was_given_is_an_error():
    with pytest.raises(DisagreementError, match=r"train, b: expected at most 1 threads at work, got 1.90"):
        interleave([Recorded("a", []), Recorded("b", [], cores=1.9)], 2)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=9))
def test_quartiles_are_those_of_numpy(values):
    assert np.allclose(quartiles(values), np.percentile(values, [25, 50, 75]))


# --- the same work


@given(arrays.arrays(float, st.integers(1, 200), elements=st.floats(-100, 100)), st.floats(0, 0.9), st.integers(0, 9))
def test_rounding_is_no_disagreement_and_more_is(answer, share, seed):
    largest = np.abs(answer).max()
    noise = np.random.default_rng(seed).uniform(-1, 1, answer.shape)
    check_agreement(answer, answer + share * TOLERANCE * largest * noise, "here")
    with pytest.raises(DisagreementError, match=r"here: expected the same answer within 2e-05 of its largest, got "):
        check_agreement(answer, answer + 2 * TOLERANCE * largest + 1e-6, "here")


def test_few_tokens_may_be_others_and_of_other_numbers_none():
    ours, few, many = np.arange(100), np.arange(100), np.arange(100)
    few[:2], many[:3] = 7, 9
    check_agreement(ours, few, "here")
    for theirs in (many, few.astype(float)):
        with pytest.raises(DisagreementError, match=r"here: expected the same answer .* with [32]\.0% apart"):
            check_agreement(ours.astype(theirs.dtype), theirs, "here")


@pytest.mark.parametrize(("theirs", "shown"), [([1.0], "one shape"), ([1.0, np.nan], "the same answer")])
def test_another_shape_and_what_is_no_number_are_disagreements(theirs, shown):
    with pytest.raises(DisagreementError, match=shown):
        check_agreement(np.ones(2), np.array(theirs), "here")


def test_sides_that_answer_differently_are_not_timed():
    with pytest.raises(DisagreementError, match="bench, train, ours and theirs, repetition 0: expected the same"):
        warm_up([Recorded("ours", [], 1.0), Recorded("theirs", [], 1.01)])


def test_processes_with_other_parameters_disagree():
    config = benched("masked", "tiny")
    other = config.model_copy(update={"seed": 1})
    with Worker(job("elt_ref", "sample", config)) as ours, Worker(job("elt_ref", "sample", other)) as theirs:
        warm_up([ours, ours], 1)
        with pytest.raises(DisagreementError):
            warm_up([ours, theirs], 1)


def test_a_process_that_fails_says_so_in_one_sentence_and_is_gone(tmp_path):
    with (
        pytest.raises(
            SideError, match=r"bench, torch, train: expected a repetition, got FileNotFoundError: .*"
        ) as shown,
        Worker(Job("torch", "train", benched("masked", "tiny"), tmp_path, 1)),
    ):
        pass
    assert "\n" not in str(shown.value)


# --- the machine


def test_caches_are_read_in_bytes_and_instructions_left_out(tmp_path):
    for index, (level, kind, size) in enumerate(
        [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("3", "Unified", "4M")]
    ):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(f"{text}\n", encoding="utf-8")
    (tmp_path / "index9").mkdir()  # as some virtual machines have it, without a size
    assert caches(tmp_path) == {"L1": 48 * 2**10, "L3": 4 * 2**20}
    assert caches(Path(tmp_path / "nowhere")) == {}


def test_a_processor_is_named_with_family_and_model(tmp_path):
    file = tmp_path / "cpuinfo"
    block = "processor\t: {}\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n\n"
    file.write_text("".join(map(block.format, (0, 1))), encoding="utf-8")
    assert processor(file) == "AMD EPYC, family 25 model 17"
    file.write_text("model name\t: Some ARM\n", encoding="utf-8")
    assert processor(file) == "Some ARM"
