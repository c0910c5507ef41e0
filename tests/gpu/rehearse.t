#!/bin/sh
# rehearse.t - make check-gpu and make bench-gpu without a GPU: their scripts on the emulated device, small, with a stand-in for
# compute-sanitizer; and what they say where something is missing or fails. No timing is judged.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
check=$abs_top_srcdir/scripts/check-gpu.sh
emulated=$abs_top_builddir/tests/emulate
here=$PWD

# Without a GPU: one line says so. (A build with CUDA is one without a GPU here: tap.sh hides them.)
sh "$check" "$abs_top_builddir" >out 2>err
tap_is $? 1 "no GPU: exit status 1"
tap_is "$(grep -c 'check-gpu: nothing was checked: device cuda: ' err) $(cat out err | wc -l)" "1 1" "$(cat err)"
sh "$check" "$abs_top_builddir" --probe >out 2>err
tap_is $? 1 "--probe too"

# A stand-in that runs the program and says what the real one does; it finds an error in what it is told to.
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
tap_is $? 0 "all parts but the one that tests/emulate/ runs"
sed 's/^/# /' out
for name in conform parity train memory; do tap_has out "] $name: " "$name ran"; done
tap_is "$(grep -c '^ok .* - memcheck: ' out.d/sanitizer.tap) $(grep -c '^ok .* - racecheck: ' out.d/sanitizer.tap)" "2 2" "so did the sanitizer's"
tap_is "$(tail -n 1 out)" "$(cat out.d/summary.txt)" "the sums are kept"
tail -n 1 out | grep -q '^[1-9][0-9]* passed, 0 failed, 1 skipped$'
tap_ok $? "and right: $(tail -n 1 out)"
tap_has out.d/machine.txt "emulated" "with the device"

FLM_GPU_TESTS=sanitizer FLM_GPU_SANITIZER='' sh "$check" "$abs_top_builddir" >out 2>err
tap_is "$? $(tail -n 1 out)" "1 0 passed, 0 failed, 1 skipped" "no compute-sanitizer is said, and nothing alone is not success"
FLM_GPU_TESTS=sanitizer FLM_GPU_CONFORM=tests/conform/embed_emulated.t FLM_GPU_SANITIZER=$here/sanitizer STAND_IN_FINDS="racecheck:$abs_top_builddir/tests/conform/embed_emulated.t" \
    sh "$check" "$abs_top_builddir" >out 2>err
tap_is "$? $(tail -n 1 out)" "1 3 passed, 1 failed, 0 skipped" "what it finds is a failure"
tap_has out "Invalid __global__ read" "and shown"
printf '#!/bin/sh\necho "ok 1 - one"\necho "1..2"\nexit 1\n' >cut.t
chmod +x cut.t
FLM_GPU_TESTS=conform FLM_GPU_CONFORM=${here#"$abs_top_builddir/"}/cut.t sh "$check" "$abs_top_builddir" >out 2>err
tap_is "$? $(tail -n 1 out)" "1 1 passed, 1 failed, 0 skipped" "a program that stops in the middle is a failure"

# The measurements: every op of the benchmarks on memory that the host cannot touch.
unset FLM_EMULATE_MIB
FLM_GPU_TINY=1 sh "$abs_top_srcdir/bench/gpu" "$abs_top_builddir" bench.d >out 2>err
tap_is $? 0 "bench-gpu"
sed 's/^/# /' err
for file in gemm ops train-flm train-fmlm-two-model; do
    tap_is "$(sed -n '1s/.*"backend": "\(cuda\).*/\1/p' bench.d/$file.json)" cuda "$file ran on the device"
done
tap_is "$(grep -c '"record": "op"' bench.d/ops.json)" 39 "every op but the CPU's GELU"
for part in "mlp up grad W" attention_backward adamw; do # the table leaves out those that took too little time
    tap_has bench.d/train-flm.json "\"name\": \"$part\"" "parts of a step: $part"
done
for text in "all parts" "half of the measured peak" "sampling in"; do
    tap_has bench.d/table.txt "$text" "table.txt has: $text"
done
tap_lines bench.d/table.txt "share of an H100's 989" 0 "no share of an H100's peak"
sed 's/cuda, emulated[^"]*/cuda: GPU 0, NVIDIA H100 80GB HBM3, 79.1 GiB/' bench.d/train-flm.json >h100.json
awk -f "$abs_top_srcdir/bench/gpu-table.awk" bench.d/gemm.json bench.d/ops.json h100.json >table 2>err
tap_lines table "share of an H100's 989" 1 "but where the device is one"
awk -f "$abs_top_srcdir/bench/gpu-table.awk" bench.d/gemm.json >table 2>err
tap_is "$? $(wc -l <err)" "1 1" "too few files are refused"
tap_end
