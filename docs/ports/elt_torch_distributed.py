"""Training with elt_torch from the command line, in one process or many.

    python elt_torch_distributed.py config.toml examples.safetensors --out run
    torchrun --nproc_per_node=2 elt_torch_distributed.py config.toml examples.safetensors --out run

Both give the same parameters, up to rounding. Every process draws the whole batch and its randomness as a function of
(seed, step), and takes its own slice; losses are means over the batch. The random streams are elt_ref's, so elt_ref can
sample from the run and go on with it.
"""

import argparse
import functools
import math
import os
import sys
import tomllib
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
import torch.distributed as dist
from elt_torch import Settings, Trainer, build, draw_student_loops, initialise, stream
from safetensors import safe_open
from torch import Tensor

DEFAULTS: dict[str, dict[str, Any]] = {
    "model": {"family": "masked", "unconditional_row": True},
    "diffusion": {
        "shift_at_noise": None,
        "log_snr_min": -15.0,
        "log_snr_max": 15.0,
        "prediction": "x0",
        "weight_derivative": True,
        "sampler": "ancestral",
        "variance": "small",
        "variance_fraction": 0.5,
        "clip": None,
    },
    "objective": {
        "kind": "ilsd",
        "min_loops": 1,
        "reduction": "mean_per_sample",
        "label_smoothing": 0.0,
        "mask_ratio_per": "sample",
        "label_drop_rate": 0.1,
        "label_drop_per": "sample",
    },
    "training": {
        "steps": 800,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "warmup_steps": 100,
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
        "weight_decay": 0.0,
        "gradient_clip": 1.0,
        "average_decay": 0.99,
        "dtype": "float32",
        "rematerialise": False,
        "checkpoint_every": 100,
        "log_every": 10,
    },
}
OF_THE_FAMILY = {
    "masked": {"layer_norm_epsilon": 1e-12, "initial_deviation": 0.02},
    "diffusion": {"layer_norm_epsilon": 1e-6, "time_features": 256, "time_scale": 1000.0},
}


def read_config(path: Path) -> Settings:
    """Read the parts of an elt_ref configuration that training needs; a missing key has elt_ref's default."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    sections = {name: default | document.get(name, {}) for name, default in DEFAULTS.items()}
    sections["model"] = OF_THE_FAMILY[sections["model"]["family"]] | sections["model"]
    named_biases = {"sid2_default_b0": 0.0, "vdmpp_b2": 2.0}
    diffusion = sections["diffusion"]
    for key in ("shift", "shift_at_noise"):
        diffusion[key] = shift_value(diffusion.get(key))
    diffusion["bias"] = named_biases.get(diffusion.get("bias"), diffusion.get("bias"))
    return Settings(seed=document.get("seed", 0), **{name: Settings(**section) for name, section in sections.items()})


def shift_value(shift: str | float | None) -> float | None:
    """Convert "none" or "32/64" (noise resolution over image resolution) to a number."""
    if not isinstance(shift, str):
        return shift
    if shift == "none":
        return 0.0
    noise, image = map(int, shift.split("/"))
    return 2 * math.log(noise / image)


def read_examples(path: Path, config: Settings) -> tuple[Tensor, Tensor]:
    """Read tokens [count, T] or scaled latents [count, H, W, C], and labels; docs/data.md describes the file."""
    with safe_open(path, "pt") as file:
        labels = file.get_tensor("labels").long()
        if config.model.family == "masked":
            return file.get_tensor("tokens").flatten(1).long(), labels
        latents = file.get_tensor("latents").float() * float(file.metadata()["scale"])
        return latents.to(getattr(torch, config.training.dtype)), labels


def draw(config: Settings, step: int) -> tuple[dict[str, Tensor], int | None]:
    """Draw a step's randomness for the whole batch, and L_int."""
    seed, size, model, objective = config.seed, config.training.batch_size, config.model, config.objective

    def uniform(name: str, per: str = "sample") -> np.ndarray:
        generator = stream(seed, name, step)
        return generator.random(size) if per == "sample" else np.full(size, generator.random())

    draws = {"label_drop": uniform("label_drop", objective.label_drop_per)}
    if model.family == "masked":
        order = stream(seed, "mask_order", step).random((size, math.prod(model.grid)))
        draws |= {"mask_ratio": uniform("mask_ratio", objective.mask_ratio_per), "mask_order": order}
    else:
        noise = stream(seed, "noise", step).standard_normal((size, *model.shape)).astype(config.training.dtype)
        draws |= {"time": uniform("time"), "noise": noise}
    has_student = objective.kind == "ilsd"
    student_loops = draw_student_loops(seed, step, objective.min_loops, model.max_loops) if has_student else None
    return {name: torch.from_numpy(array) for name, array in draws.items()}, student_loops


@functools.lru_cache(maxsize=2)  # a batch lies in one epoch, or across two
def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """Return the order of the examples in an epoch."""
    return stream(seed, "order", epoch).permutation(count)


def batch_indices(config: Settings, step: int, count: int) -> list[int]:
    """Return the indices, among `count` examples, of a step's batch: epoch after epoch."""
    size = config.training.batch_size
    positions = range(step * size, (step + 1) * size)
    return [epoch_order(config.seed, position // count, count)[position % count] for position in positions]


def train(config: Settings, examples: Tensor, labels: Tensor, checkpoint: Path, *, resume: bool) -> Trainer:
    """Train to the configured number of steps. Each process takes its own slice of the batch and its draws."""
    rank, processes = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    training = config.training
    if training.batch_size % processes:
        raise ValueError(
            f"training.batch_size: expected a multiple of {processes} processes, got {training.batch_size}"
        )
    share = training.batch_size // processes
    own = slice(rank * share, (rank + 1) * share)  # slices are equal, so the mean of their means is the batch's mean

    model = build(config.model).to(getattr(torch, training.dtype))
    initialise(model, config.model, torch.Generator().manual_seed(config.seed))
    model.rematerialise = training.rematerialise
    trainer = Trainer(model.to(device), config)
    if resume:
        trainer.load(checkpoint)
    while trainer.step < training.steps:
        indices = batch_indices(config, trainer.step, len(labels))[own]
        draws, student_loops = draw(config, trainer.step)
        mine = {name: tensor[own].to(device) for name, tensor in draws.items()}
        losses = trainer.train_step(examples[indices].to(device), labels[indices].to(device), mine, student_loops)
        if rank == 0 and trainer.step % training.log_every == 0:
            print(f"step {trainer.step}  loss {losses.total:.4f} (of {share} examples)", flush=True)
        if rank == 0 and (trainer.step % training.checkpoint_every == 0 or trainer.step == training.steps):
            trainer.save(checkpoint)
    return trainer


def leave() -> NoReturn:
    """Exit without cleanup once every process of the group is here: gloo's teardown races and may abort."""
    dist.barrier()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def main() -> None:
    """Train from the command line, in one process or in all that torchrun starts."""
    parser = argparse.ArgumentParser(description="Train an Elastic Looped Transformer.")
    parser.add_argument("config", type=Path, help="a configuration of elt_ref, in TOML")
    parser.add_argument("examples", type=Path, help="safetensors: tokens or latents, and labels")
    parser.add_argument("--out", type=Path, required=True, help="run folder of elt_ref, for its checkpoint.safetensors")
    parser.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint")
    asked = parser.parse_args()
    checkpoint = asked.out / "checkpoint.safetensors"
    if checkpoint.exists() != asked.resume:
        parser.error(f"{checkpoint}: expected {'one to go on from' if asked.resume else 'none, or --resume'}")
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if "RANK" in os.environ:  # torchrun's
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    asked.out.mkdir(parents=True, exist_ok=True)
    if os.environ.get("RANK", "0") == "0" and not (asked.out / "config.toml").exists():
        (asked.out / "config.toml").write_bytes(asked.config.read_bytes())
    config = read_config(asked.config)
    train(config, *read_examples(asked.examples, config), checkpoint, resume=asked.resume)
    if dist.is_initialized():
        leave()


if __name__ == "__main__":
    main()
