# word-share.awk CORPUS SAMPLES - how many of the samples' words of three letters or more are words of the corpus.
# Words are runs of letters, capitals or not; the samples' lines that begin with == are headings. Prints "SHARE WORDS", the share in per cent.
# SPDX-License-Identifier: Apache-2.0
FILENAME != ARGV[1] && /^== / { next }
{
    line = tolower($0)
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
