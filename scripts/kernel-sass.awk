# kernel-sass.awk - the inner loops of CUDA kernels, from cuobjdump -sass; scripts/kernel-report runs it.
# Prints for each kernel: GPU, instructions of the inner loop, HMMA and LDSM in it, 128-bit loads and stores of the kernel,
# and its mangled name. The inner loop is the innermost one with the most HMMA, or else the longest.
# SPDX-License-Identifier: Apache-2.0
function hex(text, i, n) {
    n = 0
    text = tolower(text)
    sub(/^0x/, "", text)
    for (i = 1; i <= length(text); i++) n = 16 * n + index("0123456789abcdef", substr(text, i, 1)) - 1
    return n
}

# Whether another loop lies within loop k.
function has_loop(k, i) {
    for (i = 0; i < loops; i++)
        if (i != k && from[i] >= from[k] && to[i] <= to[k] && !(from[i] == from[k] && to[i] == to[k])) return 1
    return 0
}

function flush(k, i, length_of, mma, ldsm, best, best_mma, best_ldsm) {
    if (name == "") return
    best = best_mma = best_ldsm = 0
    for (k = 0; k < loops; k++) {
        if (has_loop(k)) continue
        length_of = mma = ldsm = 0
        for (i = from[k]; i <= to[k]; i++) {
            length_of++
            if (op[i] ~ /^HMMA/) mma++
            if (op[i] ~ /^LDSM/) ldsm++
        }
        if (mma > best_mma || (mma == best_mma && length_of > best)) {
            best = length_of
            best_mma = mma
            best_ldsm = ldsm
        }
    }
    print gpu, best, best_mma, best_ldsm, wide_loads, wide_stores, name
}

/^[ \t]*code for sm_/ {
    flush()
    name = ""
    gpu = $3
}
/^[ \t]*Function : / {
    flush()
    name = $3
    count = loops = wide_loads = wide_stores = 0
}
/^ +\/\*[0-9a-f]+\*\/ / {
    line = $0
    sub(/^ +\/\*/, "", line)
    at = hex(substr(line, 1, index(line, "*") - 1))
    sub(/^[^ ]* +/, "", line)
    sub(/^@!?U?P[0-9T]+ +/, "", line) # the predicate
    split(line, word, /[ ;]+/)
    number[at] = count
    op[count] = word[1]
    if (word[1] ~ /^LDG.*128/) wide_loads++
    if (word[1] ~ /^STG.*128/) wide_stores++
    if (word[1] == "BRA" && match(line, /0x[0-9a-f]+/)) {
        target = hex(substr(line, RSTART, RLENGTH))
        if (target < at) {
            from[loops] = number[target]
            to[loops++] = count
        }
    }
    count++
}
END { flush() }
