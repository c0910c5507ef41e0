# corpora_rows.awk - for corpora.t: converts documents to rows by the rules of data.md, independently of flm_shard. Bytes
# are tokens, 256 follows every document; the ids of a group are cut into chunks of L - 2, and the remainder is dropped; a
# row is 256, chunk, 256. Input: each document as `od -An -v -tu1` prints it, then a line "end". -v L=, -v group=;
# -v owt=1: first, runs of three or more newlines become two, and white space at the ends is removed. SPDX-License-Identifier: Apache-2.0
function flush_group(   i, j, line) {
    for (i = 0; i + L - 2 <= count; i += L - 2) {
        line = "256"
        for (j = 0; j < L - 2; j++) line = line " " ids[i + j]
        print line " 256"
    }
    count = documents = 0
}
function is_white(c) { return c == 32 || (c >= 9 && c <= 13) }
$1 == "end" {
    first = 1
    last = bytes
    if (owt) {
        while (first <= last && is_white(text[first])) first++
        while (last >= first && is_white(text[last])) last--
    }
    if (first <= last) {
        run = 0
        for (i = first; i <= last; i++) {
            run = text[i] == 10 ? run + 1 : 0
            if (owt && run > 2) continue
            ids[count++] = text[i]
        }
        ids[count++] = 256
        if (++documents == group) flush_group()
    }
    bytes = 0
    next
}
{ for (i = 1; i <= NF; i++) text[++bytes] = $i }
END { flush_group() }
