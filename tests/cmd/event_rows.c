/* event_rows.c - a program for metrics_export.t: reads an event file of TensorBoard and prints a line for each value,
 * SECONDS STEP TAG VALUE, the first line the version. Ends with 1 where anything is not as expected.
 *
 * Source of the formats: record_writer.h and crc32c.h in tensorflow/core/lib, util/event.proto and
 * framework/summary.proto in tensorflow/core. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_crc32c.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a file or of a message that are not read yet. */
typedef struct span {
    const unsigned char *at, *end;
} span;

static void check(bool good, const char *what)
{
    if (good) return;
    fprintf(stderr, "event_rows: %s\n", what);
    exit(1);
}

/* count bytes, little-endian. */
static uint64_t take_number(span *s, size_t count)
{
    uint64_t value = 0;
    check((size_t)(s->end - s->at) >= count, "the end comes too early");
    for (size_t i = 0; i < count; i++) value |= (uint64_t)*s->at++ << 8 * i;
    return value;
}

static uint64_t take_varint(span *s)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        const uint64_t byte = take_number(s, 1);
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
    check(false, "a varint does not end");
    return 0;
}

static span take_span(span *s, uint64_t bytes)
{
    check((uint64_t)(s->end - s->at) >= bytes, "a part is longer than the whole");
    const span part = {s->at, s->at + bytes};
    s->at = part.end;
    return part;
}

static double take_double(span *s)
{
    const uint64_t bits = take_number(s, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double take_float(span *s)
{
    const uint32_t bits = (uint32_t)take_number(s, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The checksum of `part` is next in s. */
static void check_crc(span *s, span part)
{
    const uint32_t crc = flm_crc32c_update(0, part.at, (size_t)(part.end - part.at));
    check(take_number(s, 4) == (uint32_t)(((crc >> 15) | (crc << 17)) + 0xa282ead8u), "a checksum is wrong");
}

static void print_value(span value, double seconds, uint64_t step)
{
    check(take_varint(&value) == (1 << 3 | 2), "Summary.Value: expected a tag");
    const span tag = take_span(&value, take_varint(&value));
    check(take_varint(&value) == (2 << 3 | 5), "Summary.Value: expected a simple_value");
    printf("%.9g %" PRIu64 " %.*s %.9g\n", seconds, step, (int)(tag.end - tag.at), (const char *)tag.at,
           take_float(&value));
    check(value.at == value.end, "Summary.Value: more than a tag and a value");
}

static void print_event(span event)
{
    check(take_varint(&event) == (1 << 3 | 1), "Event: expected a wall_time");
    const double seconds = take_double(&event);
    const uint64_t field = take_varint(&event);
    if (field == (3 << 3 | 2)) {
        const span version = take_span(&event, take_varint(&event));
        printf("version %.*s\n", (int)(version.end - version.at), (const char *)version.at);
    } else {
        check(field == 2 << 3, "Event: expected a step or a file_version");
        const uint64_t step = take_varint(&event);
        check(take_varint(&event) == (5 << 3 | 2), "Event: expected a summary");
        span summary = take_span(&event, take_varint(&event));
        while (summary.at < summary.end) {
            check(take_varint(&summary) == (1 << 3 | 2), "Summary: expected a value");
            print_value(take_span(&summary, take_varint(&summary)), seconds, step);
        }
    }
    check(event.at == event.end, "Event: more than expected");
}

int main(int argc, char **argv)
{
    static unsigned char bytes[1 << 20];
    check(argc == 2, "usage: event_rows FILE");
    FILE *file = fopen(argv[1], "rb");
    check(file != NULL, "the file cannot be opened");
    const size_t count = fread(bytes, 1, sizeof bytes, file);
    check(count < sizeof bytes && !ferror(file) && fclose(file) == 0, "the file cannot be read, or is too large");
    span all = {bytes, bytes + count};
    while (all.at < all.end) {
        const span length = take_span(&all, 8);
        check_crc(&all, length);
        span copy = length;
        const span data = take_span(&all, take_number(&copy, 8));
        check_crc(&all, data);
        print_event(data);
    }
    return 0;
}
