/* text_bpe.c - merges by rank (text_gpt2.h), with a heap of candidates over a linked list of symbols. A candidate is a
 * pair (rank, symbol). When it is taken from the heap and its symbols have changed meanwhile, it is dropped, unless
 * they make the same token, as in the source. Sources: Sennrich et al., arXiv:1508.07909; tokenizers 0.21.2,
 * models/bpe/word.rs (merge_all), whose order of merges this is. SPDX-License-Identifier: Apache-2.0 */
#include "text/text_gpt2.h"

#include <stdlib.h>

typedef struct flm_bpe_symbol {
    int32_t id, before, after;
} flm_bpe_symbol; /* id -1: merged into the symbol before */

flm_status flm_bpe_create(size_t max, flm_bpe *bpe)
{
    flm_status rc = FLM_OK;

    FLM_TRY(flm_table_reserve(&bpe->ranks_of, max));
    bpe->made = malloc((max + 1) * sizeof *bpe->made);
    if (!bpe->made) FLM_FAIL(FLM_E_NOMEM, "no memory for %zu merges", max);
done:
    return rc;
}

void flm_bpe_free(flm_bpe *bpe)
{
    flm_table_free(&bpe->ranks_of);
    free(bpe->made);
    free(bpe->symbols);
    free(bpe->heap);
    free(bpe->ids);
    *bpe = (flm_bpe){0};
}

static inline uint64_t pair_key(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/* The rank of a pair, -1 if it has no merge. */
static inline int32_t rank_of(const flm_bpe *bpe, int32_t left, int32_t right)
{
    return flm_table_get(&bpe->ranks_of, pair_key(left, right));
}

flm_status flm_bpe_add_merge(flm_bpe *bpe, int32_t left, int32_t right, int32_t made)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_table_set(&bpe->ranks_of, pair_key(left, right), (int32_t)bpe->ranks));
    bpe->made[bpe->ranks++] = made;
done:
    return rc;
}

static flm_status reserve(flm_bpe *bpe, size_t bytes)
{
    flm_status rc = FLM_OK;
    size_t capacity = bytes < 256 ? 256 : bytes + bytes / 2;

    if (bytes <= bpe->capacity) goto done;
    free(bpe->symbols);
    free(bpe->heap);
    free(bpe->ids);
    bpe->capacity = 0;
    bpe->symbols = malloc(capacity * sizeof *bpe->symbols);
    bpe->heap = malloc(3 * capacity * sizeof *bpe->heap); /* at most one for each pair and two for each merge */
    bpe->ids = malloc(capacity * sizeof *bpe->ids);
    if (!bpe->symbols || !bpe->heap || !bpe->ids) FLM_FAIL(FLM_E_NOMEM, "no memory for a word of %zu bytes", bytes);
    bpe->capacity = capacity;
done:
    return rc;
}

/* Sift heap[at] down. */
static void heap_sink(uint64_t *heap, size_t count, size_t at)
{
    uint64_t value = heap[at];

    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && heap[child + 1] < heap[child]) child++;
        if (value <= heap[child]) break;
        heap[at] = heap[child];
    }
    heap[at] = value;
}

static void heap_push(uint64_t *heap, size_t *count, uint64_t value)
{
    size_t at = (*count)++;

    for (; at > 0 && heap[(at - 1) / 2] > value; at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
    heap[at] = value;
}

/* The candidate made of a symbol and the one after it; false if they have no merge. */
static inline bool candidate(const flm_bpe *bpe, int32_t at, uint64_t *value)
{
    const flm_bpe_symbol *s = bpe->symbols;
    int32_t rank = s[at].after < 0 ? -1 : rank_of(bpe, s[at].id, s[s[at].after].id);

    *value = (uint64_t)(uint32_t)rank << 32 | (uint32_t)at;
    return rank >= 0;
}

static void merge_all(flm_bpe *bpe, size_t count)
{
    flm_bpe_symbol *s = bpe->symbols;
    uint64_t *heap = bpe->heap, value;

    for (size_t i = count / 2; i-- > 0;) heap_sink(heap, count, i);
    while (count > 0) {
        int32_t at = (int32_t)(uint32_t)heap[0], made = bpe->made[heap[0] >> 32], right, rank;
        heap[0] = heap[--count];
        heap_sink(heap, count, 0);
        right = s[at].after;
        if (s[at].id < 0 || right < 0) continue;
        rank = rank_of(bpe, s[at].id, s[right].id);
        if (rank < 0 || bpe->made[rank] != made) continue;
        s[at].id = made;
        s[at].after = s[right].after;
        s[right].id = -1;
        if (s[at].after >= 0) s[s[at].after].before = at;
        if (s[at].before >= 0 && candidate(bpe, s[at].before, &value)) heap_push(heap, &count, value);
        if (candidate(bpe, at, &value)) heap_push(heap, &count, value);
    }
}

flm_status flm_bpe_encode_word(flm_bpe *bpe, const char *word, size_t bytes, const int32_t **ids, size_t *count)
{
    flm_status rc = FLM_OK;
    size_t candidates = 0, n = 0;
    uint64_t value;

    FLM_TRY(reserve(bpe, bytes));
    for (size_t i = 0; i < bytes; i++)
        bpe->symbols[i] = (flm_bpe_symbol){bpe->byte_ids[(unsigned char)word[i]], (int32_t)i - 1,
                                           i + 1 < bytes ? (int32_t)i + 1 : -1};
    for (size_t i = 0; i + 1 < bytes; i++)
        if (candidate(bpe, (int32_t)i, &value)) bpe->heap[candidates++] = value;
    if (candidates > 0) merge_all(bpe, candidates);
    for (int32_t i = 0; i >= 0; i = bpe->symbols[i].after) bpe->ids[n++] = bpe->symbols[i].id;
    *ids = bpe->ids;
    *count = n;
done:
    return rc;
}
