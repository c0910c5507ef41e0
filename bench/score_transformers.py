#!/usr/bin/env python3
"""score_transformers.py FOLDER [length] [batch] [threads] [fp32|bf16] [runs] - the published way of scoring, timed:
transformers' GPT2LMHeadModel on the CPU, logits of the whole batch, then the cross entropy. To compare with bench_score.
SPDX-License-Identifier: Apache-2.0"""
import statistics
import sys
import time

import torch
from transformers import GPT2LMHeadModel

folder, length, batch, threads = sys.argv[1], *(int(x) for x in (sys.argv[2:5] + ["1024", "1", "2"][len(sys.argv) - 2 :]))
precision = sys.argv[5] if len(sys.argv) > 5 else "fp32"
runs = int(sys.argv[6]) if len(sys.argv) > 6 else 3
torch.set_num_threads(threads)
dtype = torch.bfloat16 if precision == "bf16" else torch.float32
model = GPT2LMHeadModel.from_pretrained(folder, torch_dtype=dtype).eval()
ids = torch.randint(0, model.config.vocab_size, (batch, length))
wall, processor = [], []
with torch.inference_mode():
    for _ in range(runs + 1):
        begin, cpu = time.perf_counter(), time.process_time()
        logits = model(ids).logits.transpose(-1, -2)
        torch.nn.functional.cross_entropy(logits[..., :-1], ids[..., 1:], reduction="none")
        wall.append(time.perf_counter() - begin)
        processor.append(time.process_time() - cpu)
tokens = length * batch
w, p = statistics.median(wall[1:]), statistics.median(processor[1:])
print(f"transformers, torch {torch.__version__}, {threads} threads, {precision}")
print(f"batch {batch} of {length} tokens: {w:.3f} s ({min(wall[1:]):.3f} .. {max(wall[1:]):.3f} of {runs}), "
      f"{tokens / w:.1f} tokens/s, {tokens / p:.1f} tokens a processor's second")
