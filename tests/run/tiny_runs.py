"""Configurations that train in no time, and a run of one."""

TINY = """
name = "tiny"
[data]
name = "digits"
[tokenizer]
patch_size = 2
iterations = 3
[model]
layers = 1
max_loops = 2
width = 8
heads = 2
mlp_width = 8
grid = [4, 4]
codebook_size = 12
classes = 10
initial_deviation = 0.5
[sampling]
steps = 3
[training]
steps = 4
batch_size = 4
warmup_steps = 1
checkpoint_every = 2
log_every = 2
"""

TINY_DIFFUSION = """
name = "tiny-diffusion"
[data]
name = "digits"
[model]
family = "diffusion"
layers = 1
max_loops = 2
width = 8
heads = 2
mlp_width = 8
shape = [8, 8, 1]
patch_size = 4
time_features = 8
classes = 10
[diffusion]
shift = "none"
bias = "sid2_default_b0"
[sampling]
steps = 3
[training]
steps = 4
batch_size = 4
warmup_steps = 1
learning_rate = 0.1
checkpoint_every = 2
log_every = 2
"""

TINY_DRIFTING = """
name = "tiny-drifting"
[data]
name = "digits"
[model]
family = "drifting"
layers = 1
max_loops = 2
width = 8
heads = 2
mlp_width = 8
shape = [8, 8, 1]
patch_size = 4
classes = 10
[drifting]
classes_per_step = 2
positives = 4
[objective]
label_drop_rate = 0.0
[sampling]
steps = 1
[training]
steps = 4
batch_size = 6
warmup_steps = 1
learning_rate = 0.01
checkpoint_every = 2
log_every = 2
"""

TINY_VIDEO = (
    TINY.replace('"tiny"', '"tiny-video"')
    .replace('"digits"', '"moving_digits"')
    .replace("patch_size = 2", "patch_size = 4\npatch_frames = 2")
    .replace("grid = [4, 4]", "grid = [2, 3, 3]")
)


def train_tiny(folder, text):
    from elt_ref.config import parse_config
    from elt_ref.run.train import train_run
    from elt_ref.terminal import Terminal

    train_run(parse_config(text, where="tiny.toml"), folder, console=Terminal(stderr=True, quiet=True))
    return folder
