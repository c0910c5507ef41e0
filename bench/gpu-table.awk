# gpu-table.awk FILE.json... - from what bench/gpu collected: the parts of a step, what they reach, what limits each, and
# what half of the peak would take. Files in this order: bench_gemm's, bench_ops', bench_train's.
#
# The peak of a dtype is bench_gemm's best product, memory's is bench_ops' copy. A part's least time is the longer of its
# bytes at memory's speed and its FLOPs at the peak; the longer names its limit. fp64 algebra and copies over the bus have
# no peak measured here: their least time is their own. SPDX-License-Identifier: Apache-2.0
function text(key) {
    return match($0, "\"" key "\": \"[^\"]*\"") ? substr($0, RSTART + length(key) + 5, RLENGTH - length(key) - 6) : ""
}
function number(key) {
    return match($0, "\"" key "\": [-+.0-9eE]+") ? substr($0, RSTART + length(key) + 4, RLENGTH - length(key) - 4) + 0 : 0
}
function group_of(name, class) {
    if (class == "matmul" || class == "attention") return class
    if (class == "algebra") return "noise's algebra (fp64)"
    if (class == "move") return "copies and zeroing"
    return name == "adamw" || name == "sum_squares" ? "optimiser" : "elementwise and rows"
}
/"record": "machine"/ { machine = text("backend"); revision = text("revision") }
/"record": "peak"/ { peak[text("dtype")] = number("gflops") * 1e9 }
/"record": "copy"/ && text("name") == "copy, memory" { memory = number("gbytes_per_second") * 1e9 }
/"record": "train"/ {
    o = text("objective"); objective[++objectives] = o
    step[o] = number("median"); model[o] = number("gflops") * 1e9 * step[o]; dtype[o] = text("dtype")
    tokens[o] = number("tokens_per_second"); gib[o] = number("memory_gib")
    size[o] = number("batch") " x " number("L") ", V " number("V")
}
/"record": "part"/ {
    o = text("objective"); i = ++parts[o]
    name[o, i] = text("name"); class[o, i] = text("class"); kind[o, i] = text("dtype"); calls[o, i] = number("calls")
    seconds[o, i] = number("seconds"); bytes[o, i] = number("bytes"); flops[o, i] = number("flops")
}
/"record": "sample"/ { samples[text("objective")] = sprintf("sampling in %d steps: %d tokens/s", number("steps"), number("tokens_per_second")) }

# limit_of - a part's least time into least, its limit into limit.
function limit_of(o, i,    by_memory, by_matmul) {
    if (class[o, i] == "algebra" || name[o, i] ~ /^to_(host|device)$/) {
        least[o, i] = seconds[o, i]; limit[o, i] = class[o, i] == "algebra" ? "fp64" : "bus"
        return
    }
    by_memory = bytes[o, i] / memory
    by_matmul = flops[o, i] && peak[kind[o, i]] ? flops[o, i] / peak[kind[o, i]] : 0
    least[o, i] = by_matmul > by_memory ? by_matmul : by_memory
    limit[o, i] = by_matmul > by_memory ? "matmul" : "memory"
}
# order_by - the numbers 1..n into order, the largest value[o, i] first.
function order_by(o, n, value,    i, j, k) {
    for (i = 1; i <= n; i++) {
        for (j = i; j > 1 && value[o, order[j - 1]] < value[o, i]; j--) order[j] = order[j - 1]
        order[j] = i
    }
}
function row(what, count, s, b, f, least_s, limited,    rate) {
    rate = b && s ? sprintf("%.0f GB/s", b / s * 1e-9) : "-"
    if (f && s) rate = sprintf("%.1f TFLOP/s", f / s * 1e-12)
    printf "%-30s %7s %9.3f %6.1f %9.3f %9.1f %15s %7s  %s\n", what, count, s * 1e3, 100 * s / step[o], b * 1e-9, f * 1e-9,
        rate, s ? sprintf("%.0f %%", 100 * least_s / s) : "-", limited
}
function table(o,    i, k, n, g, groups, group, all, all_least, of, sum, best) {
    n = parts[o]
    printf "\n%s, %s, %s: a step %.1f ms, %d tokens/s, %.1f GiB\n", o, size[o], dtype[o], step[o] * 1e3, tokens[o], gib[o]
    for (i = 1; i <= n; i++) {
        limit_of(o, i)
        saving[o, i] = seconds[o, i] > least[o, i] ? seconds[o, i] - least[o, i] : 0 # less: caches helped
        all += seconds[o, i]; all_least += seconds[o, i] - saving[o, i]
        g = group_of(name[o, i], class[o, i])
        if (!((o, g) in sum_s)) group[++groups] = g
        sum_s[o, g] += seconds[o, i]; sum_b[o, g] += bytes[o, i]; sum_f[o, g] += flops[o, i]; sum_l[o, g] += least[o, i]
    }
    if (!n) return
    printf "%-30s %7s %9s %6s %9s %9s %15s %7s  %s\n", "part", "calls", "ms", "% step", "GB", "GFLOP", "reached", "of its", "limit"
    order_by(o, n, seconds)
    for (k = 1; k <= n && seconds[o, order[k]] >= 5e-4 * step[o]; k++) {
        i = order[k]
        row(name[o, i] (kind[o, i] == "f32" && dtype[o] != "f32" ? " (f32)" : ""), calls[o, i], seconds[o, i], bytes[o, i],
            flops[o, i], least[o, i], limit[o, i])
    }
    if (k <= n) printf "and %d parts that take less than 0.05 %% each\n", n - k + 1
    print "together:"
    for (k = 1; k <= groups; k++) {
        g = group[k]
        row(g, "", sum_s[o, g], sum_b[o, g], sum_f[o, g], sum_l[o, g], "")
    }
    row("all parts", "", all, 0, 0, all_least, "")
    printf "%-30s %7s %9.3f %6.1f   (host work and gaps; below nothing: what overlaps)\n", "the step beside them", "",
        (step[o] - all) * 1e3, 100 * (step[o] - all) / step[o]
    verdict(o, n, all, all_least)
}
function verdict(o, n, all, all_least,    half, at, k, i, done) {
    half = 2 * model[o] / peak[dtype[o]]
    printf "share of the measured peak (%s, %.1f TFLOP/s): %.1f %%\n", dtype[o], peak[dtype[o]] * 1e-12, 50 * half / step[o]
    if (dtype[o] == "bf16" && machine ~ /H100/ && machine !~ /PCIe|NVL/)
        printf "share of an H100's 989 TFLOP/s: %.1f %%\n", 100 * model[o] / 989e12 / step[o]
    printf "every part at its limit, nothing beside: %.1f ms, %.1f %%\n", all_least * 1e3, 50 * half / all_least
    printf "half of the measured peak: a step of %.1f ms", half * 1e3
    if (step[o] <= half) { print ", which it is"; return }
    printf ", %.1f ms less. Parts brought to their limits, the most first:\n", (step[o] - half) * 1e3
    order_by(o, n, saving)
    at = step[o]
    for (k = 1; k <= n && at > half && saving[o, order[k]] > 0; k++) {
        i = order[k]
        at -= saving[o, i]
        if (k <= 12) printf "  %-28s saves %9.3f ms: %5.1f %% of the peak\n", name[o, i], saving[o, i] * 1e3, 50 * half / at
    }
    if (k > 13) printf "  and %d more%27s %9.1f ms a step: %5.1f %% of the peak\n", k - 13, "", at * 1e3, 50 * half / at
    if (at > half) printf "  not enough: %.3f ms more must come from what lies beside them or from fewer bytes and FLOPs\n", (at - half) * 1e3
}
END {
    if (!memory || !peak["f32"] || !objectives) {
        print "gpu-table.awk: no peak, no copy or no step in these files" | "cat >&2"
        exit 1
    }
    print machine ", revision " revision
    printf "peak of matmul: bf16 %.1f, fp32 %.1f TFLOP/s; memory (copy): %.0f GB/s\n", peak["bf16"] * 1e-12, peak["f32"] * 1e-12, memory * 1e-9
    for (j = 1; j <= objectives; j++) {
        o = objective[j]
        table(o)
        if (o in samples) print samples[o]
    }
}
