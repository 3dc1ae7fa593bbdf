"""elt_ref: the golden reference of Elastic Looped Transformers.

>>> import elt_ref as elt
>>> config = elt.load_preset("digits-masked")
>>> parameters = elt.init_parameters(config, seed=0)

Names load on first use, so that ``import elt_ref`` is quick.
"""

TYPE_CHECKING = False  # `typing` itself takes longer to load than all else here
if TYPE_CHECKING:
    from elt_ref.config import Config as Config
    from elt_ref.config import load_config as load_config
    from elt_ref.config import load_preset as load_preset
    from elt_ref.errors import RequestError as RequestError
    from elt_ref.errors import TrainingError as TrainingError
    from elt_ref.generation import sample as sample
    from elt_ref.measure import count as count
    from elt_ref.model import forward as forward
    from elt_ref.model import init_parameters as init_parameters
    from elt_ref.model import loop_states as loop_states
    from elt_ref.objective import ilsd_loss as ilsd_loss
    from elt_ref.ops import stop_gradient as stop_gradient
    from elt_ref.schedules import EarlyExit as EarlyExit
    from elt_ref.training import train_step as train_step

__version__ = "0.1.0"

_HOMES = {
    "Config": "config",
    "load_config": "config",
    "load_preset": "config",
    "RequestError": "errors",
    "TrainingError": "errors",
    "EarlyExit": "schedules",
    "sample": "generation",
    "count": "measure",
    "forward": "model",
    "init_parameters": "model",
    "loop_states": "model",
    "ilsd_loss": "objective",
    "stop_gradient": "ops",
    "train_step": "training",
}

__all__ = [
    "Config",
    "EarlyExit",
    "RequestError",
    "TrainingError",
    "__version__",
    "count",
    "forward",
    "ilsd_loss",
    "init_parameters",
    "load_config",
    "load_preset",
    "loop_states",
    "sample",
    "stop_gradient",
    "train_step",
]


def __getattr__(name: str) -> object:
    from importlib import import_module  # noqa: PLC0415

    if name not in _HOMES:
        raise AttributeError(f"module 'elt_ref' has no attribute '{name}'")
    value = getattr(import_module(f"elt_ref.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
