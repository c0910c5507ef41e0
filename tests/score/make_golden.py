#!/usr/bin/env python3
"""make_golden.py FOLDER [name=value ...] - a GPT-2 with random weights and the scores of Hugging Face transformers.

Writes FOLDER/config.json, model.safetensors and expected.json: sequences of ids with the NLL of each token after the
first and the last hidden state at the last one, which tests/score/nll compares. Names: those of GPT2Config, and seed, sequences, longest, scale (of the weights).
Used with transformers 4.49.0 and torch 2.6.0; not run by the build or by make check. SPDX-License-Identifier: Apache-2.0
"""
import json
import sys

import torch
from transformers import GPT2Config, GPT2LMHeadModel

values = dict(n_positions=24, vocab_size=97, n_embd=24, n_head=3, n_layer=2, seed=1, sequences=9, longest=24, scale=6.0)
values.update({k: type(values.get(k, 0))(v) for k, v in (word.split("=", 1) for word in sys.argv[2:])})
seed, sequences, longest, scale = (values.pop(k) for k in ("seed", "sequences", "longest", "scale"))
torch.manual_seed(seed)
end = values["vocab_size"] - 1
model = GPT2LMHeadModel(GPT2Config(**values, bos_token_id=end, eos_token_id=end)).eval()
with torch.no_grad():
    for name, p in model.named_parameters():
        if "ln_" in name:
            p.add_(torch.randn_like(p) * 0.2)
        elif name.endswith("bias"):
            p.add_(torch.randn_like(p) * 0.1)
        else:
            p.mul_(scale)
model.save_pretrained(sys.argv[1])
torch.save(model.state_dict(), sys.argv[1] + "/pytorch_model.bin")  # tests/convert/golden
lengths = [longest, 1, 2, 7] + [int(torch.randint(1, longest + 1, ())) for _ in range(max(0, sequences - 4))]
out = []
for length in lengths[:sequences]:
    ids = torch.randint(0, values["vocab_size"], (1, length))
    with torch.no_grad():
        result = model(ids, output_hidden_states=True)
    logits = result.logits.float()
    nll = torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:], reduction="none") if length > 1 else torch.zeros(0)
    out.append({"ids": ids[0].tolist(), "nll": [float("%.8g" % x) for x in nll],
                "hidden": [float("%.8g" % x) for x in result.hidden_states[-1][0, -1]]})
with open(sys.argv[1] + "/expected.json", "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(x) for x in out) + "\n]\n")
