#!/usr/bin/env python3
"""make_texts.py VOCABULARY FOLDER - texts, and the results of both protocols of Gen-PPL for them.

VOCABULARY is data-prep/vocabularies/gpt2. GPT-2's weights (V 50257, d 16, 2 heads, 2 blocks, 64 positions) follow the
formula in score_files.c. Writes FOLDER/texts.jsonl with texts-expected.json (protocol clean: a text at a time, truncated
to the model's length; a target counts unless it is an <|endoftext|> after the first one) and FOLDER/batches.jsonl with
batches-expected.json (protocol published, a line for each size of a batch: the texts of a batch are padded).
In double precision. Used with transformers 5.24.0 and torch 2.15.0; not run by the build or by make check. SPDX-License-Identifier: Apache-2.0
"""
import json
import math
import sys

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast


def values(tensor, shape):
    x = (np.arange(math.prod(shape), dtype=np.uint64) * 2654435761 + tensor * 40503 * 65537 + 12345) % 2**32
    x ^= x >> 15
    x = x * 2246822519 % 2**32
    x ^= x >> 13
    return torch.tensor((x.astype(np.float64) / 2**32 - 0.5).astype(np.float32).reshape(shape))


blocks, d, positions = 2, 16, 64
model = GPT2LMHeadModel(GPT2Config(n_positions=positions, vocab_size=50257, n_embd=d, n_head=2, n_layer=blocks)).eval()
names = ["wte.weight", "wpe.weight", "ln_f.weight", "ln_f.bias"]
for i in range(blocks):
    for part in ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"):
        names += [f"h.{i}.{part}.weight", f"h.{i}.{part}.bias"]
state = model.transformer.state_dict()
with torch.no_grad():
    for number, name in enumerate(names):
        v = values(number, tuple(state[name].shape))
        state[name].copy_(1 + v if "ln_" in name and name.endswith("weight") else 2 * v)
model = model.double()
tokenizer = GPT2TokenizerFast(sys.argv[1] + "/vocab.json", sys.argv[1] + "/merges.txt")
texts = [
    "The quick brown fox jumps over the lazy dog.",
    "<|endoftext|>Begins with the end, and<|endoftext|> ends again<|endoftext|>",
    "One end<|endoftext|><|endoftext|><|endoftext|>three times",
    "It's na\u00efve \u2014 caf\u00e9, \u4f60\u597d, \U0001f600\U0001f600 and\ttabs\n\nnewlines",
    "a" * 300 + " " + "word " * 90,
    "x",
    " ".join(str(i) for i in range(60)),
    "repeat repeat repeat repeat repeat repeat repeat repeat repeat repeat repeat repeat",
]


def write_texts(name, lines):
    with open(sys.argv[2] + "/" + name, "w") as f:
        f.writelines(json.dumps({"text": text}) + "\n" for text in lines)


def write_results(name, results):
    with open(sys.argv[2] + "/" + name, "w") as f:
        f.writelines(json.dumps(result) + "\n" for result in results)


def clean(lines):
    nll, counts = [], []
    for text in lines:
        ids = tokenizer(text, truncation=True, max_length=positions, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            logits = model(ids).logits
        each = torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:], reduction="none")
        ends = (ids[0] == 50256).cumsum(0)
        counted = ((ids[0] != 50256) | ((ends == 1) & (ids[0] == 50256)))[1:]
        nll.append(float((each * counted).double().sum()))
        counts.append(int(counted.sum()))
    return {"gen_ppl": math.exp(sum(nll) / sum(counts)), "positions": sum(counts), "nll": nll, "counts": counts}


def published(lines, batch):
    """The published evaluation, metrics.py: the first end token of a row counts, be it the text's or a padding token."""
    size, total, count = min(batch, len(lines)), 0.0, 0
    tokenizer.pad_token = tokenizer.eos_token
    for i in range(len(lines) // size):
        rows = tokenizer(lines[i * size : (i + 1) * size], truncation=True, padding=True, max_length=positions,
                         return_attention_mask=True, return_tensors="pt")
        ids = rows["input_ids"]
        with torch.no_grad():
            logits = model(ids, attention_mask=rows["attention_mask"]).logits.transpose(-1, -2)
        each = torch.nn.functional.cross_entropy(logits[..., :-1], ids[..., 1:], reduction="none")
        first = (ids == tokenizer.eos_token_id).cumsum(-1) == 1
        valid = first[..., 1:] + (ids != tokenizer.eos_token_id)[..., 1:]
        total += float((each * valid).double().sum())
        count += int(valid.sum())
    return {"batch": batch, "gen_ppl": math.exp(total / count), "positions": count}


batches = [
    "Rows of one length: a b c d", "Rows of one length: e f g h", "Rows of one length: i j k l",
    "short", "a longer row of more words than that", "an end<|endoftext|>", "<|endoftext|>", "x", "no end here, and a few more words",
    "ends<|endoftext|>in the<|endoftext|>middle of it", "<|endoftext|>begins with the end", "word " * 100, "two words",
    "equal in length one", "equal in length two", "<|endoftext|> equal in length", "last, longest row of the remainder, which is dropped or not",
    "the very last",
]
write_texts("texts.jsonl", texts)
write_results("texts-expected.json", [clean(texts)])
write_texts("batches.jsonl", batches)
write_results("batches-expected.json", [published(batches, batch) for batch in (1, 3, 5, 8, 18, 64)])
