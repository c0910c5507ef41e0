/* cpu_dnnl.h - oneDNN's C API where 2.x and 3.x differ: descriptors are structs in 2.x and handles in 3.x.
 *
 * For cpu_onednn.c, and for the benchmark that measures the library itself. Refuses: caching, the suite's tensors.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CPU_DNNL_H
#define FLM_CPU_DNNL_H

#include "base/base_err.h"

#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>

#define FLM_DNNL(call)                                                                             \
    do {                                                                                           \
        dnnl_status_t status_ = (call);                                                            \
        if (status_ != dnnl_success)                                                               \
            FLM_FAIL(status_ == dnnl_out_of_memory ? FLM_E_NOMEM : FLM_E_DEVICE, "oneDNN: %s: %s", \
                     dnnl_status2str(status_), #call);                                             \
    } while (0)

/* The layouts of one product's a, b, bias and c; one that is not used is all zeros, which both take for "none". */
typedef struct flm_dnnl_layouts {
    dnnl_memory_desc_t a, b, bias, c;
} flm_dnnl_layouts;

#if DNNL_VERSION_MAJOR >= 3

typedef const_dnnl_memory_desc_t layout_ref;

static inline layout_ref layout_of(const dnnl_memory_desc_t *layout) { return *layout; }

/* strides NULL: the library's choice. */
static inline dnnl_status_t layout_make(dnnl_memory_desc_t *layout, const dnnl_dims_t dims, dnnl_data_type_t type,
                                        const dnnl_dim_t *strides)
{
    return strides ? dnnl_memory_desc_create_with_strides(layout, 2, dims, type, strides)
                   : dnnl_memory_desc_create_with_tag(layout, 2, dims, type, dnnl_format_tag_any);
}

static inline void layouts_release(flm_dnnl_layouts *l)
{
    dnnl_memory_desc_t all[] = {l->a, l->b, l->bias, l->c};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i]) dnnl_memory_desc_destroy(all[i]);
}

static inline dnnl_status_t append_sum(dnnl_post_ops_t ops) { return dnnl_post_ops_append_sum(ops, 1.0f, 0, dnnl_f32); }

static inline dnnl_status_t describe_matmul(dnnl_primitive_desc_t *desc, dnnl_engine_t engine,
                                            const flm_dnnl_layouts *l, const_dnnl_primitive_attr_t attr)
{
    return dnnl_matmul_primitive_desc_create(desc, engine, l->a, l->b, l->bias, l->c, attr);
}

#else

typedef const dnnl_memory_desc_t *layout_ref;

static inline layout_ref layout_of(const dnnl_memory_desc_t *layout) { return layout; }

static inline dnnl_status_t layout_make(dnnl_memory_desc_t *layout, const dnnl_dims_t dims, dnnl_data_type_t type,
                                        const dnnl_dim_t *strides)
{
    return strides ? dnnl_memory_desc_init_by_strides(layout, 2, dims, type, strides)
                   : dnnl_memory_desc_init_by_tag(layout, 2, dims, type, dnnl_format_tag_any);
}

static inline void layouts_release(flm_dnnl_layouts *l) { (void)l; }

static inline dnnl_status_t append_sum(dnnl_post_ops_t ops) { return dnnl_post_ops_append_sum(ops, 1.0f); }

static inline dnnl_status_t describe_matmul(dnnl_primitive_desc_t *desc, dnnl_engine_t engine,
                                            const flm_dnnl_layouts *l, const_dnnl_primitive_attr_t attr)
{
    dnnl_matmul_desc_t d;
    dnnl_status_t status = dnnl_matmul_desc_init(&d, &l->a, &l->b, &l->bias, &l->c);
    return status == dnnl_success ? dnnl_primitive_desc_create(desc, &d, attr, engine, NULL) : status;
}

#endif

#endif
