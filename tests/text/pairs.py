#!/usr/bin/env python3
"""pairs.py - write tests/unit/text/pairs-{gpt2,bert}.tsv: texts, their ids and their decoding by Hugging Face's classes.

pairs.py FOLDER. It needs the same packages as compare.py; "make check" reads the files. A line is the text in hex, the
ids, the decoded text in hex, and the text decoded with the other value of clean_up_tokenization_spaces in hex; "=" means
the same as the field before.
SPDX-License-Identifier: Apache-2.0"""
import os
import random
import sys

import transformers

import compare

BY_HAND = [
    "", " ", "\n", "  \n\n  x  ", "Hello, world!", "I'm here; don't you've 'em? He'll, she'd, they're. I'M HERE", "It 's",
    "The quick brown fox jumps over the lazy dog.", "for (int i = 0; i < n; i++) {\n\treturn x[i] != '\\0';\n}\n",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u65e5\u672c\u8a9e\u3092\u66f8\u304f\ud55c\uad6d\uc5b4", "\u0645\u0631\u062d\u0628\u064b\u0627 \u0628\u0643\u0645",
    "\u0928\u092e\u0938\u094d\u0924\u0947", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f1ec\U0001f1e7 \U0001f44d\U0001f3fd 1\ufe0f\u20e3",
    "na\u00efve nai\u0308ve \u00c5ngstr\u00f6m \u212bngstrom \u1e9b\u0323", "\u0130stanbul \u0131 \u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2 \u03a3\u03a3 \u1fbe \u01c5",
    "zero\u200bwidth\u200djoiner\ufeff and \u00adsoft", "a\x00b\x01c\x7fd\ufffde\x85f\u2028g\u2029h\u00a0i\u3000j\u1680k\u180el",
    "[CLS] literal [SEP] and [sep] [[MASK]] [PAD][UNK]", "<|endoftext|> a<|endoftext|>b <|endoftext| <<|endoftext|>>",
    "\u0301[SEP]\u0301 x\u0338= \u2260 \u037e \u0387 `\u1fef", "\u302e\u302f\u302e \U0001d15e\U0001d165\U0001d16d\U0001d166 \u1b44\u0301\u0323\u1baa",
    "1234567890 3.14159 1,000,000 \u00bd\u00b2\u2167 \u0664\u0665", "\U000323af\U0001e030\u1c89\U00010d40 unassigned\u0378in 14",
    "x" * 10000, "ab" * 5000 + "\u00e9" * 99 + " " + "e\u0301" * 100 + " " + "y" * 100 + " " + "y" * 101, "=" * 3000, " " * 1000 + "z",
    "\uf900\ufa0e\ufa2e\u3400\u9fff\U00020000\U0002a6df\U0002f800 \u30a2\uff71\u30fb", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u0f73\u0344\u0958 \uac01\u1100\u1161\u11a8",
]


def texts():
    rng = random.Random(20)
    yield from BY_HAND
    for kind in compare.KINDS + ["mixture"] * 6 + ["random bytes"] * 3 + ["ascii soup"] * 3:
        text = compare.made_text(rng, kind)
        at = rng.randrange(max(1, len(text) - 250))
        yield text[at:at + 250]


def main():
    vocabularies = os.path.join(os.path.dirname(__file__), "../../data-prep/vocabularies")
    gpt2 = transformers.GPT2TokenizerFast(vocabularies + "/gpt2/vocab.json", vocabularies + "/gpt2/merges.txt")
    bert = transformers.BertTokenizer(vocabularies + "/bert-base-uncased/vocab.txt", model_max_length=1 << 40)
    for name, tokenizer, clean in (("gpt2", gpt2, False), ("bert", bert, True)):
        with open(f"{sys.argv[1]}/pairs-{name}.tsv", "w") as file:
            for text in texts():
                ids = tokenizer.encode(text, add_special_tokens=False)
                back = tokenizer.batch_decode([ids])[0]
                assert back == tokenizer.decode(ids, clean_up_tokenization_spaces=clean)
                other = tokenizer.decode(ids, clean_up_tokenization_spaces=not clean)
                file.write("\t".join([text.encode().hex(), " ".join(map(str, ids)),
                                      "=" if back == text else back.encode().hex(),
                                      "=" if other == back else other.encode().hex()]) + "\n")


if __name__ == "__main__":
    main()
