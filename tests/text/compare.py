#!/usr/bin/env python3
"""compare.py - the suite's tokenisers against Hugging Face's, id by id and character by character.

No part of "make check": it needs Python 3.11 with transformers 4.49.0 and tokenizers 0.21.2.
compare.py PROGRAM [--vocabularies DIR] [--megabytes N] [--seed N] [--texts DIR ...] [--codepoints] [FILE ...]
PROGRAM is tests/text/tokenise of a build. Texts are drawn from the files below --texts (this Python's library by
preset) and made by rules; --codepoints adds every code point in several contexts; FILEs are compared as they are.
Ends with 1 on any difference. SPDX-License-Identifier: Apache-2.0"""
import argparse
import itertools
import os
import random
import re
import struct
import subprocess
import sys
import sysconfig
import time
import unicodedata

import numpy as np
import tokenizers
import transformers


def run(program, arguments, records, given, made):
    """Records of the type `given` through the program; the records of the type `made` that come out."""
    data = b"".join(struct.pack("<I", len(r) // np.dtype(given).itemsize) + bytes(r) for r in records)
    out = subprocess.run([program] + arguments, input=data, stdout=subprocess.PIPE, check=True).stdout
    result, at = [], 0
    while at < len(out):
        count = struct.unpack_from("<I", out, at)[0]
        result.append(np.frombuffer(out, made, count, at + 4))
        at += 4 + result[-1].nbytes
    return result


# What the rules draw from: (first, last) of the blocks of scripts.
SCRIPTS = {
    "latin": [(0xC0, 0x24F), (0x1E00, 0x1EFF)], "ipa": [(0x250, 0x2FF)], "greek": [(0x370, 0x3FF), (0x1F00, 0x1FFF)],
    "cyrillic": [(0x400, 0x52F)], "armenian": [(0x530, 0x58F)], "hebrew": [(0x590, 0x5FF)],
    "arabic": [(0x600, 0x6FF), (0x750, 0x77F), (0xFB50, 0xFDFF)], "devanagari": [(0x900, 0x97F)],
    "bengali": [(0x980, 0x9FF)], "tamil": [(0xB80, 0xBFF)], "kannada": [(0xC80, 0xCFF)], "thai": [(0xE00, 0xE7F)],
    "tibetan": [(0xF00, 0xFFF)], "georgian": [(0x10A0, 0x10FF), (0x1C90, 0x1CBF)], "ethiopic": [(0x1200, 0x137F)],
    "kana": [(0x3040, 0x30FF), (0xFF00, 0xFFEF)], "hangul": [(0xAC00, 0xD7A3), (0x1100, 0x11FF)],
    "cjk": [(0x4E00, 0x9FFF)], "rare cjk": [(0x3400, 0x4DBF), (0xF900, 0xFAFF), (0x20000, 0x323AF)],
    "symbols": [(0x2000, 0x2BFF)], "letterlike": [(0x2100, 0x214F), (0x1D400, 0x1D7FF)],
    "music": [(0x1D100, 0x1D1FF)], "any": [(0x20, 0xD7FF), (0xE000, 0x10FFFF)], "plane 1": [(0x10000, 0x1FFFF)],
}
MARKS = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) in ("Mn", "Mc", "Me")]
CONTROLS = [chr(c) for c in itertools.chain(range(0x20), range(0x7F, 0xA1), range(0x2000, 0x2010), range(0x2028, 0x2030),
                                            range(0x205F, 0x2070), range(0xFFF9, 0xFFFE), range(0xE0001, 0xE0080),
                                            (0xAD, 0x180E, 0x1680, 0x3000, 0xFEFF, 0xE000, 0x10FFFF, 0x34F, 0x61C))]
SPECIALS = ["[SEP]", "[CLS]", "[UNK]", "[PAD]", "[MASK]", "<|endoftext|>", "[sep]", "[[SEP]]", "[SEP", "SEP]", "[S\0EP]",
            "<|endoftext|", "<<|endoftext|>>", "<|ENDOFTEXT|>", "[MASK][MASK]", "a[SEP]b", "\u0301[SEP]\u0301", "[PAD]s"]
SHORT = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'RE", "n't", "\u2019s", "''s", "'", "'l", "'r", "' s"]
WHITE = [" ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", " \n", "\u00a0", " \u00a0", "\u2003", "\u3000", "\x85", "\u2028", "\v",
         "\f", "\u180e", "\u200b", " \t ", "          "]
PUNCTUATION = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + list("\u2014\u2026\u00bf\u3001\u3002\uff0c\u00b7\u00a7\u20ac\u00a3\u2260\u037e")
ASCII = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def word(rng, blocks, longest):
    low, high = rng.choice(blocks)
    return "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, longest)))


def emoji(rng):
    one = lambda: chr(rng.choice([rng.randint(0x1F300, 0x1FAFF), rng.randint(0x2600, 0x27BF)])) + rng.choice(
        ["", "\ufe0f", "\ufe0e", chr(rng.randint(0x1F3FB, 0x1F3FF))])
    return rng.choice([one(), "\u200d".join(one() for _ in range(rng.randint(2, 5))), "1\ufe0f\u20e3",
                       "".join(chr(rng.randint(0x1F1E6, 0x1F1FF)) for _ in range(rng.randint(1, 4)))])


def accented(rng):
    base = lambda: rng.choice([rng.choice(ASCII), word(rng, SCRIPTS["any"], 1), word(rng, SCRIPTS["latin"], 1)])
    return "".join(base() + "".join(rng.choice(MARKS) for _ in range(rng.randint(0, 6))) for _ in range(rng.randint(1, 8)))


def made_text(rng, kind):
    """About two thousand characters by the rule of a kind."""
    if kind == "long words":
        alphabet = rng.choice([ASCII, "ab", "a", "0123456789", "!?.", "\u00e9\u0301x", "".join(map(chr, range(0x430, 0x450)))])
        n = rng.choice([99, 100, 101, 1000, 10000])
        return "x " + "".join(rng.choice(alphabet) for _ in range(n)) + " y"
    if kind == "random bytes":
        return rng.randbytes(2000).decode("utf-8", "replace")
    if kind == "ascii soup":
        return "".join(chr(rng.randint(0, 127)) for _ in range(2000))
    parts = []
    for _ in range(250):
        draw = kind if kind != "mixture" else rng.choice(KINDS)
        if draw in SCRIPTS: parts.append(word(rng, SCRIPTS[draw], 12))
        elif draw == "emoji": parts.append(emoji(rng))
        elif draw == "accents": parts.append(accented(rng))
        elif draw == "controls": parts.append(rng.choice(CONTROLS) + rng.choice(ASCII) * rng.randint(0, 2))
        elif draw == "specials": parts.append(rng.choice(SPECIALS))
        elif draw == "contractions": parts.append(rng.choice(["he", "I", "", "1", "\u00e9"]) + rng.choice(SHORT))
        elif draw == "punctuation": parts.append("".join(rng.choice(PUNCTUATION) for _ in range(rng.randint(1, 4))))
        else: parts.append("".join(rng.choice(ASCII) for _ in range(rng.randint(1, 14))))
        parts.append(rng.choice(["", " ", " ", " ", rng.choice(WHITE)]))
    return "".join(parts)


KINDS = list(SCRIPTS) + ["emoji", "accents", "controls", "specials", "contractions", "punctuation", "words"]


def real_texts(folders, bytes_most):
    """Files as they are, spread over the folders, in pieces of at most 20,000 characters."""
    paths = sorted(os.path.join(d, f) for top in folders for d, _, files in os.walk(top) for f in files
                   if f.endswith((".py", ".md", ".rst", ".txt", ".c", ".h", ".html", ".js", ".json", ".xml")))
    random.Random(7).shuffle(paths)
    taken = 0
    for path in paths:
        with open(path, "rb") as file:
            text = file.read(1 << 18).decode("utf-8", "replace")
        for at in range(0, len(text), 20000):
            yield text[at:at + 20000]
        taken += len(text)
        if taken >= bytes_most: return


def codepoint_texts():
    """Every code point alone, in, before and after letters, digits and blanks."""
    codes = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    for at in range(0, len(codes), 256):
        yield "\n".join(f"{chr(c)} x{chr(c)}y 1{chr(c)}\t{chr(c)}'s {chr(c)}" for c in codes[at:at + 256])


def published_lm1b(x):
    """The rules of data.md section 3 as the published code has them."""
    x = x.replace("http : / / ", "http://").replace("https : / / ", "https://")
    x = re.sub(r" \'(\w+)", r"'\1", x)
    x = re.sub(r" (\w+) \. ", r" \1. ", x)
    x = re.sub(r" (\w+) \.$", r" \1.", x)
    x = re.sub(r" \?$", "?", x.replace(" ? ", "? "))
    x = re.sub(r" \!$", "!", x.replace(" ! ", "! "))
    x = x.replace(" , ", ", ").replace(" : ", ": ").replace(" ; ", "; ").replace(" / ", "/")
    x = re.sub(r"\" ([^\"]+) \"", r'"\1"', x)
    x = re.sub(r"\' ([^\']+) \'", r"'\1'", x)
    x = re.sub(r"\( ([^\(\)]+) \)", r"(\1)", x)
    x = re.sub(r"\[ ([^\[\]]+) \]", r"[\1]", x)
    return x.replace("$ ", "$").replace("\u00a3 ", "\u00a3")


class Comparison:
    def __init__(self, program):
        self.program, self.failed = program, 0

    def check(self, name, want, got, inputs):
        bad = [i for i, (a, b) in enumerate(itertools.zip_longest(want, got)) if a is None or b is None or a != b]
        print(f"{name}: {len(want)} records, {len(bad)} differ", flush=True)
        for i in bad[:5]:
            at = next((k for k, (a, b) in enumerate(itertools.zip_longest(want[i], got[i])) if a != b), 0)
            print(f"  record {i} at {at}: {want[i][at - 5 if at > 5 else 0:at + 10]!r} is expected, "
                  f"{got[i][at - 5 if at > 5 else 0:at + 10]!r} came; of {str(inputs[i])[:200]!r}")
        self.failed += len(bad)

    def tokeniser(self, name, encode, decode, size, texts, rng):
        begin = time.time()
        want = [encode(t) for t in texts]
        seconds = time.time() - begin
        got = [a.tolist() for a in run(self.program, ["encode", name], [t.encode() for t in texts], "u1", "<i4")]
        self.check(f"{name} encode ({seconds:.0f} s there)", want, got, texts)
        ids = want[::7] + [[i] for i in range(size)] + [[], [size - 1] * 3]
        ids += [[rng.randrange(size) for _ in range(rng.randint(1, 300))] for _ in range(3000)]
        records = [np.array(i, "<i4").tobytes() for i in ids]
        for mode, clean in (("decode", None), ("decode-clean", True), ("decode-plain", False)):
            got = [a.tobytes().decode() for a in run(self.program, [mode, name], records, "<i4", "u1")]
            self.check(f"{name} {mode}", decode(ids, clean), got, ids)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--vocabularies", default=os.path.join(os.path.dirname(__file__), "../../data-prep/vocabularies"))
    parser.add_argument("--megabytes", type=float, default=21)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--texts", nargs="*", default=[sysconfig.get_path("stdlib")])
    parser.add_argument("--codepoints", action="store_true")
    parser.add_argument("files", nargs="*")
    o = parser.parse_args()
    rng = random.Random(o.seed)
    most = o.megabytes * 1e6
    texts = list(real_texts(o.texts, most / 3))
    kinds = KINDS + ["mixture", "long words", "random bytes", "ascii soup"]
    size = sum(len(t.encode()) for t in texts)
    for i in itertools.count():
        if size >= most: break
        texts.append(made_text(rng, kinds[i % len(kinds)]))
        size += len(texts[-1].encode())
    if o.codepoints: texts += codepoint_texts()
    for path in o.files:
        with open(path, "rb") as file: texts.append(file.read().decode("utf-8", "replace"))
    print(f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}, "
          f"Unicode {unicodedata.unidata_version}; {sum(len(t.encode()) for t in texts) / 1e6:.1f} MB, {len(texts)} texts")

    v = o.vocabularies
    gpt2 = transformers.GPT2TokenizerFast(v + "/gpt2/vocab.json", v + "/gpt2/merges.txt")
    gpt2.add_special_tokens({"pad_token": "[PAD]"})  # for decoding; texts are encoded without it
    plain = transformers.GPT2TokenizerFast(v + "/gpt2/vocab.json", v + "/gpt2/merges.txt").backend_tokenizer
    bert = transformers.BertTokenizer(v + "/bert-base-uncased/vocab.txt", model_max_length=1 << 40)
    comparison = Comparison(o.program)
    comparison.tokeniser("gpt2", lambda t: plain.encode(t).ids,
                         lambda ids, clean: gpt2.batch_decode(ids, clean_up_tokenization_spaces=clean), 50258, texts, rng)
    comparison.tokeniser("bert-base-uncased", lambda t: bert.convert_tokens_to_ids(bert.tokenize(t)),
                         lambda ids, clean: bert.batch_decode(ids, clean_up_tokenization_spaces=clean), 30522, texts, rng)
    got = [a.tolist() for a in run(o.program, ["encode", "bytes"], [t.encode() for t in texts], "u1", "<i4")]
    comparison.check("bytes encode", [list(t.encode()) for t in texts], got, texts)

    pieces = list("\"'()[].?!,:;/$\u00a3_-\n") + ["http", "https", "a", "word", "\u00e9t\u00e9", "\u65e5", "3", "\u00b2", "e\u0301"]
    lines = [line for t in texts[:2000] for line in t.split("\n")]
    lines += [" ".join(rng.choice(pieces) for _ in range(rng.randint(1, 25))) for _ in range(100000)]
    lines += ["".join(rng.choice(pieces + [" "] * 12) for _ in range(rng.randint(1, 40))) for _ in range(100000)]
    lines += [f"x 'a{chr(c)} {chr(c)} . " for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    got = [a.tobytes().decode() for a in run(o.program, ["lm1b"], [t.encode() for t in lines], "u1", "u1")]
    comparison.check("lm1b", [published_lm1b(t) for t in lines], got, lines)
    print("all the same" if not comparison.failed else f"{comparison.failed} differences")
    return comparison.failed != 0


if __name__ == "__main__":
    sys.exit(main())
