#!/usr/bin/env python3
"""check_back.py FILE.ckpt FILE.safetensors - compare all tensors of both bit for bit; EMA weights are "ema.NAME".
SPDX-License-Identifier: Apache-2.0"""
import sys

import torch
from safetensors.torch import load_file

saved = torch.load(sys.argv[1], map_location="cpu", weights_only=False)
have = load_file(sys.argv[2])
want = {n.replace("_orig_mod.", "").removeprefix("backbone."): w for n, w in saved["state_dict"].items() if "inv_freq" not in n}
if "ema" in saved:
    want.update({"ema." + n: w for n, w in zip(list(want), saved["ema"]["shadow_params"], strict=True)})
assert sorted(want) == sorted(have), sorted(set(want) ^ set(have))
bad = [n for n in want if want[n].dtype != have[n].dtype or not torch.equal(want[n].view(torch.int32), have[n].view(torch.int32))]
print(f"{len(want) - len(bad)} passed, {len(bad)} failed")
sys.exit(bool(bad))
