# word-share.awk CORPUS SAMPLES - how many of the samples' words of three letters or more are words of the corpus.
# Words are runs of letters, capitals or not; headings (lines that begin with ==) and special tokens (<|end|>) are none, nor
# is what a row's ends cut: letters next to the token that a row begins or ends with.
# Prints "SHARE WORDS", the share in per cent.
# SPDX-License-Identifier: Apache-2.0
FILENAME != ARGV[1] && /^== / { next }
{
    line = tolower($0)
    if (FILENAME != ARGV[1]) {
        sub(/^<\|end\|>[a-z]*/, "", line)
        sub(/[a-z]*<\|end\|>$/, "", line)
        gsub(/<\|[^|]*\|>/, " ", line)
    }
    gsub(/[^a-z]+/, " ", line)
    count = split(line, words, " ")
    for (i = 1; i <= count; i++) {
        if (length(words[i]) < 3) continue
        if (FILENAME == ARGV[1]) {
            known[words[i]] = 1
        } else {
            total++
            if (words[i] in known) found++
        }
    }
}
END { printf "%.1f %d\n", total ? 100 * found / total : 0, total }
