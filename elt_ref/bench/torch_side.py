"""The workloads in the PyTorch port, eager or compiled."""

from collections.abc import Callable
from typing import Any

import numpy as np

from elt_ref.arrays import tree_items
from elt_ref.bench.inputs import parameters_of, sampling_inputs, training_inputs
from elt_ref.bench.job import Job, Repetition
from elt_ref.bench.peers import load_port
from elt_ref.bench.reference_side import judged
from elt_ref.config import MaskedExperiment


def open_torch(job: Job) -> Repetition:
    """Return the repetition; the side ``torch-compile`` compiles the network, the rest of a step stays eager."""
    port, adapter = load_port(job.side, job.ports)
    port.torch.set_num_threads(job.threads)
    if job.work == "conform":
        return judged(adapter.Backend())
    network = port.torch.compile if job.side == "torch-compile" else lambda module: module
    return (_training if job.work == "train" else _sampling)(port, adapter, job, network)


def _sections(port: Any, adapter: Any, job: Job) -> Any:
    document = job.network.model_dump(mode="json")
    return port.Settings(**{name: adapter.to_torch(part) for name, part in document.items() if isinstance(part, dict)})


def _module(port: Any, adapter: Any, job: Job, model: Any) -> Any:
    named = {name: adapter.to_torch(leaf) for name, leaf in tree_items(parameters_of(job.network))}
    return adapter.loaded(named, port.build(model))


def _training(port: Any, adapter: Any, job: Job, network: Callable[[Any], Any]) -> Repetition:
    settings = _sections(port, adapter, job)
    trainer = port.Trainer(_module(port, adapter, job, settings.model), settings)
    trainer.network = network(trainer.model)
    inputs = []
    for batch, draws in training_inputs(job.network):
        named = draws._asdict()
        loops = named.pop("student_loops")
        inputs.append(
            (adapter.to_torch(batch.examples), adapter.to_torch(batch.labels), adapter.to_torch(named), loops)
        )

    def repeat(index: int) -> np.ndarray:
        return trainer.train_step(*inputs[index % len(inputs)]).total.detach().numpy()

    return repeat


def _sampling(port: Any, adapter: Any, job: Job, network: Callable[[Any], Any]) -> Repetition:
    settings, config = _sections(port, adapter, job), job.network
    module = network(_module(port, adapter, job, settings.model))
    labels, noise = sampling_inputs(config)
    arguments = {"sampling": settings.sampling, "loops": [config.model.max_loops] * config.sampling.steps}
    arguments |= {"labels": adapter.to_torch(labels), **adapter.to_torch(noise)}
    if isinstance(config, MaskedExperiment):
        unknown = np.full((len(labels), config.model.tokens), port.mask_token(settings.model))
        sampler, arguments["tokens"] = port.masked_sample, adapter.to_torch(unknown)
    else:
        sampler, arguments["diffusion"] = port.diffusion_sample, settings.diffusion

    def repeat(_index: int) -> np.ndarray:
        return sampler(module, settings.model, **arguments).numpy()

    return repeat
