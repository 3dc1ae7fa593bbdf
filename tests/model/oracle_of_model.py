"""The masked network once more, one number at a time: lists, loops and `math`, written from MaskGIT's description.

Post-LN BERT: a = LN(Attn(x) + x), y = LN(MLP(a) + a); ε inside the root of the biased variance; GELU in its tanh form;
scale 1/√d_head; [class | tokens] embedded as LN(word + position); head Dense → GELU → LN → tied words + bias.
"""

import math


def dense(vector, linear):
    weight, bias = linear["weight"].tolist(), linear["bias"].tolist()
    return [
        math.fsum(x * row[output] for x, row in zip(vector, weight, strict=True)) + bias[output]
        for output in range(len(bias))
    ]


def norm(vector, parameters, epsilon):
    mean = math.fsum(vector) / len(vector)
    variance = math.fsum((x - mean) ** 2 for x in vector) / len(vector)
    return [
        scale * (x - mean) / math.sqrt(variance + epsilon) + bias
        for x, scale, bias in zip(vector, parameters["scale"].tolist(), parameters["bias"].tolist(), strict=True)
    ]


def add(one, other):
    return [x + y for x, y in zip(one, other, strict=True)]


def gelu(x):
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def attend(sequence, parameters, heads):
    width = len(sequence[0])
    head_width = width // heads
    joint = [dense(vector, parameters["query_key_value"]) for vector in sequence]
    queries, keys, values = ([row[part * width : (part + 1) * width] for row in joint] for part in range(3))
    outputs = []
    for query in queries:
        output = []
        for head in range(heads):
            own = slice(head * head_width, (head + 1) * head_width)
            scores = [
                math.fsum(q * k for q, k in zip(query[own], key[own], strict=True)) / math.sqrt(head_width)
                for key in keys
            ]
            powers = [math.exp(score - max(scores)) for score in scores]
            output += [
                math.fsum(power * value[column] for power, value in zip(powers, values, strict=True))
                / math.fsum(powers)
                for column in range(own.start, own.stop)
            ]
        outputs.append(dense(output, parameters["output"]))
    return outputs


def layer(parameters, sequence, heads, epsilon):
    attended = attend(sequence, parameters["attention"], heads)
    joined = [norm(add(x, a), parameters["attention_norm"], epsilon) for x, a in zip(sequence, attended, strict=True)]
    result = []
    for x in joined:
        hidden = [gelu(value) for value in dense(x, parameters["mlp"]["up"])]
        result.append(norm(add(x, dense(hidden, parameters["mlp"]["down"])), parameters["mlp_norm"], epsilon))
    return result


def embed(parameters, model, tokens, label):
    words, positions = parameters["embedding"]["word"].tolist(), parameters["embedding"]["position"].tolist()
    ids = [model.codebook_size + label, *tokens]
    return [
        norm(add(words[token], positions[place]), parameters["embedding"]["norm"], model.layer_norm_epsilon)
        for place, token in enumerate(ids)
    ]


def head(parameters, model, sequence):
    words, bias = parameters["embedding"]["word"].tolist(), parameters["head"]["bias"].tolist()
    logits = []
    for vector in sequence[1:]:
        hidden = [gelu(value) for value in dense(vector, parameters["head"]["dense"])]
        hidden = norm(hidden, parameters["head"]["norm"], model.layer_norm_epsilon)
        logits.append(
            [
                math.fsum(x * y for x, y in zip(hidden, words[code], strict=True)) + bias[code]
                for code in range(model.codebook_size)
            ]
        )
    return logits


def forward(parameters, model, tokens, labels, loops):
    """Return nested lists [batch][tokens][codes]."""
    pictures = []
    for picture, label in zip(tokens.tolist(), labels.tolist(), strict=True):
        sequence = embed(parameters, model, picture, label)
        for _ in range(loops):
            for theta in parameters["block"]:
                sequence = layer(theta, sequence, model.heads, model.layer_norm_epsilon)
        pictures.append(head(parameters, model, sequence))
    return pictures
