#!/usr/bin/env python3
"""compare.py PART ... - the Python side of flm_io.t; each part prints what the shell compares, or raises.

rows FOLDER SPLIT                 the rows as numbers, as tests/cmd/shard_rows prints them
copy FOLDER NEW                   write the rows of all splits with write_shards
text FOLDER NEW TEXT LENGTH       write the lines of a text with pack and write_shards, tokeniser bytes
export CHECKPOINT WEIGHTS FILE    compare the set of weights with a safetensors file bit for bit
samples FILE SET                  the texts of a set of samples of tokeniser bytes
loss CHECKPOINT FOLDER FILE       a training step on rows of shards with random times and noise: its loss and all gradients by
                                  PyTorch in fp64, in the layout of tests/parity/golden
shapes CHECKPOINT...              kind and the shape of the network's output
SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../python"))
import h5py  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

import flm_io  # noqa: E402


def rows(folder, split):
    loader = torch.utils.data.DataLoader(flm_io.ShardDataset(folder, split), batch_size=7, num_workers=1)
    for batch in loader:
        for row in batch.tolist():
            print(*row)


def copy(folder, new):
    splits = {split: flm_io.Shards(folder, split) for split in ("train", "valid")}
    flm_io.write_shards(new, {name: shards[:] for name, shards in splits.items()}, like=folder, shard_rows=40)


def text(folder, new, path, length):
    with open(path, "rb") as file:
        lines = [list(line.rstrip(b"\n")) for line in file if line.strip()]
    a = flm_io.Shards(folder).attributes
    flm_io.write_shards(new, {"train": flm_io.pack(lines, int(length), a["begin_id"], a["end_id"])})


def export(checkpoint, which, path):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    header.pop("__metadata__")
    ours = flm_io.Checkpoint(checkpoint).weights(which)
    assert sorted(ours) == sorted(header), set(ours) ^ set(header)
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        assert list(ours[name].shape) == entry["shape"] and ours[name].tobytes() == data[begin:end], name
    print(len(ours), "tensors equal")


def samples(path, name):
    for row in flm_io.Samples(path)[name]:
        print(bytes(int(i) for i in row if i < 256).decode(errors="replace"))


def embedding_gradient(E, noise, grad_state, g, tokens):
    """docs/model.md section 4: the data part, and the noise part as its conditional mean given xi."""
    V, d = E.shape
    dy = (1 - g) * grad_state
    if V <= d:
        part = torch.einsum("blv,bld->vd", noise, dy)
    else:
        gram = E.T @ E
        R = torch.linalg.cholesky(gram + 1e-10 * gram.trace() / d * torch.eye(d))
        xi = torch.linalg.solve_triangular(R, (noise @ E).reshape(-1, d).T, upper=False)  # [d, B L]
        part = E @ torch.linalg.solve_triangular(R.T, xi @ dy.reshape(-1, d), upper=True)
    return part.index_add(0, tokens.flatten(), (g * grad_state).reshape(-1, d))


def loss(checkpoint, folder, path):
    torch.manual_seed(1)
    torch.set_default_dtype(torch.float64)
    checkpoint, B = flm_io.Checkpoint(checkpoint), 4
    network, a = checkpoint.network("raw").double(), checkpoint.attributes
    tokens = torch.from_numpy(flm_io.Shards(folder)[[3, 1, 4, 15]])
    t = (torch.rand(B) + torch.randperm(B)) / B
    noise = torch.randn(B, a["L"], a["V"]).float().double()
    g = flm_io.gamma(t, a["V"])[:, None, None]
    E = network.E.detach()
    state = ((1 - g) * (noise @ E) + g * E[tokens]).requires_grad_()
    logits = network(state, t)
    loss = torch.nn.functional.cross_entropy(network.cap(logits).flatten(0, 1), tokens.flatten())
    loss.backward()
    single = checkpoint.network("raw").float()
    in_fp32 = flm_io.flm_loss(single, tokens, t, noise.float())
    assert abs(in_fp32.item() - loss.item()) < 1e-5, (in_fp32.item(), loss.item())
    with h5py.File(path, "w", libver="earliest") as f:
        f.attrs.update({"batch": B, "cond_dim": a["c"], "frequency_embedding_size": 256, "hidden_size": a["d"],
                        "length": a["L"], "logit_cap": network.logit_cap, "mlp_ratio": 4, "n_blocks": a["N"],
                        "n_heads": a["H"], "softcap": 50.0, "vocab_size": a["V"]})
        for name, data in checkpoint.weights("raw").items():
            f[f"/weights/flm/{name}"] = data
        f["/flm_loss/inputs/tokens"] = tokens.numpy().astype("i4")
        f["/flm_loss/inputs/t"] = t.numpy()
        f["/flm_loss/inputs/noise"] = noise.numpy().astype("f4")
        f["/flm_loss/expected/gamma"] = g.flatten().numpy()
        f["/flm_loss/expected/loss"] = loss.item()
        f["/flm_loss/expected/embedded"] = state.detach().numpy().astype("f4")
        f["/flm_loss/expected/logits"] = logits.detach().numpy().astype("f4")
        for name, p in network.named_parameters():
            if name != "vocab_embed.embedding":
                f[f"/flm_loss/expected/grad/{name}"] = p.grad.numpy().astype("f4")
        f["/flm_loss/expected/grad/vocab_embed.embedding"] = embedding_gradient(E, noise, state.grad, g, tokens).numpy().astype("f4")
    print(f"loss {loss.item():.6f}")


def shapes(*checkpoints):
    for path in checkpoints:
        checkpoint = flm_io.Checkpoint(path)
        a, network = checkpoint.attributes, checkpoint.network()
        x, s, t = torch.randn(2, a["L"], a["d"]), torch.tensor([0.25, 0.5]), torch.tensor([0.5, 1.0])
        with torch.no_grad():
            logits = network(x, s) if checkpoint.kind == "flm" else network(x, s, t)
        assert logits.isfinite().all()
        print(checkpoint.kind, list(logits.shape))


def self_test():
    assert flm_io.crc32c(b"123456789") == 0xE3069283  # RFC 3720, B.4 has others; this is the customary check value
    for size in (0, 1, 3, 4, 5, 255, 256, 257, 1000, 4099):
        data = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
        assert flm_io.crc32c(data) == int(flm_io.files.crc32c_rows(data[None])[0]), size
    print("ok")


{f.__name__: f for f in (rows, copy, text, export, samples, loss, shapes, self_test)}[sys.argv[1]](*sys.argv[2:])
