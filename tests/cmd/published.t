#!/bin/sh
# published.t - one warning where the settings of a new run are those of a published one except one or two; none for the
# jobs themselves and for experiments of one's own. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
probe=$bin/tests/cmd/published_probe
says="the settings are those of the published run"

# options JOB - the options of its training program, without those of the site.
# shellcheck disable=SC2016 # dollars are dollars
options() {
    sed -n '/^train flm_/,$p' "$abs_top_srcdir/jobs/$1.slurm" |
        sed -e 's/\\$//' -e 's/^train flm_[a-z]*//' -e 's/--micro-batch "[^"]*"//' -e 's/--data "[^"]*"//' \
            -e 's/"\$[a-z]*"/x/g' -e 's/\$demo_[a-z]*//' -e 's/"\$@"//' | tr '\n' ' '
}

# warned - the text of the warnings in err, from the name of the run on; and that the program failed.
warned() {
    sed -n -e "s/.* warning: $says //p" -e '/^# /p' err
}

# distill DATA OPTION... - the notice of flm_distill.
distill() {
    distill_data=$1
    shift
    timeout 60 "$probe" --data "$distill_data" --teacher x --out x "$@" >out 2>err || echo "# the probe failed" >>err
}

# train DATA OPTION... - the plan of flm_train, with its notices in err.
train() {
    train_data=$1
    shift
    timeout 60 "$bin/flm_train" --data "$train_data" --out run --plan "$@" >out 2>err || echo "# flm_train failed" >>err
    grep -q 'MiB per rank$' err || echo "# no summary of the run" >>err
}

# ---- the jobs: nothing is said, whatever the number of steps ----
set -- "$abs_top_srcdir/README.md" "$abs_top_srcdir/docs/model.md" "$abs_top_srcdir/docs/files.md"
"$bin/flm_shard" --corpus lm1b --valid-last 40 --out lm1b "$@" >/dev/null 2>err &&
    "$bin/flm_shard" --corpus owt --valid-last 1 --out owt "$@" >/dev/null 2>err &&
    "$bin/flm_shard" --corpus owt --length 512 --valid-last 1 --out short "$@" >/dev/null 2>err &&
    "$bin/flm_shard" --tokenizer gpt2 --length 1024 --out text "$@" >/dev/null 2>err
tap_is $? 0 "shards with the names of the corpora"
for job in lm1b_flm owt_flm owt_any_order; do
    # shellcheck disable=SC2046 # several options
    train "${job%%_*}" $(options $job)
    tap_is "$(warned)" "" "$job: nothing is said"
    # shellcheck disable=SC2046
    train "${job%%_*}" $(options $job) --batch 500
    tap_is "$(warned)" "$job except for --batch 500 (published: 512); if that is intended, nothing is wrong" \
        "$job with another batch: one warning"
done
batch=512
for corpus in lm1b,bert-base-uncased,128,30 owt,gpt2,1024,30; do
    for job in "${corpus%%,*}_fmlm" "${corpus%%,*}_flm_distill" "${corpus%%,*}_flm_distill_second"; do
        # shellcheck disable=SC2046
        distill $corpus $(options "$job")
        tap_is "$(cat err)" "" "$job: nothing is said"
        # shellcheck disable=SC2046
        distill $corpus $(options "$job") --batch 500
        case $job in owt_flm_distill_second | lm1b*) batch=512 ;; *) batch=128 ;; esac
        tap_is "$(warned)" "$job except for --batch 500 (published: $batch); if that is intended, nothing is wrong" \
            "$job with another batch: one warning"
    done
done
train owt --steps 20000
tap_is "$(warned)" "" "a shorter run is the beginning of the published one"
distill owt,gpt2,1024,30
tap_has err "owt_fmlm except for --batch 512 (published: 128)" "flm_distill with its defaults on OpenWebText"

# ---- each setting ----
for setting in "--lr 3e-05 (published: 0.0003)" "--warmup 250 (published: 2500)" "--dropout 0 (published: 0.1)" \
    "--beta1 0.95 (published: 0.9)" "--beta2 0.95 (published: 0.999)" "--eps 1e-06 (published: 1e-08)" \
    "--clip 2 (published: 1)" "--weight-decay 0.1 (published: 0)" "--ema-decay 0.999 (published: 0.9999)" \
    "--schedule linear (published: constant)" "--schedule cosine (published: constant)" "--lr-decay 5000 (published: 0)" \
    "--diagonal-fraction 0.75 (published: 0.5)" "--boundary 64 (published: 32)" "--target-weights ema (published: raw)" \
    "--teacher-weights raw (published: ema)"; do
    # shellcheck disable=SC2086 # an option and its value
    distill lm1b,bert-base-uncased,128,30 ${setting% (*}
    tap_is "$(warned)" "lm1b_fmlm except for $setting; if that is intended, nothing is wrong" "${setting% (*}"
done
distill lm1b,bert-base-uncased,128,0
tap_has err "lm1b_fmlm except for logit cap of the teacher 0 (published: 30);" "the cap of the teacher"
distill lm1b,gpt2,128,30
tap_has err "lm1b_fmlm except for shards of tokeniser gpt2 (published: bert-base-uncased);" "the tokeniser"
train owt --logit-cap 0
tap_has err "owt_flm except for --logit-cap 0 (published: 30);" "the cap of a new network"
train short
tap_has err "owt_flm except for rows of 512 tokens (published: 1024);" "the length of the rows"
train short --lr 1e-4
tap_has err "owt_flm except for rows of 512 tokens (published: 1024), --lr 0.0001 (published: 0.0003);" "two differences"

tap_mpi 2 "$bin/flm_train" --data owt --out run --plan --lr 1e-4
tap_is "$(warned)" "owt_flm except for --lr 0.0001 (published: 0.0003); if that is intended, nothing is wrong" "two ranks: one warning"

# ---- experiments of one's own: nothing is said ----
train short --lr 1e-4 --batch 64
tap_is "$(warned)" "" "three differences are an experiment"
train text --lr 1e-4
tap_is "$(warned)" "" "another corpus"
train owt --preset medium --lr 1e-4
tap_is "$(warned)" "" "another network"
train owt --blocks 6 --lr 1e-4
tap_is "$(warned)" "" "another number of blocks"
train owt --objective fmlm --lr 1e-4
tap_is "$(warned)" "" "a flow map without a teacher, which no published run is"
distill owt,gpt2,1024,30 --init-from x
tap_is "$(cat err)" "" "initial weights of another network"
distill owt,gpt2,1024,30 --method any-order
tap_is "$(cat err)" "" "an any-order map with a teacher"
tap_end
