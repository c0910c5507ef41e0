#!/usr/bin/env python3
"""bench_text.py - bench_text beside Hugging Face's Rust tokenizers 0.21.2, one thread each, in turns.

bench_text.py PROGRAM TEXT [--vocabularies DIR] [--pairs N] [--runs N]
Both encode the same documents (pieces of about 4096 bytes, cut at line ends) in the same order, in pairs of runs so
that a busy machine is as busy for both; the medians over all runs are compared. The Rust side is given the whole list
at once (encode_batch_fast, which keeps no offsets) and its reading of the text is not counted; nor is ours.
SPDX-License-Identifier: Apache-2.0"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
import tokenizers  # noqa: E402


def documents(data, least=4096):
    at, result = 0, []
    while at < len(data):
        end = data.find(b"\n", at + least) + 1 if len(data) - at > least else len(data)
        end = end or len(data)
        result.append(data[at:end].decode("utf-8", "replace"))
        at = end
    return result


def ours(program, name, text, runs):
    with tempfile.NamedTemporaryFile() as report:
        subprocess.run([program, "--tokenizer", name, "--text", text, "--runs", str(runs), "--json", report.name],
                       check=True, stdout=subprocess.DEVNULL)
        lines = [json.loads(line) for line in open(report.name)]
    return {line["what"]: (line["seconds"]["median"], line["ids"]) for line in lines if line["record"] == "text"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("text")
    parser.add_argument("--vocabularies", default=os.path.join(os.path.dirname(__file__), "../data-prep/vocabularies"))
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--runs", type=int, default=3)
    o = parser.parse_args()
    with open(o.text, "rb") as file: data = file.read()
    texts, mb = documents(data), len(data) / 1e6
    gpt2 = tokenizers.ByteLevelBPETokenizer(o.vocabularies + "/gpt2/vocab.json", o.vocabularies + "/gpt2/merges.txt")
    bert = tokenizers.BertWordPieceTokenizer(o.vocabularies + "/bert-base-uncased/vocab.txt", lowercase=True)
    for name, there in (("gpt2", gpt2), ("bert-base-uncased", bert)):
        here, rust = {"encode first": [], "encode": [], "decode": []}, []
        for _ in range(o.pairs):
            for what, (seconds, ids) in ours(o.program, name, o.text, o.runs).items(): here[what].append(seconds)
            for _ in range(o.runs):
                begin = time.perf_counter()
                batch = there._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
                rust.append(time.perf_counter() - begin)
                count = sum(len(e.ids) for e in batch)
                del batch
        theirs = mb / statistics.median(rust)
        print(f"{name}: {mb:.1f} MB; Rust {theirs:.2f} MB/s ({mb / max(rust):.2f}..{mb / min(rust):.2f}), {count} ids")
        for what, seconds in here.items():
            mine = mb / statistics.median(seconds)
            print(f"  {what}: {mine:.2f} MB/s ({mb / max(seconds):.2f}..{mb / min(seconds):.2f}), {mine / theirs:.1f} times")


if __name__ == "__main__":
    main()
