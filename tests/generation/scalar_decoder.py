"""Parallel decoding once more, one row and one token at a time: lists and `math`, written from the description.

samp   ~ Categorical(softmax(logits / STemp)) at the unknown tokens     final[k] = samp, before re-masking
mlen   = max(1, min(#unknown − 1, ⌊n0 γ((k + 1)/K)⌋))                    0 where nothing is unknown
conf   = log softmax(logits)[samp] + τ (1 − (k + 1)/K) Gumbel            ∞ where known
the mlen tokens of the lowest confidence are masked again; of equal ones those that stand first
"""

import math


def decode_row(logits, tokens, token_noise, confidence_noise, *, step, steps, start, mask_token, sampling):
    """Return (tokens of the next step, answer) of one row; arguments are lists."""
    unknown = [position for position, token in enumerate(tokens) if token == mask_token]
    remaining = 1 - (step + 1) / steps
    temperature = {"plain": 1.0, "elt": 0.5 + 0.8 * remaining}[sampling.sampling_temperature]
    answer, confidence = list(tokens), {}
    for position in unknown:
        row = logits[position]
        tempered = [logit / temperature + noise for logit, noise in zip(row, token_noise[position], strict=True)]
        answer[position] = tempered.index(max(tempered))
        log_probability = row[answer[position]] - math.log(math.fsum(math.exp(logit) for logit in row))
        confidence[position] = log_probability + sampling.choice_temperature * remaining * confidence_noise[position]
    if not unknown:
        return answer, answer
    wanted = math.floor(start * max(1e-6, math.cos(math.pi / 2 * ((step + 1) / steps))))
    length = max(1, min(len(unknown) - 1, wanted))
    masked = sorted(unknown, key=lambda position: (confidence[position], position))[:length]
    return [mask_token if position in masked else token for position, token in enumerate(answer)], answer
