"""Elastic Looped Transformers on one page, masked family: a generator of digits that may stop after any loop.

One block of N layers is applied L times. Shapes: B pictures, T tokens (n = T + 1 with the class token), width d,
h heads, V codes. A label is a class, or CLASSES for "no class". Training uses 1 … L_max loops; more extrapolate.
"""

import math

import autograd.numpy as np
from autograd import value_and_grad
from autograd.extend import notrace_primitive
from autograd.misc import flatten

LAYERS, MAX_LOOPS, WIDTH, HEADS, MLP_WIDTH = 2, 4, 64, 4, 256  # N, L_max, d, h
TOKENS, CODES, CLASSES, MASK = 16, 128, 10, -1  # T, V; the embedding's rows are codes, classes, "no class", mask
NORM_EPSILON, INITIAL_DEVIATION, LABEL_DROP_RATE, SAMPLING_STEPS, CHOICE_TEMPERATURE = 1e-12, 0.08, 0.1, 8, 4.5
TRAINING_STEPS, BATCH_SIZE, LEARNING_RATE, WARMUP_STEPS = 3000, 64, 4e-3, 100  # digits-masked has 4000 steps
BETA1, BETA2, ADAM_EPSILON, WEIGHT_DECAY, GRADIENT_CLIP, AVERAGE_DECAY = 0.9, 0.999, 1e-8, 0.1, 1.0, 0.998

stop_gradient = notrace_primitive(lambda x: x)  # sg(x): the value passes, the gradient does not


# ---- The network: embed, the same block L times, head --------------------------------------------------------------
def linear(x, weight, bias):
    return np.tensordot(x, weight, 1) + bias  # the same as x @ weight, which autograd differentiates slowly


def layer_norm(x, scale, bias):  # sums over d, for np.mean would turn float32 gradients into float64
    x = x - np.sum(x, axis=-1, keepdims=True) / x.shape[-1]
    return scale * x / np.sqrt(np.sum(x * x, axis=-1, keepdims=True) / x.shape[-1] + NORM_EPSILON) + bias


def gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def log_softmax(x):
    x = x - np.max(stop_gradient(x), axis=-1, keepdims=True)  # the shift cancels; the maximum avoids overflow
    return x - np.log(np.sum(np.exp(x), axis=-1, keepdims=True))


def attention(x, query_key_value, output):  # [B, n, d] -> [B, n, d]
    B, n, d = *x.shape[:2], len(output["weight"])
    split = np.reshape(linear(x, **query_key_value), (B, n, 3 * HEADS, d // HEADS))  # [B, n, 3h, d/h]
    query, key, value = np.split(np.swapaxes(split, 1, 2), 3, axis=1)  # 3 × [B, h, n, d/h]
    scores = query @ np.swapaxes(key, 2, 3) / math.sqrt(d // HEADS)  # [B, h, n, n]
    heads = np.exp(log_softmax(scores)) @ value  # [B, h, n, d/h]
    return linear(np.reshape(np.swapaxes(heads, 1, 2), (B, n, d)), **output)


def mlp(x, up, down):
    return linear(gelu(linear(x, **up)), **down)


def layer(x, theta):  # f_θ; a norm follows each sum
    x = layer_norm(x + attention(x, **theta["attention"]), **theta["attention_norm"])
    return layer_norm(x + mlp(x, **theta["mlp"]), **theta["mlp_norm"])


def loop_states(x, thetas, loops):  # yields the state after each loop
    for _ in range(loops):  # E4: F_(N,L), the same block again and again, and nothing else
        for theta in thetas:  # E3: g_Θ, N layers, each 4d² + 2d · MLP_WIDTH + 2nd multiply-adds a token
            x = layer(x, theta)
        yield x


def embed(tokens, labels, word, position, norm):  # [B, T], [B] -> [B, n, d]
    rows = np.concatenate([CODES + labels[:, None], tokens], axis=1)  # [B, n]
    return layer_norm(word[rows] + position, **norm)


def head(parameters, x):  # [B, n, d] -> [B, T, V]
    x = layer_norm(gelu(linear(x[:, 1:], **parameters["head"]["dense"])), **parameters["head"]["norm"])  # [B, T, d]
    return x @ parameters["embedding"]["word"][:CODES].T + parameters["head"]["bias"]


def forward(parameters, tokens, labels, loops):  # -> logits [B, T, V], after any number of loops
    *_, x = loop_states(embed(tokens, labels, **parameters["embedding"]), parameters["block"], loops)
    return head(parameters, x)


# ---- The loss: one pass of L_max loops, two predictions, three terms -----------------------------------------------
def cross_entropy(target, log_prediction, weights):
    """E7 if the target is the truth, E8 if it is the teacher: − Σ_v target(v) log P(v), a mean over masked tokens."""
    return -np.sum(weights * np.sum(target * log_prediction, axis=-1))


def ilsd_loss(parameters, tokens, labels, mask, student_loops, truth_weight):
    """E5: truth for the teacher + λ truth for the student + (1 − λ) distillation of teacher into student."""
    x = embed(np.where(mask, MASK, tokens), labels, **parameters["embedding"])
    states = list(loop_states(x, parameters["block"], MAX_LOOPS))
    teacher = log_softmax(head(parameters, states[-1]))  # [B, T, V], log-probabilities
    student = log_softmax(head(parameters, states[student_loops - 1]))  # a prefix of the teacher: no layer runs twice
    count = np.maximum(1, mask.sum(axis=1, keepdims=True))  # [B, 1]
    weights = (mask / count / len(mask)).astype(teacher.dtype)  # [B, T]: a mean over masked tokens, then over pictures
    one_hot = tokens[..., None] == np.arange(CODES)  # [B, T, V]
    teacher_truth = cross_entropy(one_hot, teacher, weights)  # E5.1
    student_truth = cross_entropy(one_hot, student, weights)  # E5.2
    distilled = cross_entropy(np.exp(stop_gradient(teacher)), student, weights)  # E5.3, the teacher held fixed
    return teacher_truth + truth_weight * student_truth + (1 - truth_weight) * distilled


# ---- Training: draw, corrupt, differentiate, update ----------------------------------------------------------------
def masked_count(ratio):  # ⌊T γ⌋, with the cosine schedule γ
    return np.floor(TOKENS * np.clip(np.cos(math.pi / 2 * ratio), 1e-6, 1))


def lowest(scores, count):  # marks each row's `count` lowest; ties go to the earlier token
    return np.argsort(np.argsort(scores, axis=1, kind="stable"), axis=1) < count[:, None]


def draw(random):  # every random choice of a step but the batch
    student_loops = random.integers(1, MAX_LOOPS)  # E6: L_int from L_min = 1 to L_max − 1, one for the batch
    return random.random(BATCH_SIZE), random.random((BATCH_SIZE, TOKENS)), random.random(BATCH_SIZE), student_loops


def train_step(state, unflatten, tokens, labels, mask_ratio, mask_order, label_drop, student_loops, step, steps):
    """A1, one step: corrupt the batch, differentiate the loss, clip, update by AdamW, average."""
    mask = lowest(mask_order, np.maximum(1, masked_count(mask_ratio)))  # [B, T]
    labels = np.where(label_drop < LABEL_DROP_RATE, CLASSES, labels)  # some learn without a class, for guidance
    truth_weight = 1 - step / max(1, steps - 1)  # λ: from 1 to 0
    theta, first, second, average = state  # each one vector of all parameters
    loss, gradient = value_and_grad(ilsd_loss)(unflatten(theta), tokens, labels, mask, student_loops, truth_weight)
    (g, _), (decayed, _) = flatten(gradient), flatten(decay_mask(gradient))
    g = g * min(1, GRADIENT_CLIP / math.sqrt(g @ g))
    first = BETA1 * first + (1 - BETA1) * g
    second = BETA2 * second + (1 - BETA2) * g * g
    direction = first / (1 - BETA1 ** (step + 1)) / (np.sqrt(second / (1 - BETA2 ** (step + 1))) + ADAM_EPSILON)
    rate = LEARNING_RATE * min(1, (step + 1) / WARMUP_STEPS)
    theta = theta - rate * (direction + WEIGHT_DECAY * decayed * theta)
    average = AVERAGE_DECAY * average + (1 - AVERAGE_DECAY) * theta
    return (theta, first, second, average), loss


def decay_mask(tree, key=""):  # 1 at the weights of linear maps, which decay; 0 elsewhere
    if isinstance(tree, dict):
        return {name: decay_mask(child, name) for name, child in tree.items()}
    return [decay_mask(child) for child in tree] if isinstance(tree, list) else np.full_like(tree, key == "weight")


def train(examples, classes, steps, seed=0):
    """A1: Algorithm 1, from tokens and their classes to averaged parameters."""
    random = np.random.default_rng(seed)
    theta, unflatten = flatten(initial_parameters(random))
    state = theta, 0 * theta, 0 * theta, theta  # parameters, the gradient's two moments, average
    for step in range(steps):
        chosen = random.integers(len(examples), size=BATCH_SIZE)
        state, loss = train_step(state, unflatten, examples[chosen], classes[chosen], *draw(random), step, steps)
        print(f"\rstep {step + 1} of {steps}, loss {loss:.3f}", end="", flush=True)
    average = (state[-1] - AVERAGE_DECAY**steps * theta) / (1 - AVERAGE_DECAY**steps)  # without the start's share
    return unflatten(average)


# ---- Generating: K steps, each of any number of loops --------------------------------------------------------------
def decode_step(logits, tokens, token_noise, confidence_noise, step, steps):
    """E1: sample all unknown tokens, then mask the least confident again."""
    unknown = tokens == MASK  # [B, T]
    answer = np.where(unknown, np.argmax(logits + token_noise, axis=-1), tokens)  # Gumbel noise: a draw from softmax
    confidence = np.take_along_axis(log_softmax(logits), answer[..., None], axis=-1)[..., 0]
    confidence = confidence + CHOICE_TEMPERATURE * (1 - (step + 1) / steps) * confidence_noise
    count = np.maximum(1, np.minimum(unknown.sum(axis=1) - 1, masked_count((step + 1) / steps)))  # [B]
    return np.where(unknown & lowest(np.where(unknown, confidence, np.inf), count), MASK, answer), answer


def sample(parameters, labels, loops, guidance=1.0, steps=SAMPLING_STEPS, seed=0):
    """A2: Algorithm 2, from labels to tokens [B, T]. The noise depends on the seed alone, not on the loops."""
    random = np.random.default_rng(seed)
    tokens = answer = np.full((len(labels), TOKENS), MASK)
    for step in range(steps):
        logits = forward(parameters, tokens, labels, loops)
        if guidance != 1:  # u + s (c − u)
            unconditional = forward(parameters, tokens, np.full_like(labels, CLASSES), loops)
            logits = unconditional + guidance * (logits - unconditional)
        noise = random.gumbel(size=logits.shape), random.gumbel(size=tokens.shape)
        tokens, answer = decode_step(logits, tokens, *noise, step, steps)
    return answer  # complete: of the last step, before masking again


# ---- Parameters: the keys are the arguments of the functions above -------------------------------------------------
def initial_parameters(random):
    def weight(*shape):
        values = random.standard_normal(shape)
        while (beyond := np.abs(values) > 2).any():  # cut at ±2 by drawing again
            values[beyond] = random.standard_normal(beyond.sum())
        return np.float32(INITIAL_DEVIATION * values)

    def dense(inputs, outputs):
        return {"weight": weight(inputs, outputs), "bias": np.zeros(outputs, np.float32)}

    norm = {"scale": np.ones(WIDTH, np.float32), "bias": np.zeros(WIDTH, np.float32)}
    block = []
    for _ in range(LAYERS):
        attention = {"query_key_value": dense(WIDTH, 3 * WIDTH), "output": dense(WIDTH, WIDTH)}
        mlp = {"up": dense(WIDTH, MLP_WIDTH), "down": dense(MLP_WIDTH, WIDTH)}
        block.append({"attention": attention, "attention_norm": norm, "mlp": mlp, "mlp_norm": norm})
    embedding = {"word": weight(CODES + CLASSES + 2, WIDTH), "position": weight(TOKENS + 1, WIDTH), "norm": norm}
    head = {"dense": dense(WIDTH, WIDTH), "norm": norm, "bias": np.zeros(CODES, np.float32)}
    return {"embedding": embedding, "block": block, "head": head}


# ---- Digits: k-means turns 2×2 patches into tokens; draw the same noise at several loop counts ----------------------
if __name__ == "__main__":
    import tiny_datasets
    from elt_ref.paper.command import draw_rows, parse

    arguments = parse("masked", "Train on digits and draw some at several loop counts.", TRAINING_STEPS)
    globals().update(arguments.mistaken)  # nothing, or this page's names with a mistake in them
    np.seterr(over="ignore")  # the slope of tanh is 1 / cosh², which overflows harmlessly to 1 / ∞
    digits = tiny_datasets.load("digits")
    patches = (digits.train.examples / digits.white).reshape(-1, 4, 2, 4, 2).swapaxes(2, 3).reshape(-1, 4)  # [·, 2·2]
    codebook = np.random.default_rng(0).choice(np.unique(patches, axis=0), CODES, replace=False)
    for _ in range(20):
        nearest = np.argmin(np.sum(codebook**2, axis=1) - 2 * patches @ codebook.T, axis=1)
        codebook = np.stack([patches[nearest == code].mean(axis=0) for code in range(CODES)])
    parameters = train(nearest.reshape(-1, TOKENS), digits.train.labels, arguments.steps)

    def pictures(loops):
        drawn = codebook[sample(parameters, np.arange(10), loops)].reshape(10, 4, 4, 2, 2)
        return drawn.swapaxes(2, 3).reshape(10, 8, 8)

    draw_rows(arguments.out / "masked.png", pictures)
