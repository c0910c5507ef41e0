/* emulate.cc - see emulate.h. A CUDA thread is a fiber with its own stack: started by makecontext, switched by _setjmp
 * and _longjmp. SPDX-License-Identifier: Apache-2.0 */
#include "tests/emulate/emulate.h"
#include "tests/emulate/emulate_memory.h"

#include <csetjmp>
#include <sys/mman.h>
#include <ucontext.h>

namespace
{

constexpr int THREADS_MAX = 1024, WARP = 32, COPIES = 512;
constexpr size_t STACK = 256 * 1024, SHARED = 163 * 1024;

enum wait_for { RUNNING, AT_WARP, AT_BLOCK, ENDED };

struct copy {
    void *to;
    const void *from;
    size_t bytes;
    bool valid;
    int group;
};

struct fiber {
    emulate_index place;
    wait_for state;
    bool begun;
    jmp_buf at;
    ucontext_t context;
    unsigned char give[WARP];
    copy copies[COPIES];
    int copy_count, group; /* group: the number of the open group */
};

fiber *fibers;
char *stacks;
int count, current;
jmp_buf scheduler;
void (*kernel_body)(void *);
void *kernel_data;
size_t shared_asked; /* dynamic shared memory of the launch */
alignas(128) unsigned char shared_memory[SHARED];

[[noreturn]] void fail(const char *what)
{
    fprintf(stderr, "emulator: %s (block %u, thread %u)\n", what, emulate_thread ? emulate_thread->block.x : 0,
            emulate_thread ? emulate_thread->thread.x : 0);
    abort();
}

void fiber_main()
{
    kernel_body(kernel_data);
    if (fibers[current].copy_count) fail("a thread ended with unfinished asynchronous copies");
    fibers[current].state = ENDED;
    _longjmp(scheduler, 1);
}

void fiber_wait(wait_for state)
{
    fiber *f = &fibers[current];
    f->state = state;
    if (!_setjmp(f->at)) _longjmp(scheduler, 1);
}

void fiber_resume(int i)
{
    fiber *f = &fibers[i];
    current = i;
    emulate_thread = &f->place;
    if (_setjmp(scheduler)) return;
    if (f->begun) _longjmp(f->at, 1);
    f->begun = true;
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = stacks + (size_t)i * STACK;
    f->context.uc_stack.ss_size = STACK;
    f->context.uc_link = nullptr;
    makecontext(&f->context, fiber_main, 0);
    setcontext(&f->context);
}

/* If threads [from, to) all wait at the barrier, they become runnable. Returns whether they do. */
bool barrier_opens(int from, int to, wait_for state)
{
    for (int i = from; i < to; i++)
        if (fibers[i].state != state) return false;
    for (int i = from; i < to; i++) fibers[i].state = RUNNING;
    return true;
}

/* Runs a warp's threads until all of them wait at the block's barrier or have ended. */
void warp_run(int warp)
{
    const int from = warp * WARP;
    for (;;) {
        bool ran = false;
        for (int k = 0; k < WARP; k++) {
            int i = from + (emulate_order == 0 ? k : WARP - 1 - k);
            if (fibers[i].state != RUNNING) continue;
            fiber_resume(i);
            ran = true;
        }
        if (!ran && !barrier_opens(from, from + WARP, AT_WARP)) return;
    }
}

void block_run(dim3 block)
{
    for (int i = 0; i < count; i++) {
        fiber *f = &fibers[i];
        const unsigned u = (unsigned)i;
        f->place.block = block;
        f->place.thread = dim3(u % emulate_block_dim.x, u / emulate_block_dim.x % emulate_block_dim.y,
                               u / emulate_block_dim.x / emulate_block_dim.y);
        f->state = RUNNING;
        f->begun = false;
        f->copy_count = f->group = 0;
    }
    memset(shared_memory, 0xFF, sizeof shared_memory); /* NaN: a block must not rely on what the previous one left */
    for (;;) {
        int ended = 0;
        for (int w = 0; w < count / WARP; w++) warp_run(emulate_order == 0 ? w : count / WARP - 1 - w);
        for (int i = 0; i < count; i++) ended += fibers[i].state == ENDED;
        if (ended == count) {
            for (size_t i = shared_asked; i < SHARED; i++)
                if (shared_memory[i] != 0xFF) fail("a write beyond the shared memory that the launch requested");
            return;
        }
        if (!barrier_opens(0, count, AT_BLOCK)) fail("some threads wait at a barrier that others never reach");
    }
}

} // namespace

emulate_index *emulate_thread;
dim3 emulate_grid_dim, emulate_block_dim;
int emulate_order;

void __syncthreads() { fiber_wait(AT_BLOCK); }
void __syncwarp(unsigned mask)
{
    if (mask != 0xFFFFFFFFu) fail("__syncwarp of part of a warp is not supported");
    fiber_wait(AT_WARP);
}

int emulate_lane() { return current % WARP; }

void emulate_exchange(const void *give, void *get, size_t bytes, int from)
{
    const int first = current - current % WARP;
    memcpy(fibers[current].give, give, bytes);
    fiber_wait(AT_WARP);
    memcpy(get, fibers[first + from].give, bytes);
    fiber_wait(AT_WARP);
}

unsigned emulate_ballot(bool vote)
{
    const int first = current - current % WARP;
    unsigned all = 0;
    fibers[current].give[0] = vote;
    fiber_wait(AT_WARP);
    for (int i = 0; i < WARP; i++) all |= (unsigned)fibers[first + i].give[0] << i;
    fiber_wait(AT_WARP);
    return all;
}

namespace
{

float half_of(uint32_t word, int k) { return __uint_as_float(k ? word & 0xFFFF0000u : word << 16); }

} // namespace

void emulate_mma(float *c, const uint32_t *a, const uint32_t *b)
{
    const int first = current - current % WARP, lane = current % WARP, g = lane / 4, t = lane % 4;
    uint32_t mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
    memcpy(fibers[current].give, mine, sizeof mine);
    fiber_wait(AT_WARP);
    for (int i = 0; i < 4; i++) {
        const int column = 2 * t + i % 2, upper = i / 2; /* row g + 8 upper */
        float sum = 0;
        for (int k = 0; k < 16; k++) {
            uint32_t row[6], col[6];
            memcpy(row, fibers[first + g * 4 + k % 8 / 2].give, sizeof row);
            memcpy(col, fibers[first + column * 4 + k % 8 / 2].give, sizeof col);
            sum += half_of(row[upper + 2 * (k / 8)], k % 2) * half_of(col[4 + k / 8], k % 2);
        }
        c[i] += sum;
    }
    fiber_wait(AT_WARP);
}

void emulate_ldmatrix(uint32_t *r, const void *row, bool transpose)
{
    const int first = current - current % WARP, lane = current % WARP, g = lane / 4, t = lane % 4;
    if ((uintptr_t)row % 16) fail("ldmatrix of an address that is not aligned to 16 bytes");
    if ((const unsigned char *)row < shared_memory || (const unsigned char *)row + 16 > shared_memory + shared_asked)
        fail("ldmatrix outside the shared memory that the launch requested");
    memcpy(fibers[current].give, &row, sizeof row);
    fiber_wait(AT_WARP);
    for (int i = 0; i < 4; i++) {
        uint16_t two[2];
        for (int k = 0; k < 2; k++) {
            const uint16_t *at;
            const int line = transpose ? 2 * t + k : g, column = transpose ? g : 2 * t + k;
            memcpy(&at, fibers[first + 8 * i + line].give, sizeof at);
            two[k] = at[column];
        }
        r[i] = two[0] | (uint32_t)two[1] << 16;
    }
    fiber_wait(AT_WARP);
}

void emulate_copy_async(void *shared, const void *global, size_t bytes, bool valid)
{
    fiber *f = &fibers[current];
    if ((uintptr_t)shared % bytes || (valid && (uintptr_t)global % bytes))
        fail("an asynchronous copy that is not aligned");
    if ((unsigned char *)shared < shared_memory || (unsigned char *)shared + bytes > shared_memory + shared_asked)
        fail("an asynchronous copy outside the dynamic shared memory");
    if (valid && !emulate_holds(global, bytes)) fail("an asynchronous copy from outside an allocation");
    if (f->copy_count == COPIES) fail("more unfinished asynchronous copies than the emulator supports");
    memset(shared, 0xFF, bytes);
    f->copies[f->copy_count++] = {shared, global, bytes, valid, f->group};
}

void emulate_copy_commit() { fibers[current].group++; }

void emulate_copy_wait(int groups)
{
    fiber *f = &fibers[current];
    int kept = 0;
    for (int i = 0; i < f->copy_count; i++) {
        const copy c = f->copies[i];
        if (c.group >= f->group - groups)
            f->copies[kept++] = c;
        else if (c.valid)
            memcpy(c.to, c.from, c.bytes);
        else
            memset(c.to, 0, c.bytes);
    }
    f->copy_count = kept;
}

void *emulate_shared() { return shared_memory; }

int emulate_run(void (*body)(void *), void *data, dim3 grid, dim3 block, size_t shared)
{
    const size_t threads = (size_t)block.x * block.y * block.z;
    enum { INVALID_VALUE = 1, INVALID_CONFIGURATION = 9 };
    if (threads == 0 || threads > THREADS_MAX || threads % WARP || grid.y > 65535 || grid.z > 65535 ||
        grid.x > 0x7FFFFFFFu)
        return INVALID_CONFIGURATION;
    if (shared > SHARED) return INVALID_VALUE;
    if (!fibers) {
        fibers = (fiber *)calloc(THREADS_MAX, sizeof *fibers);
        stacks = (char *)mmap(nullptr, THREADS_MAX * STACK, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (!fibers || stacks == MAP_FAILED) fail("out of memory");
    }
    count = (int)threads;
    kernel_body = body;
    kernel_data = data;
    shared_asked = shared;
    emulate_grid_dim = grid;
    emulate_block_dim = block;
    emulate_open();
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) block_run(dim3(x, y, z));
    emulate_close();
    emulate_thread = nullptr;
    return 0;
}
