"""The workloads in elt_ref."""

import numpy as np

from elt_ref.bench.inputs import parameters_of, sampling_inputs, training_inputs
from elt_ref.bench.job import Job, Repetition
from elt_ref.config import DiffusionExperiment, DriftingExperiment, Experiment
from elt_ref.generation import DecodeNoise, decode, denoise, generate
from elt_ref.streams import stream
from elt_ref.training import TrainState, train_step, zero_moments

MATRIX_SIDE = 1536


def open_reference(job: Job) -> Repetition:
    """Return the repetition of ``train``, ``sample`` or ``conform``."""
    if job.work == "conform":
        return _conformance()
    return (_training if job.work == "train" else _sampling)(job.network)


def _training(config: Experiment) -> Repetition:
    """A step of training: forward, backward, clipping, optimizer, moving average. The answer is the loss."""
    inputs = training_inputs(config)
    parameters = parameters_of(config)
    state = TrainState(0, parameters, zero_moments(parameters), parameters)

    def repeat(index: int) -> np.ndarray:
        nonlocal state
        batch, draws = inputs[index % len(inputs)]
        state, info = train_step(state, batch, draws, config=config)
        return np.array([info.terms.total])

    return repeat


def _sampling(config: Experiment) -> Repetition:
    """All steps of sampling a batch at L_max loops. The answer is the samples."""
    parameters, (labels, noise) = parameters_of(config), sampling_inputs(config)

    def repeat(_index: int) -> np.ndarray:
        if isinstance(config, DiffusionExperiment):
            later = noise["step_noise"]
            states = denoise(parameters, config, labels, noise["initial_noise"], lambda step: later[step])
            return list(states)[-1].noisy
        if isinstance(config, DriftingExperiment):
            return generate(parameters, config, labels, noise["initial_noise"])[0]
        tokens, confidence = noise["token_noise"], noise["confidence_noise"]
        answers = decode(parameters, config, labels, lambda step: DecodeNoise(tokens[step], confidence[step]))
        return list(answers)[-1].answer

    return repeat


def _conformance() -> Repetition:
    """The reference under the judge."""
    from elt_ref.conformance.reference import ReferenceBackend  # noqa: PLC0415  only of this work

    return judged(ReferenceBackend())


def judged(backend: object) -> Repetition:
    """Return the repetition of a conformance run of `backend`. The answer is which clauses passed.

    The profile ``distributed`` is left out: it mostly starts processes, and not every port's backend has it.
    """
    from elt_ref.conformance.case import read_vectors  # noqa: PLC0415
    from elt_ref.conformance.clauses import clauses  # noqa: PLC0415
    from elt_ref.conformance.doors import PythonDoor  # noqa: PLC0415
    from elt_ref.conformance.judge import judge  # noqa: PLC0415

    vectors = read_vectors()
    judged_clauses = ",".join(id_ for id_, clause in clauses().items() if clause.profile != "distributed")

    def repeat(_index: int) -> np.ndarray:
        report = judge(PythonDoor(backend), vectors, only=judged_clauses)
        return np.array([verdict.status == "PASS" for verdict in report.verdicts], float)

    return repeat


def open_matmul(_job: Job) -> Repetition:
    """Return a product of two square float32 matrices of `MATRIX_SIDE`: the machine's best rate."""
    generator = stream(0, "matmul")
    left, right = (generator.standard_normal((MATRIX_SIDE, MATRIX_SIDE), dtype=np.float32) for _ in range(2))
    product = np.empty_like(left)

    def repeat(_index: int) -> np.ndarray:
        np.matmul(left, right, out=product)
        return product[0]

    return repeat
