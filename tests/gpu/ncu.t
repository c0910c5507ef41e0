#!/bin/sh
# ncu.t - what limits the four kernels that take most of a training step, by Nsight Compute: first the time of every kernel
# launched in as many launches as a step has, then the details of one launch of each of the four. Skipped without ncu, and
# where the driver allows its counters to root alone. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check-gpu}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
. "$abs_top_srcdir/tests/gpu/gpu.sh"
count=4
# A step of bench_train has about 930 launches; those before it are skipped. ncu runs each on its own.
launches="--launch-skip 1200 --launch-count 950"
sizes="$bench_sizes --cube 64 --runs 3 --device cuda"
if test -z "${FLM_GPU_NCU-}"; then
    tap_skip "four slowest kernels" "ncu is not installed"
    tap_end
fi

# shellcheck disable=SC2086 # several options
within 60 "$FLM_GPU_NCU" --metrics gpu__time_duration.sum --cache-control none --clock-control none $launches \
    --print-kernel-base function --csv "$bench" $sizes >times.csv 2>err </dev/null
status=$?
if grep -q ERR_NVGPUCTRPERM times.csv err; then
    tap_skip "four slowest kernels" "the driver allows ncu's counters to root alone (ERR_NVGPUCTRPERM)"
    tap_end
fi
# Of the lines of CSV, milliseconds and launches by the kernel's name, the slowest first. A unit is in its own column.
awk '
    function cells(line,    n, i, c, quoted) { # into cell[1..]; commas within quotes belong to a cell
        n = 1; cell[1] = ""
        for (i = 1; i <= length(line); i++) {
            c = substr(line, i, 1)
            if (c == "\"") quoted = !quoted
            else if (c == "," && !quoted) cell[++n] = ""
            else cell[n] = cell[n] c
        }
        return n
    }
    !/^"/ { next } # of ncu and of the program
    { n = cells($0) }
    !known { for (i = 1; i <= n; i++) at[cell[i]] = i; known = ("Kernel Name" in at) && ("Metric Value" in at); next }
    {
        name = cell[at["Kernel Name"]]; unit = cell[at["Metric Unit"]]; value = cell[at["Metric Value"]]
        gsub(/,/, "", value)
        scale = unit ~ /^(ns|nsecond)$/ ? 1e-6 : unit ~ /^(us|usecond)$/ ? 1e-3 : unit ~ /^(ms|msecond)$/ ? 1 : unit ~ /^(s|second)$/ ? 1e3 : 0
        ms[name] += value * scale; calls[name]++
    }
    END { for (name in ms) if (ms[name] > 0) printf "%.3f %d %s\n", ms[name], calls[name], name }' times.csv |
    sort -k1,1rg >slowest
tap_ok "$(test -s slowest; echo $?)" "ncu measured $(awk '{ n += $2 } END { print n + 0 }' slowest) launches of $(wc -l <slowest | tr -d ' ') kernels (exit status $status)"
test -s slowest || tail -n 20 err times.csv | sed 's/^/#   /'
sed 's/^/# ms, launches, kernel: /' slowest

head -n $count slowest | while read -r ms launched name; do
    # shellcheck disable=SC2086
    within 25 "$FLM_GPU_NCU" --set detailed --kernel-name "$name" --launch-count 1 --print-details all "$bench" $sizes \
        >one 2>err </dev/null
    echo "$? $ms $launched $name"
    sed 's/^/#   /' one >"details.$name"
done >profiled
while read -r status ms launched name; do
    tap_is "$status" 0 "$name, $ms ms in $launched launches"
    cat "details.$name"
done <profiled
tap_end
