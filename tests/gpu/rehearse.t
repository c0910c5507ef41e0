#!/bin/sh
# rehearse.t - make check-gpu and make bench-gpu without a GPU: their scripts on the emulated device, with small sizes and a
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
