#!/bin/sh
# rehearse.t - make check-gpu, its short form and make bench-gpu without a GPU: their scripts on the emulated device, with small sizes and a
# stand-in for compute-sanitizer; and their messages when something is missing or fails. Timings are not checked.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
check=$abs_top_srcdir/scripts/check-gpu.sh
emulated=$abs_top_builddir/tests/emulate
here=$PWD

# Without a GPU: one line of explanation. (In a build with CUDA tap.sh hides the GPUs.)
sh "$check" "$abs_top_builddir" >out 2>err
tap_is $? 1 "no GPU: exit status 1"
tap_is "$(grep -c 'check-gpu: nothing was checked: device cuda: ' err) $(cat out err | wc -l)" "1 1" "$(cat err)"
sh "$check" "$abs_top_builddir" --probe >out 2>err
tap_is $? 1 "--probe too"

# A stand-in that runs the program and prints what the real one prints; it reports an error for the tool and program in
# STAND_IN_FINDS.
cat >sanitizer <<'END'
#!/bin/sh
while test $# -gt 1; do
    case $1 in
    --tool) tool=$2; shift 2 ;;
    --error-exitcode) bad=$2; shift 2 ;;
    --print-limit) shift 2 ;;
    *) exit 3 ;;
    esac
done
echo "========= COMPUTE-SANITIZER"
"$1"
status=$?
case $tool:$1 in
"${STAND_IN_FINDS:-nothing}") echo "========= Invalid __global__ read of size 4 bytes"; echo "========= ERROR SUMMARY: 1 error"; exit "$bad" ;;
racecheck:*) echo "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)" ;;
*) echo "========= ERROR SUMMARY: 0 errors" ;;
esac
exit $status
END
chmod +x sanitizer
FLM_GPU_PROGRAMS=$emulated FLM_GPU_PROBE=$emulated/device FLM_GPU_SMALL=1 FLM_GPU_OUT=$here/out.d FLM_EMULATE_MIB=4096
FLM_GPU_CONFORM="tests/conform/gate_emulated.t tests/conform/embed_emulated.t"
export FLM_GPU_PROGRAMS FLM_GPU_PROBE FLM_GPU_SMALL FLM_GPU_OUT FLM_GPU_CONFORM FLM_EMULATE_MIB

FLM_GPU_TESTS="conform parity train memory sanitizer" FLM_GPU_SANITIZER=$here/sanitizer sh "$check" "$abs_top_builddir" >out 2>err
tap_is $? 0 "all parts except the one that tests/emulate/ runs"
sed 's/^/# /' out
for name in conform parity train memory; do tap_has out "] $name: " "$name ran"; done
tap_is "$(grep -c '^ok .* - memcheck: ' out.d/sanitizer.tap) $(grep -c '^ok .* - racecheck: ' out.d/sanitizer.tap)" "2 2" "the sanitizer ran, too"
tap_is "$(tail -n 1 out)" "$(cat out.d/summary.txt)" "the totals are kept in summary.txt"
tail -n 1 out | grep -q '^[1-9][0-9]* passed, 0 failed, 1 skipped$'
tap_ok $? "the totals: $(tail -n 1 out)"
tap_has out.d/machine.txt "emulated" "machine.txt names the device"

FLM_GPU_TESTS=sanitizer FLM_GPU_SANITIZER='' sh "$check" "$abs_top_builddir" >out 2>err
tap_is "$? $(tail -n 1 out)" "1 0 passed, 0 failed, 1 skipped" "without compute-sanitizer the test is skipped, and no test at all is not a success"
FLM_GPU_TESTS=sanitizer FLM_GPU_CONFORM=tests/conform/embed_emulated.t FLM_GPU_SANITIZER=$here/sanitizer STAND_IN_FINDS="racecheck:$abs_top_builddir/tests/conform/embed_emulated.t" \
    sh "$check" "$abs_top_builddir" >out 2>err
tap_is "$? $(tail -n 1 out)" "1 3 passed, 1 failed, 0 skipped" "an error of the sanitizer is a failure"
tap_has out "Invalid __global__ read" "and its report is shown"
printf '#!/bin/sh\necho "ok 1 - one"\necho "1..2"\nexit 1\n' >cut.t
chmod +x cut.t
FLM_GPU_TESTS=conform FLM_GPU_CONFORM=${here#"$abs_top_builddir/"}/cut.t sh "$check" "$abs_top_builddir" >out 2>err
tap_is "$? $(tail -n 1 out)" "1 1 passed, 1 failed, 0 skipped" "a program that ends early is a failure"

# --quick, with a stand-in for ncu that prints lines of the real one's form: times of kernels, or the details of one.
cat >ncu <<'END'
#!/bin/sh
name=
for argument; do
    case $previous in --kernel-name) name=$argument ;; esac
    case $argument in --csv) csv=1 ;; *bench_train) test -x "$argument" || exit 3 ;; esac
    previous=$argument
done
test -z "${STAND_IN_REFUSES-}" || { echo "==ERROR== ERR_NVGPUCTRPERM - The user does not have permission"; exit 1; }
echo "==PROF== Connected to process 1"
if test -z "${csv-}"; then
    test -n "$name" || exit 3
    printf '  %s (1, 1, 1)x(256, 1, 1)\n    Section: GPU Speed Of Light Throughput\n' "$name"
    exit 0
fi
echo '"ID","Process ID","Kernel Name","Section Name","Metric Name","Metric Unit","Metric Value"'
for line in "attention,us,700.5" "attention,us,700.5" "backward_kv,ms,1.25" "backward_kv,ms,1.25" "gate, fused,ns,1,200" "adamw,us,2,300.0" \
    "gemm,us,900.0" "widen,ns,10"; do
    value=${line#*,*s,} kernel=${line%,"$value"} unit=
    unit=${kernel##*,} kernel=${kernel%,*}
    printf '"0","1","%s","Command line profiler metrics","gpu__time_duration.sum","%s","%s"\n' "$kernel" "$unit" "$value"
done
END
chmod +x ncu
FLM_GPU_SECONDS=2400 FLM_GPU_NCU=$here/ncu sh "$check" "$abs_top_builddir" --quick >out 2>err
tap_is $? 0 "--quick"
sed 's/^/# /' out
for name in conform parity train bench ncu; do tap_has out.d/quick.txt "] $name: " "quick.txt has $name"; done
for text in emulated "golden files, bf16" "within the tolerance" '"record": "part"' "# ms, launches, kernel: 2.500 2 backward_kv"; do
    tap_has out.d/quick.txt "$text" "quick.txt has: $text"
done
tap_is "$(sed -n 's/^ok [0-9]* - \(.*\), .* ms in .* launches*$/\1/p' out.d/ncu.tap | tr '\n' ' ')" "backward_kv adamw attention gemm " "the four slowest kernels"
tap_lines out.d/quick.txt "Section: GPU Speed Of Light" 4 "and their details"
tap_is "$(tail -n 1 out.d/quick.txt)" "$(tail -n 1 out)" "its last line has the totals"
tail -n 1 out | grep -q '^[1-9][0-9]* passed, 0 failed, 0 skipped$'
tap_ok $? "the totals: $(tail -n 1 out)"
tap_has out.d/bench.json '"record": "train"' "bench.json is kept"

FLM_GPU_TESTS="ncu parity" FLM_GPU_SECONDS=2400 FLM_GPU_NCU='' sh "$check" "$abs_top_builddir" --quick >out 2>err
tap_is "$? $(grep -c 'SKIP ncu is not installed' out.d/quick.txt)" "0 1" "without ncu"
FLM_GPU_TESTS=ncu FLM_GPU_NCU=$here/ncu STAND_IN_REFUSES=1 sh "$check" "$abs_top_builddir" --quick >out 2>err
tap_is "$? $(grep -c 'SKIP the driver allows' out.d/quick.txt)" "1 1" "counters for root alone"

# A program that hangs costs its part, not the others; one that has no time left is skipped.
printf '#!/bin/sh\necho "ok 1 - one"\nexec sleep 600\n' >hang.t
chmod +x hang.t
begun=$(date +%s)
FLM_GPU_TESTS="conform parity" FLM_GPU_SECONDS=25 FLM_GPU_NCU='' FLM_GPU_CONFORM=${here#"$abs_top_builddir/"}/hang.t sh "$check" "$abs_top_builddir" --quick >out 2>err
tap_is "$? $(tail -n 1 out)" "1 1 passed, 1 failed, 1 skipped" "a program that hangs"
tap_ok $(($(date +%s) - begun > 40)) "ends with the time of the whole"
tap_has out.d/quick.txt "parity: SKIPPED: no time is left" "the next part is named"
FLM_GPU_BEGIN=$((begun - 480)) sh "$check" "$abs_top_builddir" --quick >out 2>err
tap_is "$? $(tail -n 1 out)" "1 0 passed, 0 failed, 5 skipped" "a build that took all of the time"

# The benchmarks: every operation on memory that the host cannot access.
unset FLM_EMULATE_MIB
# Rows are padded as those of the network: cuBLASLt has no fast kernel for others.
FLM_GPU_TINY=1 FLM_EMULATE_ALIGNED=1 sh "$abs_top_srcdir/bench/gpu" "$abs_top_builddir" bench.d >out 2>err
tap_is $? 0 "bench-gpu"
sed 's/^/# /' err
for file in gemm ops train-flm train-fmlm train-fmlm-two-model; do
    tap_is "$(sed -n '1s/.*"backend": "\(cuda\).*/\1/p' bench.d/$file.json)" cuda "$file ran on the device"
done
tap_is "$(grep -c '"record": "op"' bench.d/ops.json)" 45 "every operation except the CPU's GELU"
for part in "mlp up grad W" attention_backward adamw; do # in the file: the table omits parts that took little time
    tap_has bench.d/train-flm.json "\"name\": \"$part\"" "parts of a step: $part"
done
for text in "all parts" "half of the measured peak" "sampling in"; do
    tap_has bench.d/table.txt "$text" "table.txt has: $text"
done
tap_lines bench.d/table.txt "share of an H100's 989" 0 "no share of an H100's peak on another device"
sed 's/cuda, emulated[^"]*/cuda: GPU 0, NVIDIA H100 80GB HBM3, 79.1 GiB/' bench.d/train-flm.json >h100.json
awk -f "$abs_top_srcdir/bench/gpu-table.awk" bench.d/gemm.json bench.d/ops.json h100.json >table 2>err
tap_lines table "share of an H100's 989" 1 "its share on an H100"
awk -f "$abs_top_srcdir/bench/gpu-table.awk" bench.d/gemm.json >table 2>err
tap_is "$? $(wc -l <err)" "1 1" "too few files are refused"
tap_end
