"""The workloads in the JAX port: jit, on the CPU; a repetition ends when its arrays are ready."""

from functools import partial
from typing import Any

import numpy as np

from elt_ref.arrays import tree_items
from elt_ref.bench.inputs import parameters_of, sampling_inputs, training_inputs
from elt_ref.bench.job import Job, Repetition
from elt_ref.bench.peers import load_port
from elt_ref.bench.reference_side import judged
from elt_ref.config import MaskedExperiment


def open_jax(job: Job) -> Repetition:
    """Return the repetition; its first call compiles."""
    port, adapter = load_port(job.side, job.ports)
    if job.work == "conform":
        return judged(adapter.Backend())
    return (_training if job.work == "train" else _sampling)(port, job)


def _parameters(port: Any, job: Job) -> Any:
    return port.unflatten({name: port.jnp.asarray(leaf) for name, leaf in tree_items(parameters_of(job.network))})


def _training(port: Any, job: Job) -> Repetition:
    config = port.read_config(job.network.model_dump(mode="json", exclude_none=True))
    step = port.jax.jit(partial(port.train_step, config))
    state = port.init_state(_parameters(port, job))
    inputs = []
    for batch, draws in training_inputs(job.network):
        arrays = {"examples": batch.examples, "labels": batch.labels, **draws._asdict()}
        inputs.append({name: port.jnp.asarray(value) for name, value in arrays.items() if value is not None})

    def repeat(index: int) -> np.ndarray:
        nonlocal state
        state, loss = port.jax.block_until_ready(step(state, inputs[index % len(inputs)]))
        return np.asarray(loss)

    return repeat


def _sampling(port: Any, job: Job) -> Repetition:
    ours, document = job.network, job.network.model_dump(mode="json", exclude_none=True)
    labels, noise = sampling_inputs(ours)
    model = port.read_model(document["model"])
    arguments = {name: port.jnp.asarray(value) for name, value in noise.items()}
    arguments |= {
        "labels": port.jnp.asarray(labels),
        "loops": port.jnp.full(ours.sampling.steps, ours.model.max_loops),
    }
    static = {"model": model, "sampling": port.read_section(port.Sampling, document["sampling"])}
    if isinstance(ours, MaskedExperiment):
        sampler = port.masked_sample
        arguments["tokens"] = port.jnp.full((len(labels), model.tokens), model.mask_token)
    else:
        sampler, static["diffusion"] = port.diffusion_sample, port.read_section(port.Diffusion, document["diffusion"])
    parameters = _parameters(port, job)

    def repeat(_index: int) -> np.ndarray:
        return np.asarray(port.jax.block_until_ready(sampler(parameters, **arguments, **static)))

    return repeat
