"""Elastic Looped Transformers on one page, diffusion family: a denoiser of digits that may stop after any loop.

One block of N layers is applied L times. Shapes: B pictures of [height, width, channels], T patches, width d, h heads.
A label is a class, or CLASSES for "no class". Time t is 0 at the clean picture, 1 at noise. c embeds time and label.
"""

import math

import autograd.numpy as np
from autograd import value_and_grad
from autograd.extend import notrace_primitive
from autograd.misc import flatten

LAYERS, MAX_LOOPS, WIDTH, HEADS, MLP_WIDTH = 4, 3, 64, 4, 256  # N, L_max, d, h
SHAPE, PATCH_SIZE, CLASSES, TIME_FEATURES, TIME_SCALE, NORM_EPSILON = (8, 8, 1), 2, 10, 256, 1000.0, 1e-6
LOG_SNR_MIN, LOG_SNR_MAX, LOG_SNR_SHIFT, WEIGHT_BIAS, LABEL_DROP_RATE, SAMPLING_STEPS = -8.0, 8.0, 0.0, 0.0, 0.1, 16
TRAINING_STEPS, BATCH_SIZE, LEARNING_RATE, WARMUP_STEPS = 1800, 64, 4e-3, 100  # digits-diffusion has 2800 steps
BETA1, BETA2, ADAM_EPSILON, GRADIENT_CLIP, AVERAGE_DECAY = 0.9, 0.999, 1e-8, 1.0, 0.99

stop_gradient = notrace_primitive(lambda x: x)  # sg(x): the value passes, the gradient does not


# ---- The network: embed, the same block L times, head --------------------------------------------------------------
def linear(x, weight, bias):
    return np.tensordot(x, weight, 1) + bias  # the same as x @ weight, which autograd differentiates slowly


def layer_norm(x, shift, scale):  # sums over d, for np.mean would turn float32 gradients into float64
    x = x - np.sum(x, axis=-1, keepdims=True) / x.shape[-1]
    return x / np.sqrt(np.sum(x * x, axis=-1, keepdims=True) / x.shape[-1] + NORM_EPSILON) * (1 + scale) + shift


def gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def attention(x, query_key_value, output):  # [B, T, d] -> [B, T, d]
    B, n, d = *x.shape[:2], len(output["weight"])
    split = np.reshape(linear(x, **query_key_value), (B, n, 3 * HEADS, d // HEADS))  # [B, T, 3h, d/h]
    query, key, value = np.split(np.swapaxes(split, 1, 2), 3, axis=1)  # 3 × [B, h, T, d/h]
    scores = query @ np.swapaxes(key, 2, 3) / math.sqrt(d // HEADS)  # [B, h, T, T]
    weights = np.exp(scores - np.max(stop_gradient(scores), axis=-1, keepdims=True))  # shifted against overflow
    heads = weights / np.sum(weights, axis=-1, keepdims=True) @ value  # [B, h, T, d/h]
    return linear(np.reshape(np.swapaxes(heads, 1, 2), (B, n, d)), **output)


def mlp(x, up, down):
    return linear(gelu(linear(x, **up)), **down)


def modulation(c, chunks, theta):  # [B, d] -> chunks × [B, 1, d]
    return np.split(linear(c * sigmoid(c), **theta)[:, None], chunks, axis=2)


def layer(x, c, theta):  # f_θ: attention and MLP each read a modulated norm; a gate scales what they add
    shift1, scale1, gate1, shift2, scale2, gate2 = modulation(c, 6, theta["modulation"])
    x = x + gate1 * attention(layer_norm(x, shift1, scale1), **theta["attention"])
    return x + gate2 * mlp(layer_norm(x, shift2, scale2), **theta["mlp"])


def loop_states(x, c, thetas, loops):  # yields the state after each loop
    for _ in range(loops):  # E4: F_(N,L), the same block again and again, and nothing else
        for theta in thetas:  # E3: g_Θ, N layers, each 4d² + 2d · MLP_WIDTH + 2Td multiply-adds a token
            x = layer(x, c, theta)
        yield x


def waves(x, features):  # [k] -> sines and cosines, 2 × [k, features / 2]
    angle = x[:, None] * 10000 ** (-np.arange(features // 2, dtype=x.dtype) / (features // 2))
    return np.sin(angle), np.cos(angle)


def embed_patches(noisy, patch):  # -> [B, T, d]
    rows, columns, p = SHAPE[0] // PATCH_SIZE, SHAPE[1] // PATCH_SIZE, PATCH_SIZE
    patches = noisy.reshape(-1, rows, p, columns, p, SHAPE[2]).transpose(0, 1, 3, 5, 2, 4)  # channel, row, column
    row, column = np.divmod(np.arange(rows * columns, dtype=noisy.dtype), columns)
    position = np.concatenate([*waves(column, WIDTH // 2), *waves(row, WIDTH // 2)], axis=1)  # [T, d]
    return linear(patches.reshape(len(noisy), rows * columns, -1), **patch) + position


def embed(noisy, time, labels, patch, time_in, time_out, label):  # -> x [B, T, d], c [B, d]
    hidden = linear(np.concatenate(waves(TIME_SCALE * time, TIME_FEATURES)[::-1], axis=1), **time_in)  # cosines first
    c = linear(hidden * sigmoid(hidden), **time_out) + label[labels]
    return embed_patches(noisy, patch), c


def head(parameters, x, c):  # [B, T, d], [B, d] -> [B, height, width, channels]
    shift, scale = modulation(c, 2, parameters["head"]["modulation"])
    x = linear(layer_norm(x, shift, scale), **parameters["head"]["output"])  # [B, T, p·p·channels]
    x = np.reshape(x, (-1, SHAPE[0] // PATCH_SIZE, SHAPE[1] // PATCH_SIZE, PATCH_SIZE, PATCH_SIZE, SHAPE[2]))
    return np.reshape(np.swapaxes(x, 2, 3), (-1, *SHAPE))


def forward(parameters, noisy, time, labels, loops):  # -> the predicted clean pictures, after any number of loops
    x, c = embed(noisy, time, labels, **parameters["embedding"])
    *_, x = loop_states(x, c, parameters["block"], loops)
    return head(parameters, x, c)


# ---- The loss: one pass of L_max loops, two predictions, three terms -----------------------------------------------
def noise_schedule(time):  # λ = log α²/σ² falls along a cosine; α² = sigmoid(λ), σ² = 1 − α²; -> λ, α, σ, −dλ/dt
    start, end = math.atan(math.exp(-LOG_SNR_MAX / 2)), math.atan(math.exp(-LOG_SNR_MIN / 2))
    angle = start + time * (end - start)
    log_snr = LOG_SNR_SHIFT - 2 * np.log(np.tan(angle))
    return log_snr, np.sqrt(sigmoid(log_snr)), np.sqrt(sigmoid(-log_snr)), 4 * (end - start) / np.sin(2 * angle)


def squared_error(target, prediction, time):
    """E9 if the target is the truth, E10 if it is the teacher: w(t) ‖prediction − target‖², a mean over all values."""
    log_snr, _, _, slope = noise_schedule(time[:, None, None, None])
    weight = slope * math.exp(WEIGHT_BIAS) * sigmoid(log_snr - WEIGHT_BIAS)  # w(t) = (−dλ/dt) e^b sigmoid(λ − b)
    return np.sum(weight * (prediction - target) ** 2) / target.size


def ilsd_loss(parameters, clean, noise, time, labels, student_loops, truth_weight):
    """E5: truth for the teacher + λ truth for the student + (1 − λ) distillation of teacher into student."""
    _, alpha, sigma, _ = noise_schedule(time[:, None, None, None])
    x, c = embed(alpha * clean + sigma * noise, time, labels, **parameters["embedding"])
    states = list(loop_states(x, c, parameters["block"], MAX_LOOPS))
    teacher = head(parameters, states[-1], c)  # [B, height, width, channels]
    student = head(parameters, states[student_loops - 1], c)  # a prefix of the teacher: no layer runs twice
    teacher_truth = squared_error(clean, teacher, time)  # E5.1
    student_truth = squared_error(clean, student, time)  # E5.2
    distilled = squared_error(stop_gradient(teacher), student, time)  # E5.3, the teacher held fixed
    return teacher_truth + truth_weight * student_truth + (1 - truth_weight) * distilled


# ---- Training: draw, corrupt, differentiate, update ----------------------------------------------------------------
def draw(random):  # every random choice of a step but the batch
    time, noise = np.float32(random.random(BATCH_SIZE)), np.float32(random.standard_normal((BATCH_SIZE, *SHAPE)))
    student_loops = random.integers(1, MAX_LOOPS)  # E6: L_int from L_min = 1 to L_max − 1, one for the batch
    return time, noise, random.random(BATCH_SIZE), student_loops


def train_step(state, unflatten, clean, labels, time, noise, label_drop, student_loops, step, steps):  # A1: one step
    labels = np.where(label_drop < LABEL_DROP_RATE, CLASSES, labels)  # some learn without a class, for guidance
    truth_weight = 1 - step / max(1, steps - 1)  # λ: from 1 to 0
    theta, first, second, average = state  # each one vector of all parameters
    loss, g = value_and_grad(ilsd_loss)(unflatten(theta), clean, noise, time, labels, student_loops, truth_weight)
    g, _ = flatten(g)
    g = g * min(1, GRADIENT_CLIP / math.sqrt(g @ g))
    first = BETA1 * first + (1 - BETA1) * g
    second = BETA2 * second + (1 - BETA2) * g * g
    direction = first / (1 - BETA1 ** (step + 1)) / (np.sqrt(second / (1 - BETA2 ** (step + 1))) + ADAM_EPSILON)
    progress = max(0, step - WARMUP_STEPS) / max(1, steps - WARMUP_STEPS)  # from 0, after the warm-up, towards 1
    rate = LEARNING_RATE * min(1, (step + 1) / WARMUP_STEPS) * (1 + math.cos(math.pi * progress)) / 2
    theta = theta - rate * direction
    average = AVERAGE_DECAY * average + (1 - AVERAGE_DECAY) * theta
    return (theta, first, second, average), loss


def train(examples, classes, steps, seed=0):
    """A1: Algorithm 1, from pictures and their classes to averaged parameters."""
    random = np.random.default_rng(seed)
    theta, unflatten = flatten(initial_parameters(random))
    state = theta, 0 * theta, 0 * theta, theta  # parameters, the gradient's two moments, average
    for step in range(steps):
        chosen = random.integers(len(examples), size=BATCH_SIZE)
        state, loss = train_step(state, unflatten, examples[chosen], classes[chosen], *draw(random), step, steps)
        print(f"\rstep {step + 1} of {steps}, loss {loss:.3f}", end="", flush=True)
    return unflatten(state[-1])


# ---- Generating: denoising steps, each of any number of loops ------------------------------------------------------
def denoise_step(noisy, clean, noise, time, time_next):
    """E2: from z_t to z_s at an earlier time s, by the mean and variance of the posterior."""
    (log_snr, alpha, _, _), (log_snr_next, alpha_next, sigma_next, _) = map(noise_schedule, (time, time_next))
    share = -np.expm1(log_snr - log_snr_next)  # 1 − e^(λ_t − λ_s): how far the mean moves to the clean prediction
    return alpha_next * ((1 - share) / alpha * noisy + share * clean) + sigma_next * np.sqrt(share) * noise


def sample(parameters, labels, loops, guidance=1.0, steps=SAMPLING_STEPS, seed=0):
    """A2: Algorithm 2, from labels to pictures. The noise depends on the seed alone, not on the loops."""
    random = np.random.default_rng(seed)
    noisy = clean = random.standard_normal((len(labels), *SHAPE))
    times = np.linspace(1, 0, steps + 1)
    for step in range(steps):
        time = np.full(len(labels), times[step])
        clean = forward(parameters, noisy, time, labels, loops)
        if guidance != 1:  # u + s (c − u)
            unconditional = forward(parameters, noisy, time, np.full_like(labels, CLASSES), loops)
            clean = unconditional + guidance * (clean - unconditional)
        noisy = denoise_step(noisy, clean, random.standard_normal(noisy.shape), times[step], times[step + 1])
    return clean  # of the last step, before noise is added again


# ---- Parameters: the keys are the arguments of the functions above -------------------------------------------------
def initial_parameters(random):
    def xavier(*shape):
        return random.uniform(-1, 1, shape) * math.sqrt(6 / sum(shape))

    def dense(weight):
        return {"weight": np.float32(weight), "bias": np.zeros(weight.shape[1], np.float32)}

    normal, size = random.standard_normal, PATCH_SIZE**2 * SHAPE[2]
    time = {"time_in": dense(0.02 * normal((TIME_FEATURES, WIDTH))), "time_out": dense(0.02 * normal((WIDTH, WIDTH)))}
    embedding = {"patch": dense(xavier(size, WIDTH)), "label": np.float32(0.02 * normal((CLASSES + 1, WIDTH)))} | time
    block = []
    for _ in range(LAYERS):
        attention = {"query_key_value": dense(xavier(WIDTH, 3 * WIDTH)), "output": dense(xavier(WIDTH, WIDTH))}
        mlp = {"up": dense(xavier(WIDTH, MLP_WIDTH)), "down": dense(xavier(MLP_WIDTH, WIDTH))}
        block.append({"attention": attention, "mlp": mlp, "modulation": dense(np.zeros((WIDTH, 6 * WIDTH)))})
    head = {"modulation": dense(np.zeros((WIDTH, 2 * WIDTH))), "output": dense(np.zeros((WIDTH, size)))}
    return {"embedding": embedding, "block": block, "head": head}


# ---- Digits: draw the same noise at several loop counts ------------------------------------------------------------
if __name__ == "__main__":
    import tiny_datasets
    from elt_ref.paper.command import draw_rows, parse

    arguments = parse("diffusion", "Train on digits and draw some at several loop counts.", TRAINING_STEPS)
    globals().update(arguments.mistaken)  # nothing, or this page's names with a mistake in them
    np.seterr(over="ignore")  # the slope of tanh is 1 / cosh², which overflows harmlessly to 1 / ∞
    digits = tiny_datasets.load("digits")
    parameters = train(np.float32(digits.train.examples / digits.white * 2 - 1), digits.train.labels, arguments.steps)
    draw_rows(arguments.out / "diffusion.png", lambda loops: (sample(parameters, np.arange(10), loops)[..., 0] + 1) / 2)
