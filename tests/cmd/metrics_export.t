#!/bin/sh
# metrics_export.t - scripts/metrics-export: metrics.jsonl as CSV and as event files, which event_rows reads.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 6))' >have 2>&1; then
    echo "1..0 # SKIP no $python of version 3.6 or later (PYTHON=...)"
    exit 0
fi
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
events=events.out.tfevents.flm

# export_to OPTION... - run the script; output in out and err.
export_to() {
    timeout -k 5 60 "$python" "$abs_top_srcdir/scripts/metrics-export" "$@" >out 2>err
}
rows() {
    "$abs_top_builddir/tests/cmd/event_rows" "$1" 2>&1
}

# ---- lines by hand: two reports, a validation, samples, a line that is being written ----
mkdir flm
cat >flm/metrics.jsonl <<'END'
{"start":0,"version":"0.2.0","ranks":2,"config":{"steps":"4"}}
{"step":2,"epoch":0,"tokens_seen":1024,"loss":5.5,"lr":0.001,"tokens_per_second":1000.25,"seconds_data":0.25,"seconds_compute":1.5,"seconds_communication":0.25,"slowest_rank":1}
{"step":4,"epoch":0,"tokens_seen":2048,"loss":0.1,"lr":1e-300,"tokens_per_second":1e39,"seconds_data":0.25,"seconds_compute":0.5,"seconds_communication":0.25,"slowest_rank":0}
{"step":4,"valid_loss":-4.75,"valid_rows":20}
{"step":4,"sample_steps":1,"samples":8,"sample_entropy":2.5}
{"step":4,"sample_steps":32,"samples":8,"sample_entropy":3.5}
END
printf '{"step":5,"lo' >>flm/metrics.jsonl
export_to --csv flm.csv --tensorboard board flm
tap_is "$? $(cat out err)" "0 " "exported"
cat >want <<'END'
run,step,epoch,tokens_seen,loss,lr,tokens_per_second,seconds_data,seconds_compute,seconds_communication,slowest_rank,valid_loss,valid_rows,sample_entropy_1,sample_entropy_32
flm,2,0,1024,5.5,0.001,1000.25,0.25,1.5,0.25,1,,,,
flm,4,0,2048,0.1,1e-300,1e+39,0.25,0.5,0.25,0,-4.75,20,2.5,3.5
END
tap_is "$(diff want flm.csv)" "" "CSV: a row for each step"
cat >want <<'END'
version brain.Event:2
2 2 train/epoch 0
2 2 train/tokens_seen 1024
2 2 train/loss 5.5
2 2 train/lr 0.00100000005
2 2 machine/tokens_per_second 1000.25
2 2 machine/seconds_data 0.25
2 2 machine/seconds_compute 1.5
2 2 machine/seconds_communication 0.25
2 2 machine/slowest_rank 1
3 4 train/epoch 0
3 4 train/tokens_seen 2048
3 4 train/loss 0.100000001
3 4 train/lr 0
3 4 machine/tokens_per_second inf
3 4 machine/seconds_data 0.25
3 4 machine/seconds_compute 0.5
3 4 machine/seconds_communication 0.25
3 4 machine/slowest_rank 0
3 4 validation/loss -4.75
3 4 validation/rows 20
3 4 samples/entropy_1_steps 2.5
3 4 samples/entropy_32_steps 3.5
END
rows board/flm/$events >have
tap_is "$(diff want have)" "" "event file: every value, with the seconds of training so far"

# A run that goes on: the file grows in place, so that a TensorBoard that has it open reads on. Another run replaces it.
before=$(ls -i board/flm/$events)
printf 'ss":4.5,"lr":1e-3}\n' >>flm/metrics.jsonl
export_to --tensorboard board flm
tap_is "$? $(rows board/flm/$events | tail -n 1) $(ls -i board/flm/$events)" "0 3 5 train/lr 0.00100000005 $before" \
    "a run that goes on: appended"
sed -i 's/"loss":5.5/"loss":6.5/' flm/metrics.jsonl
export_to --tensorboard board flm
tap_is "$? $(rows board/flm/$events | sed -n 4p)" "0 2 2 train/loss 6.5" "another run of that name: replaced"
printf x >>board/flm/$events
export_to --tensorboard board flm
tap_is "$? $(rows board/flm/$events | wc -l)" "0 25" "a damaged file is replaced"
tap_is "$(ls board/flm)" "$events" "nothing else is left"

# ---- real runs ----
shards_make shards 32
# shellcheck disable=SC2086 # several options
on_ranks 1 "$bin/flm_train" --data shards --out "runs/a run" $tiny --steps 4 --eval-every 2 --eval-samples 2 --eval-steps 1 &&
    on_ranks 1 "$bin/flm_distill" --data shards --teacher "runs/a run" --out runs/map --batch 4 --steps 2 --log-every 1 \
        --precision fp32 --threads 1
tap_is $? 0 "two runs"
export_to --csv - --tensorboard "my board" "runs/a run" runs/map/metrics.jsonl
tap_is "$? $(awk -F, 'NR > 1 { print $1, $2 }' out | tr '\n' ';')" "0 a run 1;a run 2;a run 3;a run 4;map 1;map 2;" \
    "two runs in one CSV, on standard output"
sed -n 's/^{"step":\([0-9]*\),.*"loss":\([^,]*\),"grad_norm.*/\1 \2/p' "runs/a run/metrics.jsonl" >want
rows "my board/a run/$events" | awk '$3 == "train/loss" { print $2, $4 }' >have
paste -d ' ' want have | awk '$1 != $3 || !($2 - $4 <= 1e-6 && $4 - $2 <= 1e-6) { bad = 1 } END { exit bad || NR != 4 }'
tap_ok $? "the losses of a run"
tap_is "$(rows "my board/map/$events" | awk '{ print $3 }' | grep -c -e validation/loss_off_diagonal -e train/loss_diagonal)" 3 \
    "those of a map by kind"
mkdir other && cp -R runs/map other/map && cp runs/map/metrics.jsonl copy.jsonl
export_to --csv - runs/map other/map copy.jsonl
tap_is "$? $(awk -F, 'NR > 1 { print $1 }' out | sort -u | tr '\n' ' ')" "0 copy other/map runs/map " "runs of one name: by their paths"

# ---- refusals: one line, its exit code, and nothing written ----
refused() {
    refused_status=$1 refused_text=$2
    shift 2
    export_to "$@"
    tap_is "$? $(grep -c . err) $(wc -c <out)" "$refused_status 1 0" "$refused_text: refused with one line"
    tap_has err "metrics-export: error: $refused_text" "the message"
}
refused 66 "nowhere: cannot be read: No such file or directory" --csv new.csv nowhere
refused 66 "shards/metrics.jsonl: cannot be read: No such file or directory" --csv new.csv shards
refused 2 "a run is given twice" --csv new.csv runs/map runs/map/metrics.jsonl
printf '{"start":0}\n' >none.jsonl
refused 65 "none.jsonl: has no reports yet" --csv new.csv none.jsonl
printf '{"start":0}\n{"step":1,"loss":2}\n{"step":2,"lo\n' >bad.jsonl
refused 65 "bad.jsonl: line 3: not JSON" --csv new.csv bad.jsonl
for line in '[1]' '{"loss":1}' '{"step":-1}' '{"step":1.5}' '{"step":true}'; do
    printf '%s\n' "$line" >bad.jsonl
    refused 65 'bad.jsonl: line 1: expected an object with "step" or "start"' --csv new.csv bad.jsonl
done
refused 74 "none.jsonl/flm: Not a directory" --tensorboard none.jsonl flm
refused 74 "nowhere/new.csv: cannot be written: No such file or directory" --csv nowhere/new.csv flm
tap_is "$(find . -name 'new.csv*')" "" "no file was written"
if test -w /dev/full; then
    timeout 60 "$python" "$abs_top_srcdir/scripts/metrics-export" --csv - flm >/dev/full 2>err
    tap_is "$? $(cat err)" "74 metrics-export: error: standard output: cannot be written: No space left on device" "a full disk"
else
    tap_skip "a full disk" "no /dev/full"
fi
export_to flm
tap_is "$? $(tail -n 1 err)" "2 metrics-export: error: expected --csv FILE or --tensorboard DIR" "neither output"
tap_end
