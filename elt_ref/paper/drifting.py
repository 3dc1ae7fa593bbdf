"""Elastic Looped Transformers in one step, drifting family: from noise to a digit in one evaluation of any loops.

The network is the diffusion page's with half of its layers and without time: c embeds the label alone. L is the only
lever, for nothing else is repeated. Shapes: a batch has C classes, of each Q pictures generated from noise, [C, Q, D]
with D values a picture, and P real ones, [C, P, D]. B = C·Q.
"""

import math

import autograd.numpy as np
from autograd import value_and_grad
from autograd.misc import flatten

from elt_ref.paper import diffusion as network  # its layer, loop and head, in the sizes that stand there

LAYERS = 2  # N, the only size of its own
TEMPERATURES, CLASSES_PER_STEP, POSITIVES = (0.02, 0.05, 0.2), 5, 138  # τ, C, P: as many as the smallest class has
TRAINING_STEPS, BATCH_SIZE, LEARNING_RATE, WARMUP_STEPS = 1900, 100, 2.5e-3, 100
BETA1, BETA2, ADAM_EPSILON, GRADIENT_CLIP, AVERAGE_DECAY = 0.9, 0.95, 1e-8, 1.0, 0.99

stop_gradient = network.stop_gradient


# ---- The network: noise and class in, a picture out ----------------------------------------------------------------
def embed(noise, labels, patch, label):  # -> x [B, T, d], c [B, d]
    return network.embed_patches(noise, patch), label[labels]


def forward(parameters, noise, labels, loops):  # -> pictures, after any number of loops
    x, c = embed(noise, labels, **parameters["embedding"])
    *_, x = network.loop_states(x, c, parameters["block"], loops)
    return network.head(parameters, x, c)


# ---- The field: towards the real pictures, away from the generated ones; zero where the two are alike ---------------
def softmax(x, axis):
    x = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return x / np.sum(x, axis=axis, keepdims=True)


def drift(queries, positives):  # [C, Q, D], [C, P, D] -> V [C, Q, D] in units of S, S [C, 1, 1]; float64
    queries, positives = np.float64(queries), np.float64(positives)
    others = np.concatenate([queries, positives], axis=1)  # [C, Q + P, D]: the queries are the negatives, too
    distance = np.sqrt(np.sum((queries[:, :, None] - others[:, None]) ** 2, axis=-1))  # [C, Q, Q + P]
    own = np.eye(*distance.shape[1:], dtype=bool)  # a picture is not its own negative
    mean = np.mean(distance[:, ~own], axis=1)[:, None, None]
    S, field = mean / math.sqrt(queries.shape[-1]), 0  # D1: S, in which the mean distance is √D
    for temperature in TEMPERATURES:
        logits = np.where(own, -np.inf, -distance / mean / temperature)
        weights = np.sqrt(softmax(logits, 2) * softmax(logits, 1))  # D2: W, over all others and over the queries
        negative, positive = np.split(weights, [queries.shape[1]], axis=2)
        pull = np.sum(negative, axis=2, keepdims=True) * (positive @ positives)
        push = np.sum(positive, axis=2, keepdims=True) * (negative @ queries)
        V = (pull - push) / S  # D3: anti-symmetric, so that exchanging real and generated pictures turns it round
        size = np.sqrt(np.mean(V * V, axis=(1, 2), keepdims=True))
        field = field + V / np.maximum(size, 1e-300)  # D4: of one size at every τ, but 0 where V = 0
    return field, S


# ---- The loss: one pass of L_max loops, two predictions, three terms -----------------------------------------------
def squared_error(target, pictures, unit):  # ‖pictures − target‖² in units of S, a mean over all values
    return np.sum(((pictures - stop_gradient(target)) / unit) ** 2) / pictures.size


def ilsd_loss(parameters, positives, labels, noise, student_loops, truth_weight):
    """E5: truth for the teacher + λ truth for the student + (1 − λ) distillation of teacher into student."""
    x, c = embed(noise, np.repeat(labels, len(noise) // len(labels)), **parameters["embedding"])
    states = list(network.loop_states(x, c, parameters["block"], network.MAX_LOOPS))
    shape, real = (len(labels), -1, math.prod(network.SHAPE)), np.reshape(positives, (*positives.shape[:2], -1))
    teacher = np.reshape(network.head(parameters, states[-1], c), shape)  # [C, Q, D]
    student = np.reshape(network.head(parameters, states[student_loops - 1], c), shape)  # a prefix of the teacher
    (V, S), (student_V, student_S) = drift(stop_gradient(teacher), real), drift(stop_gradient(student), real)
    V, S, student_V, student_S = (array.astype(teacher.dtype) for array in (V, S, student_V, student_S))
    teacher_truth = squared_error(teacher + S * V, teacher, S)  # E5.1, D5: the target is the drifted picture
    student_truth = squared_error(student + student_S * student_V, student, student_S)  # E5.2: a field of its own
    distilled = squared_error(teacher, student, S)  # E5.3, D6: the teacher held fixed, in its units
    return teacher_truth + truth_weight * student_truth + (1 - truth_weight) * distilled


# ---- Training: draw, differentiate, update -------------------------------------------------------------------------
def draw(random):  # every random choice of a step but the batch
    student_loops = random.integers(1, network.MAX_LOOPS)  # E6: L_int from L_min = 1 to L_max − 1, one for the batch
    return np.float32(random.standard_normal((BATCH_SIZE, *network.SHAPE))), student_loops


def train_step(state, unflatten, positives, labels, noise, student_loops, step, steps):  # A1: one step
    truth_weight = 1 - step / max(1, steps - 1)  # λ: from 1 to 0
    theta, first, second, average = state  # each one vector of all parameters
    loss, g = value_and_grad(ilsd_loss)(unflatten(theta), positives, labels, noise, student_loops, truth_weight)
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
        labels = random.permutation(network.CLASSES)[:CLASSES_PER_STEP]
        positives = np.stack([random.permutation(examples[classes == label])[:POSITIVES] for label in labels])
        state, loss = train_step(state, unflatten, positives, labels, *draw(random), step, steps)
        print(f"\rstep {step + 1} of {steps}, loss {loss:.3f}", end="", flush=True)
    return unflatten(state[-1])


# ---- Generating: one evaluation, of any number of loops ------------------------------------------------------------
def sample(parameters, labels, loops, seed=0):
    """A2: Algorithm 2 with one step, from labels to pictures. The noise depends on the seed alone."""
    noise = np.random.default_rng(seed).standard_normal((len(labels), *network.SHAPE))
    return forward(parameters, noise, labels, loops)


# ---- Parameters: the keys are the arguments of the functions above -------------------------------------------------
def initial_parameters(random):
    parameters = network.initial_parameters(random)
    patch, weight = parameters["embedding"]["patch"], parameters["head"]["output"]["weight"]
    weight[:] = random.uniform(-1, 1, weight.shape) * math.sqrt(6 / sum(weight.shape))  # zeros would all be alike
    label = np.float32(random.standard_normal((network.CLASSES, network.WIDTH)))  # all of c, so not small
    return parameters | {"embedding": {"patch": patch, "label": label}, "block": parameters["block"][:LAYERS]}


# ---- Digits: draw the same noise at several loop counts ------------------------------------------------------------
if __name__ == "__main__":
    import tiny_datasets
    from elt_ref.paper.command import draw_rows, parse

    arguments = parse("drifting", "Train on digits and draw some at several loop counts.", TRAINING_STEPS)
    globals().update(arguments.mistaken)  # nothing, or this page's names with a mistake in them
    np.seterr(over="ignore")  # the slope of tanh is 1 / cosh², which overflows harmlessly to 1 / ∞
    digits = tiny_datasets.load("digits")
    parameters = train(np.float32(digits.train.examples / digits.white * 2 - 1), digits.train.labels, arguments.steps)
    draw_rows(arguments.out / "drifting.png", lambda loops: (sample(parameters, np.arange(10), loops)[..., 0] + 1) / 2)
