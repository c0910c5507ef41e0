# ngram-score.awk CORPUS SAMPLES - how far samples are from the corpus: cross-entropy in nats a character under a model of
# its 4-grams, for each number of steps in SAMPLES (the output of flm_generate --text). Prints "STEPS NATS" lines.
# P(c | abc) = (n(abc c) + t(abc) P(c | bc)) / (n(abc) + t(abc)), t: how many different characters follow (Witten and Bell,
# "The zero-frequency problem", 1991), down to 1/128 for any c; counts of the corpus's first 2 million characters. Collapsed samples (one character over and over) score well: look at their entropy beside it.
# SPDX-License-Identifier: Apache-2.0
function probability(text, order,    context) {
    if (order == 0) return (count[text] + types[""] / 128) / (total + types[""])
    context = substr(text, 1, order)
    if (!(context in types)) return probability(substr(text, 2), order - 1)
    return (count[text] + types[context] * probability(substr(text, 2), order - 1)) / (count[context] + types[context])
}
FILENAME == ARGV[1] {
    if (total > 2000000) next
    line = $0 " "
    size = length(line)
    for (i = 1; i <= size; i++) {
        total++
        for (n = 1; n <= 4 && i + n - 1 <= size; n++) {
            gram = substr(line, i, n)
            if (!count[gram]++) types[substr(gram, 1, n - 1)]++
        }
    }
    next
}
/^== sample/ { steps = $4; next }
/^== / { next }
{
    gsub(/<\|end\|>/, " ")
    line = $0
    size = length(line)
    for (i = 4; i <= size; i++) {
        sum[steps] -= log(probability(substr(line, i - 3, 4), 3))
        characters[steps]++
    }
}
END { for (steps in sum) printf "%d %.4f\n", steps, sum[steps] / characters[steps] | "sort -n" }
