/* comm.c - the collectives on two and on four ranks. Sums of small integers are exact in any order; tests of the order
 * compare bits. SPDX-License-Identifier: Apache-2.0 */
#include "comm/comm.h"
#include "tests/ranks/mock_device.h"
#include "tests/ranks/ranks.h"

#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 5, REPEATS = 100, MAX_RANKS = 8 };
enum { MANY_CHUNKS = 3000001 }; /* more than the window of the transport and the staging buffers hold */

static const int64_t sizes[] = {0, 1, 2, 7, 65, 4096, 100003, MANY_CHUNKS};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static flm_comm *comm;
static int rank, size;

static flm_status sync_nothing(flm_backend *unused)
{
    (void)unused;
    return FLM_OK;
}

static const flm_stream stream = {.sync = sync_nothing};
static flm_backend host = {.name = "host", .stream = &stream, .host_memory = true};
static flm_backend *be = &host; /* of the collectives below */

static void *memory(int64_t bytes)
{
    void *p = malloc((size_t)bytes + 1);
    if (p == NULL) abort();
    return p;
}

/* An array on be: x itself in host memory; on a device a copy, and x is overwritten. */
static void *put(void *x, int64_t bytes)
{
    void *array = x;
    if (be->host_memory) return x;
    if (be->memory->alloc(be, (size_t)bytes, &array) != FLM_OK ||
        be->memory->to_device(be, array, x, (size_t)bytes) != FLM_OK || be->stream->sync(be) != FLM_OK)
        abort();
    memset(x, 0xEE, (size_t)bytes);
    return array;
}

static void get(void *x, void *array, int64_t bytes)
{
    if (be->host_memory) return;
    if (be->memory->to_host(be, x, array, (size_t)bytes) != FLM_OK || be->stream->sync(be) != FLM_OK) abort();
    be->memory->release(be, array);
}

/* Element i of rank r in round k: integers, so that sums are exact. */
static float value(int r, int64_t i, int k) { return (float)((i * 7 + r * 13 + k) % 101 - 50); }

static float total(int64_t i, int k)
{
    float sum = 0;
    for (int r = 0; r < size; r++) sum += value(r, i, k);
    return sum;
}

static void fill(float *x, int64_t first, int64_t count, int k)
{
    for (int64_t i = 0; i < count; i++) x[i] = value(rank, first + i, k);
}

static bool is_total(const float *x, int64_t first, int64_t count, int k)
{
    bool right = true;
    for (int64_t i = 0; i < count; i++) right = right && x[i] == total(first + i, k);
    return right;
}

static bool sum_one(float *x, int64_t count, int k)
{
    flm_comm_request *request = NULL;
    fill(x, 0, count, k);
    x[count] = 12345;
    const int64_t bytes = (count + 1) * (int64_t)sizeof *x;
    float *array = put(x, bytes);
    bool right = flm_comm_sum_f32_begin(comm, be, array, count, &request) == FLM_OK &&
                 flm_comm_wait(comm, &request) == FLM_OK && request == NULL;
    get(x, array, bytes);
    return right && is_total(x, 0, count, k) && x[count] == 12345;
}

static bool scatter_one(float *x, int64_t slice, int k)
{
    flm_comm_request *request = NULL;
    fill(x, 0, size * slice, k);
    x[size * slice] = 12345;
    const int64_t bytes = (size * slice + 1) * (int64_t)sizeof *x;
    float *array = put(x, bytes);
    bool right = flm_comm_reduce_scatter_begin(comm, be, array, slice, &request) == FLM_OK &&
                 flm_comm_wait(comm, &request) == FLM_OK;
    get(x, array, bytes);
    return right && is_total(x + rank * slice, rank * slice, slice, k) && x[size * slice] == 12345;
}

/* Element i of a gathered array in round k. */
static unsigned gathered(int64_t i, int k) { return (unsigned)(i * 31 + k) % 60013u; }

static bool gather_one(flm_dtype dtype, void *x, int64_t slice, int k)
{
    flm_comm_request *request = NULL;
    const size_t element = flm_dtype_size(dtype);
    bool right = true;
    memset(x, 0xFF, (size_t)(size * slice) * element);
    for (int64_t i = rank * slice; i < (rank + 1) * slice; i++)
        if (dtype == FLM_DTYPE_BF16)
            ((uint16_t *)x)[i] = (uint16_t)gathered(i, k);
        else
            ((float *)x)[i] = (float)gathered(i, k);
    const int64_t bytes = size * slice * (int64_t)element;
    void *array = put(x, bytes);
    if (flm_comm_all_gather_begin(comm, be, array, dtype, slice, &request) != FLM_OK) return false;
    if (flm_comm_wait(comm, &request) != FLM_OK) return false;
    get(x, array, bytes);
    for (int64_t i = 0; i < size * slice; i++)
        right = right && (dtype == FLM_DTYPE_BF16 ? ((uint16_t *)x)[i] == gathered(i, k)
                                                  : ((float *)x)[i] == (float)gathered(i, k));
    return right;
}

static void test_sizes(void)
{
    float *x = memory((int64_t)sizeof(float) * (size * (int64_t)MANY_CHUNKS + 1));
    for (int i = 0; i < SIZES; i++) {
        ranks_ok(sum_one(x, sizes[i], i), "sum of %lld f32", (long long)sizes[i]);
        ranks_ok(scatter_one(x, sizes[i], i), "reduce-scatter, slices of %lld", (long long)sizes[i]);
        ranks_ok(gather_one(FLM_DTYPE_F32, x, sizes[i], i), "all-gather of f32, slices of %lld", (long long)sizes[i]);
        ranks_ok(gather_one(FLM_DTYPE_BF16, x, sizes[i], i), "all-gather of bf16, slices of %lld", (long long)sizes[i]);
    }
    free(x);
}

/* Waiting counts in the wait for host memory, and in the begin for staged memory. */
static void test_seconds(void)
{
    float x[8] = {0};
    flm_comm_request *request = NULL;
    float *array = put(x, sizeof x);
    const double before = flm_comm_seconds_waited(comm);
    bool right = flm_comm_sum_f32_begin(comm, be, array, 8, &request) == FLM_OK;
    const double begun = flm_comm_seconds_waited(comm);
    right = right && flm_comm_wait(comm, &request) == FLM_OK;
    get(x, array, sizeof x);
    const double after = flm_comm_seconds_waited(comm);
    ranks_ok(right && (be->host_memory ? begun == before && after > begun : begun > before),
             "seconds waited: %g, %g, %g", before, begun, after);
    right = flm_comm_barrier(comm) == FLM_OK;
    ranks_ok(right && flm_comm_seconds_waited(comm) > after, "a barrier counts as well");
}

/* Several in progress, with another order of waits on every rank and collectives on host memory between them. */
static bool many_one(float *const *x, int k)
{
    static const int64_t slice[AT_ONCE] = {7, 70001, 1, 300007, 1000};
    flm_comm_request *request[AT_ONCE] = {NULL};
    bool right = true;
    int64_t max = rank;
    for (int i = 0; i < AT_ONCE; i++) {
        fill(x[i], 0, size * slice[i], k + i);
        if (flm_comm_reduce_scatter_begin(comm, &host, x[i], slice[i], &request[i]) != FLM_OK) return false;
        if (flm_comm_progress(comm) != FLM_OK) return false;
    }
    if (rank % 2) right = flm_comm_wait(comm, &request[3]) == FLM_OK;
    right = right && flm_comm_max_i64(comm, &max, 1) == FLM_OK && max == size - 1;
    for (int i = 0; i < AT_ONCE; i++) {
        const int j = (i + rank) % AT_ONCE;
        right = right && flm_comm_wait(comm, &request[j]) == FLM_OK && request[j] == NULL;
    }
    for (int i = 0; i < AT_ONCE; i++)
        right = right && is_total(x[i] + rank * slice[i], rank * slice[i], slice[i], k + i);
    return right;
}

static void test_many(void)
{
    float *x[AT_ONCE];
    bool right = true;
    for (int i = 0; i < AT_ONCE; i++) x[i] = memory((int64_t)sizeof(float) * size * 300007);
    for (int k = 0; k < 10; k++) right = many_one(x, k) && right;
    ranks_ok(right, "%d in progress, waited for in any order", AT_ONCE);
    right = true;
    for (int k = 0; k < REPEATS; k++)
        right = sum_one(x[0], 1 + k * 37 % 1000, k) && scatter_one(x[1], k % 9, k) &&
                gather_one(FLM_DTYPE_BF16, x[2], k % 130, k) && right;
    ranks_ok(right, "%d of each in sequence", REPEATS);
    for (int i = 0; i < AT_ONCE; i++) free(x[i]);
}

/* More begins than tags, so that tags are reused; and the maximum number in progress. */
static void test_limits(void)
{
    flm_comm_request *request[FLM_COMM_REQUESTS] = {NULL}, *refused = NULL;
    float x[FLM_COMM_REQUESTS][MAX_RANKS] = {{0}};
    bool right = true;
    for (int round = 0; round < 33000 / FLM_COMM_REQUESTS + 1; round++) {
        for (int i = 0; i < FLM_COMM_REQUESTS; i++) {
            fill(x[i], i, size, round);
            right = right && flm_comm_reduce_scatter_begin(comm, &host, x[i], 1, &request[i]) == FLM_OK;
        }
        if (round == 0) {
            right = right && flm_comm_sum_f32_begin(comm, &host, x[0], 1, &refused) == FLM_E_ARG && refused == NULL;
            flm_err_clear();
        }
        for (int i = 0; i < FLM_COMM_REQUESTS; i++)
            right = right && flm_comm_wait(comm, &request[i]) == FLM_OK && x[i][rank] == total(i + rank, round);
    }
    ranks_ok(right, "at most %d in progress, and more begins than tags", FLM_COMM_REQUESTS);
}

/* Values whose sum depends on the order: of many magnitudes, some of them huge, denormal or of opposite sign. */
static double uneven(int r, int64_t i)
{
    static const double some[] = {1e300, -1e300, 1.0, 0x1p-52, 3.1e-310, -1e16, 1e16, 0.1};
    if (i % 16 == 5) return some[(i / 16 * 3 + r * 5) % 8];
    return sin((double)i * 12.9898 + r * 78.233) * ldexp(1, (int)((i * 7 + r * 3) % 6));
}

static float uneven_f32(int r, int64_t i) { return (float)fmod(uneven(r, i), 1e30); }

static bool sum_f64_one(int64_t count)
{
    double *x = memory((int64_t)sizeof *x * count), *other = memory((int64_t)sizeof *x * count);
    bool right;
    for (int64_t i = 0; i < count; i++) x[i] = uneven(rank, i);
    right = flm_comm_sum_f64(comm, x, count) == FLM_OK;
    for (int64_t i = 0; i < count; i++) {
        double want = uneven(0, i);
        for (int r = 1; r < size; r++) want += uneven(r, i);
        right = right && x[i] == want && signbit(x[i]) == signbit(want);
    }
    memcpy(other, x, sizeof *x * (size_t)count);
    right = right && flm_comm_broadcast(comm, other, (int64_t)sizeof *x * count, size - 1) == FLM_OK;
    right = right && memcmp(other, x, sizeof *x * (size_t)count) == 0;
    free(x);
    free(other);
    return right;
}

/* f32 sums are in the order of the ranks, whichever rank owns the element. */
static bool order_one(int64_t count)
{
    float *x = memory((int64_t)sizeof *x * count);
    flm_comm_request *request = NULL;
    bool right = true;
    for (int64_t i = 0; i < count; i++) x[i] = uneven_f32(rank, i);
    float *array = put(x, count * (int64_t)sizeof *x);
    if (flm_comm_sum_f32_begin(comm, be, array, count, &request) != FLM_OK) return false;
    if (flm_comm_wait(comm, &request) != FLM_OK) return false;
    get(x, array, count * (int64_t)sizeof *x);
    for (int64_t i = 0; i < count; i++) {
        float want = uneven_f32(0, i);
        for (int r = 1; r < size; r++) want += uneven_f32(r, i);
        right = right && x[i] == want && signbit(x[i]) == signbit(want);
    }
    free(x);
    return right;
}

static void test_order(void)
{
    static const int64_t counts[] = {0, 1, 7, 64, 65, 768 * 768};
    for (int i = 0; i < 6; i++)
        ranks_ok(sum_f64_one(counts[i]), "sum of %lld f64: the same bits everywhere, in rank order",
                 (long long)counts[i]);
    ranks_ok(order_one(10007), "sum of f32 in rank order");
}

static flm_status fail_here(void) { return flm_err_raise(FLM_E_IO, __FILE__, __LINE__, "rank %d", rank); }

static void test_agree(void)
{
    flm_err_clear();
    ranks_ok(flm_comm_agree(comm, FLM_OK) == FLM_OK && flm_err_get_remote() == -1, "no failure");
    for (int r = 0; r < size; r++) {
        flm_status rc;
        flm_err_clear();
        rc = flm_comm_agree(comm, rank == r ? fail_here() : FLM_OK);
        ranks_ok(rc == FLM_E_IO && flm_err_get_remote() == (rank == r ? -1 : r), "rank %d fails and reports it", r);
        rc = flm_comm_agree(comm, rc);
        ranks_ok(rc == FLM_E_IO && flm_err_get_remote() == (rank == r ? -1 : r), "agreed again: still rank %d", r);
    }
    flm_err_clear();
    flm_status own = rank == 0 ? FLM_OK : rank == 1 ? FLM_E_FORMAT : FLM_E_NOMEM;
    if (own != FLM_OK) flm_err_raise(own, __FILE__, __LINE__, "rank %d", rank);
    own = flm_comm_agree(comm, own);
    ranks_ok(own == FLM_E_FORMAT && flm_err_get_remote() == (rank == 1 ? -1 : 1),
             "the lowest of several failing ranks reports");
    flm_err_clear();
}

static void test_host(void)
{
    int64_t x[3] = {rank, -rank, INT64_MAX - rank};
    char text[8] = "other", *all = memory((int64_t)6 * size);
    bool right = true;
    ranks_ok(flm_comm_rank(comm) == rank && flm_comm_size(comm) == size && flm_comm_local_rank(comm) == rank,
             "ranks and sizes");
    ranks_ok(flm_comm_max_i64(comm, x, 3) == FLM_OK && x[0] == size - 1 && x[1] == 0 && x[2] == INT64_MAX,
             "maximum of i64");
    for (int root = 0; root < size; root++) {
        if (rank == root) memcpy(text, "root 0", 7);
        text[5] = (char)(rank == root ? '0' + root : 'x');
        right = right && flm_comm_broadcast(comm, text, 7, root) == FLM_OK && memcmp(text, "root ", 5) == 0 &&
                text[5] == '0' + root;
        memset(all, '-', (size_t)6 * (size_t)size);
        char mine[6] = {'r', (char)('0' + rank), (char)root, 1, 2, 3};
        right = right && flm_comm_gather(comm, mine, 5, rank == root ? all : NULL, root) == FLM_OK;
        for (int r = 0; rank == root && r < size; r++)
            right = right && all[5 * r + 1] == '0' + r && all[5 * r + 2] == root && all[5 * r + 4] == 2;
        right = right && (rank != root || all[5 * size] == '-');
        right = right && flm_comm_barrier(comm) == FLM_OK;
    }
    ranks_ok(right, "broadcast and gather, from and to every rank");
    free(all);
}

/* Device memory that the host cannot read (mock_device.h). */
static void test_device(void)
{
    flm_comm_request *request = NULL;
    float x[8] = {0};
    flm_backend *device = mock_open(), *mixed = rank == 0 ? device : &host;
    flm_status rc = flm_comm_attach(comm, mixed);
    ranks_ok(rc == FLM_E_MISMATCH, "devices of different kinds: %s", flm_err_message());
    flm_err_clear();
    rc = flm_comm_attach(comm, device);
    if (!ranks_ok(rc == FLM_OK && strstr(flm_comm_describe(comm), "pinned") != NULL, "a device is attached: %s",
                  flm_comm_describe(comm)))
        return;
    ranks_ok(flm_comm_attach(comm, device) == FLM_E_ARG, "one device at a time: %s", flm_err_message());
    flm_err_clear();
    be = device;
    test_sizes();
    test_seconds();
    ranks_ok(order_one(10007), "sum of f32 on the device in rank order");
    bool right = true;
    for (int k = 0; k < REPEATS; k++) {
        int64_t max = rank;
        right = sum_one(x, k % 8, k) && flm_comm_max_i64(comm, &max, 1) == FLM_OK && max == size - 1 && right;
    }
    ranks_ok(right, "between collectives on host memory");
    be = &host;
    ranks_ok(scatter_one(x, 1, 3), "host memory, with the device attached");
    flm_comm_detach(comm);
    ranks_ok(flm_comm_reduce_scatter_begin(comm, device, x, 1, &request) == FLM_E_UNSUPPORTED, "detached");
    flm_err_clear();
    ranks_ok(mock_close(), "all memory is released");
}

static void test_refusals(void)
{
    float x[8] = {0};
    flm_comm_request *request = NULL;
    flm_backend device = {.name = "unattached", .stream = &stream, .host_memory = false};
    ranks_ok(flm_comm_reduce_scatter_begin(comm, &device, x, 1, &request) == FLM_E_UNSUPPORTED && request == NULL &&
                 strstr(flm_err_message(), "unattached") != NULL,
             "device memory without a device attached");
    ranks_ok(flm_comm_all_gather_begin(comm, &host, x, FLM_DTYPE_F32, INT64_MAX / 2, &request) == FLM_E_ARG,
             "a slice beyond all memory");
    ranks_ok(flm_comm_sum_f32_begin(comm, &host, x, -1, &request) == FLM_E_ARG, "a negative count");
    ranks_ok(flm_comm_broadcast(comm, x, 4, size) == FLM_E_MPI && strstr(flm_err_message(), "MPI: ") != NULL,
             "MPI's own error, as text: %s", flm_err_message());
    flm_err_clear();
}

int main(int argc, char **argv)
{
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    if (flm_comm_create(MPI_COMM_WORLD, &comm) != FLM_OK) MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (!ranks_ok(size > 1 && size <= MAX_RANKS, "%d ranks", size)) return ranks_end();
    test_host();
    test_sizes();
    test_seconds();
    test_many();
    test_limits();
    test_order();
    test_agree();
    test_device();
    test_refusals();
    flm_comm_destroy(&comm);
    ranks_ok(comm == NULL, "destroyed");
    return ranks_end();
}
